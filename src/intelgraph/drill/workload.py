"""Clients at real doors, and the history of what they were told.

A ``Workload`` is one tenant's clients: so many at each region's door, some patient and some not, choosing operations by
a seed (``mix``). With a rate it is open: operations begin when they are due whatever became of those before, as from
the world outside. Without one each client waits for its last operation (closed). ``open`` lays the foundation, ``run``
goes on until it is told to stop and every operation has ended, ``read_in_the_end`` looks at everything in every region:
call it when the regions' logs are equal.

A ``Recorder`` gives all workloads of a drill one clock, one file and one sequence of numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import msgspec

from intelgraph.drill.asking import IMPATIENT, PATIENT, Doors, Patience, Request, Told
from intelgraph.drill.following import Followed, Follower
from intelgraph.drill.history import END, Header, HistoryWriter, Kind, Mark, Operation, Outcome, Setback, Step
from intelgraph.drill.mix import Mix, MixSettings, Planned, Session
from intelgraph.model.errors import refuse

_PAGE = 1_000
_FOLLOWED_S = 15.0
"""So long after the regions are equal a follower may take to have been told everything."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whose graph is used and by which doors: ``urls`` by region. ``token()`` gives a writer's token."""

    tenant: str
    placement: str
    regions: tuple[str, ...]
    urls: Mapping[str, str]
    token: Callable[[], str]


@dataclass(frozen=True, kw_only=True)
class WorkloadSettings:
    """How much is asked. ``rate_per_s`` is of the whole workload; ``None``: each client as fast as it is answered."""

    seed: int = 0
    clients_per_region: int = 4
    rate_per_s: float | None = 100.0
    patient_share: float = 0.75
    in_flight_max: int = 1_000
    mix: MixSettings = field(default_factory=MixSettings)
    patient: Patience = PATIENT
    impatient: Patience = IMPATIENT

    def __post_init__(self) -> None:
        if not 0 <= self.patient_share <= 1:
            raise ValueError(f"patient_share is {self.patient_share}; it must be from 0 to 1")
        if self.clients_per_region < 1 or (self.rate_per_s is not None and self.rate_per_s <= 0):
            raise ValueError("a workload needs a client in each region and a rate above 0")


class Recorder:
    """The clock, the numbers and the file of one drill. ``watch`` is shown every operation as it ends. A context."""

    def __init__(self, path: Path, header: Header, *, watch: Callable[[Operation], None] | None = None) -> None:
        self._began_s = time.monotonic()
        self._ids = itertools.count(1)
        self._writer = HistoryWriter(path, header)
        self._watch = watch
        self._ended = False

    @staticmethod
    def header(targets: list[Target], *, seed: int) -> Header:
        """The header of a history that begins now."""
        regions = {target.placement: target.regions for target in targets}
        return Header(began=datetime.now(UTC).isoformat(timespec="milliseconds"), regions=regions, seed=seed)

    def __enter__(self) -> Recorder:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, traceback)

    def now_s(self) -> float:
        """Seconds since the history began, of a monotonic clock."""
        return time.monotonic() - self._began_s

    def number(self) -> int:
        """The next operation's."""
        return next(self._ids)

    def operation(self, operation: Operation) -> None:
        """Keep an operation that has ended."""
        self._writer.operation(operation)
        if self._watch is not None:
            self._watch(operation)

    def flush(self) -> None:
        """Write down what has been kept so far."""
        self._writer.flush()

    def end(self) -> None:
        """Keep, once, that the clients have stopped."""
        if not self._ended:
            self._ended = True
            self.mark(END)

    def mark(self, what: str, detail: str = "") -> Mark:
        """Keep, at once, that something was done to the fleet now."""
        mark = Mark(at_s=self.now_s(), what=what, detail=detail)
        self._writer.mark(mark)
        return mark


@dataclass(kw_only=True)
class _Client:
    """A session and how it behaves."""

    session: Session
    patience: Patience


class Workload:
    """One tenant's clients. A context: its connections are closed at the end."""

    def __init__(self, target: Target, settings: WorkloadSettings, recorder: Recorder, *, run: str) -> None:
        self.target = target
        self.settings = settings
        self.recorder = recorder
        self.not_sent = 0
        """Operations that were due and not begun, because ``in_flight_max`` were under way."""
        self._mix = Mix(settings.mix, run=run, seed=settings.seed)
        self._chance = random.Random(settings.seed + 1)  # noqa: S311
        self._doors = Doors(target.urls, target.token, now=recorder.now_s)
        self._followers: list[tuple[Follower, asyncio.Task[None]]] = []
        self._clients = [
            self._client(region, place, run) for region in target.urls for place in range(settings.clients_per_region)
        ]

    async def __aenter__(self) -> Workload:
        await self._doors.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop_following()
        await self._doors.__aexit__()

    async def open(self) -> None:
        """Deposit, and follow from then on, a follower in each region.

        Refuses with ``drill_not_ready`` when that does not succeed: there is nothing to drill then.
        """
        operation = await self._perform(self._clients[0], self._mix.deposit(), self.settings.patient)
        if not operation.acknowledged:
            raise refuse(
                "drill_not_ready",
                f"the drill is refused: the first write of {self.target.tenant} was answered {operation.code}",
                tenant=self.target.tenant,
            )
        for region in self.target.regions:
            follower = self._follower(region, operation.bookmark)
            self._followers.append((follower, asyncio.create_task(follower.run())))

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the clients busy until ``stop`` is set; whatever is under way then gets its end."""
        if self.settings.rate_per_s is None:
            async with asyncio.TaskGroup() as group:
                for client in self._clients:
                    group.create_task(self._closed(client, stop))
        else:
            await self._open(stop, self.settings.rate_per_s)

    async def read_in_the_end(self, patience: Patience | None = None) -> None:
        """Read the whole set and all objects in every region, at its own door and no other.

        Reads carry the highest bookmark that was given out, so that a region that lacks it refuses.
        """
        patience = patience or self.settings.patient
        for follower, _ in self._followers:
            await follower.has_told(self._mix.latest, within_s=_FOLLOWED_S)
        await self._stop_following()
        self.recorder.end()
        for region in self.target.regions:
            client = _Client(session=Session(name=f"{self.target.tenant}-end-{region}", door=region), patience=patience)
            alone = Doors({region: self.target.urls[region]}, self.target.token, now=self.recorder.now_s)
            async with alone as doors:
                await self._members(doors, client)
                for kind, objects in self._mix.objects.items():
                    each_alone = [[name] for name in objects] if kind is Kind.GET else _in_parts(objects)
                    for part in each_alone:
                        planned = self._mix.read(kind, part, self._mix.latest)
                        await self._perform(client, planned, patience, doors=doors)

    def _follower(self, region: str, after: str | None) -> Follower:
        target = self.target
        others = {other: url for other, url in target.urls.items() if other != region}
        followed = Followed(
            client=f"{target.tenant}-follower-{region}",
            tenant=target.tenant,
            placement=target.placement,
            urls={region: target.urls[region], **others},
            token=target.token,
        )
        recorder = self.recorder
        return Follower(followed, after, now=recorder.now_s, number=recorder.number, keep=recorder.operation)

    async def _stop_following(self) -> None:
        """Close the followers' streams; one that has broken says so."""
        followers, self._followers = self._followers, []
        for _, task in followers:
            task.cancel()
        for _, task in followers:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _client(self, region: str, place: int, run: str) -> _Client:
        patient = place < round(self.settings.patient_share * self.settings.clients_per_region)
        name = f"{run}-{region}-{place + 1}{'' if patient else '-impatient'}"
        patience = self.settings.patient if patient else self.settings.impatient
        return _Client(session=Session(name=name, door=region), patience=patience)

    async def _closed(self, client: _Client, stop: asyncio.Event) -> None:
        while not stop.is_set():
            operation = await self._perform(client, self._mix.next(client.session), client.patience)
            if not operation.acknowledged:
                await asyncio.sleep(0.01)  # An impatient client that is refused at once does not spin.

    async def _open(self, stop: asyncio.Event, rate_per_s: float) -> None:
        due_s = self.recorder.now_s()
        under_way: set[asyncio.Task[Operation]] = set()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                due_s += self._chance.expovariate(rate_per_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), max(due_s - self.recorder.now_s(), 0.0))
                    break
                if len(under_way) >= self.settings.in_flight_max:
                    self.not_sent += 1
                    continue
                client = self._chance.choice(self._clients)
                task = group.create_task(self._perform(client, self._mix.next(client.session), client.patience))
                under_way.add(task)
                task.add_done_callback(under_way.discard)

    async def _perform(
        self, client: _Client, planned: Planned, patience: Patience, *, doors: Doors | None = None
    ) -> Operation:
        doors = doors or self._doors
        door = client.session.door
        if planned.elsewhere and doors is self._doors:
            door = self._chance.choice(list(doors.urls))
        number, invoked_s = self.recorder.number(), self.recorder.now_s()
        members: tuple[str, ...] = ()
        if planned.kind is Kind.PAGES:
            told, members = await self._pages(doors, door, planned, patience)
        else:
            told = await doors.settle(door, planned.request, patience)
        completed_s = self.recorder.now_s()
        steps = self._mix.seen(planned, told.answer, told.outcome)
        self._mix.learn(client.session, planned, told.answer, steps)
        operation = _operation(self.target, planned, told, steps)
        operation = msgspec.structs.replace(
            operation,
            id=number,
            client=client.session.name,
            door=door,
            patient=patience.repeats,
            invoked_s=invoked_s,
            completed_s=completed_s,
            members=members,
        )
        self.recorder.operation(operation)
        return operation

    async def _pages(
        self, doors: Doors, door: str, planned: Planned, patience: Patience
    ) -> tuple[Told, tuple[str, ...]]:
        """Read the set page by page; what is told is as old as its oldest page."""
        members: list[str] = []
        setbacks: list[Setback] = []
        began_s = since_s = self.recorder.now_s()
        while True:
            asked_s = self.recorder.now_s()
            told = await doors.settle(door, planned.request, patience)
            setbacks += told.setbacks
            if told.outcome is not Outcome.OK:
                return replace(told, setbacks=tuple(setbacks)), ()
            age_ms = told.answer.staleness_ms
            since_s = float("-inf") if age_ms is None else min(since_s, asked_s - age_ms / 1000)
            found, after = self._mix.paged(planned, told.answer)
            members += found
            if after is None:
                break
            by_statement = bool(planned.request.body)
            planned = self._mix.page(after, carried=planned.request.carried, by_statement=by_statement)
        age_ms = None if since_s == float("-inf") else (began_s - since_s) * 1000
        answer = replace(told.answer, staleness_ms=age_ms)
        return replace(told, answer=answer, setbacks=tuple(setbacks)), tuple(members)

    async def _members(self, doors: Doors, client: _Client) -> None:
        """Read the set page by page as one operation."""
        prefix, patience = self._mix.prefix, client.patience
        number, invoked_s, after = self.recorder.number(), self.recorder.now_s(), prefix
        members: list[str] = []
        while True:
            path = f"/v1/entities?after={after}&limit={_PAGE}"
            request = Request(method="GET", path=path, carried=self._mix.latest)
            told = await doors.settle(client.session.door, request, patience)
            if told.outcome is not Outcome.OK:
                break
            found = [each["id"] for each in told.answer.body["objects"]]
            mine = [name for name in found if name.startswith(prefix)]
            members += mine
            after = told.answer.body["next"]
            if after is None or len(mine) < len(found):
                break
        planned = Planned(kind=Kind.MEMBERS, steps=(), request=request)
        self.recorder.operation(
            msgspec.structs.replace(
                _operation(self.target, planned, told, ()),
                id=number,
                client=client.session.name,
                door=client.session.door,
                invoked_s=invoked_s,
                completed_s=self.recorder.now_s(),
                members=tuple(members) if told.outcome is Outcome.OK else (),
            )
        )


def _operation(target: Target, planned: Planned, told: Told, steps: tuple[Step, ...]) -> Operation:
    """What an answer makes of an operation; who asked and when is filled in by the caller."""
    answer = told.answer
    body = answer.body if isinstance(answer.body, dict) else {}
    is_write = planned.request.key is not None
    return Operation(
        id=0,
        client="",
        door="",
        kind=planned.kind,
        placement=target.placement,
        tenant=target.tenant,
        invoked_s=0.0,
        completed_s=0.0,
        outcome=told.outcome,
        steps=steps,
        key=planned.request.key,
        carried=planned.request.carried,
        bookmark=answer.bookmark if told.outcome is Outcome.OK or answer.status == 202 else None,
        durability=body.get("durability") if is_write else None,
        region=answer.region,
        staleness_ms=answer.staleness_ms,
        repeated=is_write and body.get("status") == "repeated",
        retry_after_s=answer.retry_after_s,
        code=None if told.outcome is Outcome.OK else answer.code,
        setbacks=told.setbacks,
    )


def _in_parts(objects: list[str]) -> list[list[str]]:
    return [objects[place : place + 50] for place in range(0, len(objects), 50)]
