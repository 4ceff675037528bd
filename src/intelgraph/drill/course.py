"""The course of a drill: clients at work, a fault, the system alone with it, healing, and what can be said of it all.

Warm up → inject (proven) → leave the system alone → heal (proven) → a while more → wait until the regions hold the
same → read everything in every region → ask what became of keys → check, score, report. The clients work from the
beginning to the while after the healing. Whatever ends the course early, the fault is healed first, and if the process
is killed the dead man heals it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from intelgraph.drill import faults, kept
from intelgraph.drill.checker import check
from intelgraph.drill.dead_man import DeadMan, Whereabouts
from intelgraph.drill.faults.fault import Fault
from intelgraph.drill.healing import heal_until_proven
from intelgraph.drill.history import FAULT, HEAL, History, read_history
from intelgraph.drill.report import Report, make_report
from intelgraph.drill.score import FaultTimes, score
from intelgraph.drill.stage import Fates, Stage, counted
from intelgraph.drill.workload import Recorder, Workload, WorkloadSettings
from intelgraph.fleet.layout.places import Fleet
from intelgraph.model.actor import Actor, Channel
from intelgraph.model.errors import refuse
from intelgraph.model.placement import Durability
from intelgraph.operations.operator import Operator
from intelgraph.operations.record import record
from intelgraph.operations.site import find_site
from intelgraph.placement.policy import Policy
from intelgraph.runtime.file_lock import locked

FOR_S_MIN, FOR_S_MAX = 1.0, 3_600.0
INJECTED, HEALED = "injected", "healed"
_TAKEOVER = Policy()
LOST_FOR_S_MIN = _TAKEOVER.lease.over_after_s + _TAKEOVER.lease.look_gap_max_s + _TAKEOVER.bounds.gather_s_max
"""What a takeover takes: the lease is over, the agent looks, and the new home fetches what the survivors hold."""
_PROVEN_WITHIN_S = 60.0
_HEALING_S = 240.0
"""A drill that has not healed so long after it should have is as good as dead."""


@dataclass(frozen=True, kw_only=True)
class DrillSettings:
    """One drill: what is done to which region, for how long, under which load."""

    fault: str
    region: str
    durability: Durability = Durability.REMOTE
    for_s: float = 30.0
    seed: int = 0
    warm_up_s: float = 3.0
    after_s: float = 4.0
    ready_s: float = 60.0
    """How long to wait for the fleet before, and for it to be whole after."""
    load: WorkloadSettings = field(default_factory=lambda: WorkloadSettings(rate_per_s=60.0))

    def __post_init__(self) -> None:
        if not FOR_S_MIN <= self.for_s <= FOR_S_MAX:
            limits = f"it may be {FOR_S_MIN:.0f} to {FOR_S_MAX:.0f}"
            raise refuse("bad_duration", f"the drill is refused: it would last {self.for_s:g} s; {limits}")


def check_long_enough(fault: Fault, for_s: float) -> None:
    """Refuse a loss that is over before another region can have taken over: nothing could be said of the takeover."""
    if fault.loses_region and for_s < LOST_FOR_S_MIN:
        raise refuse(
            "bad_duration",
            f"the drill {fault.name} is refused: it would last {for_s:g} s, and {fault.region} would be back before "
            f"another region can have taken over; it must last {LOST_FOR_S_MIN:g} s at least",
            for_s=for_s,
            for_s_min=LOST_FOR_S_MIN,
        )


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is said while it goes on: a step begins (of so many seconds, if that is known), or something to be read."""

    step: Callable[[str, float | None], None]
    say: Callable[[str], None]


def drills_directory(fleet: Fleet) -> Path:
    """Where a fleet's drills are kept."""
    return fleet.common / "drills"


@dataclass(kw_only=True)
class Drill:
    """One run. ``run`` is the whole course."""

    where: Whereabouts
    fleet: Fleet
    actor: Actor
    """Who asked for it."""
    settings: DrillSettings
    told: Told
    about: dict[str, str] = field(default_factory=dict)

    async def run(self) -> Report:
        """Refuse what cannot be drilled before anything is touched; else drill, keep the report and return it."""
        settings = self.settings
        asked = Operator(site=find_site(self.fleet.state), actor=self.actor)
        operator = replace(asked, actor=Actor(subject=self.actor.subject, channel=Channel.DRILL, reason=_why(settings)))
        stage = Stage(operator=operator, fleet=self.fleet, region=settings.region, durability=settings.durability)
        stage.check()
        fault = faults.make(settings.fault, self.fleet, settings.region)
        check_long_enough(fault, settings.for_s)
        missing = await asyncio.to_thread(fault.missing)
        if missing is not None:
            raise refuse("fault_not_to_be_had", f"the drill {settings.fault} is refused: {missing}", fault=fault.name)
        root = drills_directory(self.fleet)
        with _the_only_one(root):
            record(asked, "drill run", fault=fault.name, region=settings.region, for_s=settings.for_s)
            stage = await stage.chosen()
            self.told.step(f"{stage.name} with its home in {settings.region}", settings.ready_s)
            await stage.ready(settings.ready_s)
            await stage.whole(settings.ready_s)
            return await self._on(stage, fault, root)

    async def _on(self, stage: Stage, fault: Fault, root: Path) -> Report:
        settings, target = self.settings, stage.target()
        header = Recorder.header([target], seed=settings.seed)
        id = kept.make_id(header.began, settings.fault)
        directory = kept.reserve(root, id)
        leader = await stage.etcd_leader()
        self._note(settings, leader)
        with Recorder(directory / kept.HISTORY, header) as recorder:
            async with Workload(target, settings.load, recorder, run=id.replace("-", "")[4:14]) as workload:
                times = await self._busy(workload, fault, directory, recorder)
                self.told.step("the regions become equal", settings.ready_s)
                await stage.whole(settings.ready_s)
                fates = await self._fates(stage, read_flushed(recorder, directory))
                await stage.whole(settings.ready_s)
                self.told.step("everything is read in every region", None)
                await workload.read_in_the_end()
                await stage.clear(f"left behind in drill {id}, which has counted it")
        return self._judged(read_history(directory / kept.HISTORY), times, fates, root, id)

    def _note(self, settings: DrillSettings, leader: str | None) -> None:
        rate = settings.load.rate_per_s
        self.about |= {
            "fault": settings.fault,
            "region": settings.region,
            "durability": settings.durability.value,
            "for": f"{settings.for_s:g} s",
            "asked for by": f"{self.actor.subject} ({self.actor.channel.value})",
            "requests": f"{rate:g}/s" if rate else "each client as fast as it is answered",
            "etcd's leader": leader or "none",
        }

    async def _busy(self, workload: Workload, fault: Fault, directory: Path, recorder: Recorder) -> FaultTimes:
        """The clients at work, and the fault in their midst."""
        settings, stop = self.settings, asyncio.Event()
        await workload.open()
        clients = asyncio.create_task(workload.run(stop))
        try:
            await self._pass("clients warm up", settings.warm_up_s, clients)
            async with self._injected(fault, directory, recorder) as times:
                await self._pass(f"{fault.name} of {fault.region}", settings.for_s, clients)
            await self._pass("clients go on", settings.after_s, clients)
        except BaseException:
            clients.cancel()
            await asyncio.gather(clients, return_exceptions=True)
            raise
        stop.set()
        self.told.step("the last requests end", None)
        await clients
        return times[0]

    async def _pass(self, name: str, seconds: float, clients: asyncio.Task[None]) -> None:
        """Let time pass, unless the clients break."""
        self.told.step(name, seconds)
        done, _ = await asyncio.wait({clients}, timeout=seconds)
        for task in done:
            task.result()

    @asynccontextmanager
    async def _injected(self, fault: Fault, directory: Path, recorder: Recorder) -> AsyncIterator[list[FaultTimes]]:
        """The fault, for the length of the block; ``[0]`` of what is given is known after it."""
        times: list[FaultTimes] = []
        over_s = self.settings.for_s + _HEALING_S
        dead_man = DeadMan(
            self.where, fault=fault.name, region=fault.region, for_s=over_s, log=directory / "dead-man.log"
        )
        await asyncio.to_thread(dead_man.__enter__)
        try:
            injected = recorder.mark(FAULT, f"{fault.name} of {fault.region}")
            try:
                # Not to be interrupted half-way: what is half injected could not be healed for certain.
                proof = await _whole_in_thread(lambda: fault.inject(over_s))
                self._prove(recorder, INJECTED, proof)
                yield times
            except asyncio.CancelledError:
                where = "where each placement is written now; `intelgraph failback --all` moves them home"
                self.told.say(f"interrupted: {fault.region} is healed first. `intelgraph status` says {where}")
                raise
            finally:
                healing = recorder.mark(HEAL, f"{fault.name} of {fault.region}")
                self.told.step(f"{fault.region} is healed", None)
                proof = await _whole_in_thread(
                    lambda: heal_until_proven(fault, within_s=_PROVEN_WITHIN_S, report=self.told.say)
                )
                self._prove(recorder, HEALED, proof)
                dead_man.dismiss()
            region = fault.region if fault.loses_region else None
            times.append(FaultTimes(name=fault.name, injected_s=injected.at_s, healed_s=healing.at_s, region=region))
        finally:
            await asyncio.to_thread(dead_man.__exit__, None, None, None)

    def _prove(self, recorder: Recorder, what: str, proof: str) -> None:
        recorder.mark(what, proof)
        self.about[what] = proof
        self.told.say(f"{what}: {proof}")

    async def _fates(self, stage: Stage, history: History) -> Fates:
        keys = [each.key for each in history.operations if each.key is not None]
        fates = await stage.fates(keys, self.settings.ready_s)
        if fates.left_behind:
            self.about["left behind, then written again"] = f"{len(fates.left_behind):,} keys"
        self.about["what became of keys"] = ", ".join(f"{count:,} {word}" for word, count in counted(fates.of).items())
        return fates

    def _judged(self, history: History, times: FaultTimes, fates: Fates, root: Path, id: str) -> Report:
        self.told.step("the history is checked", None)
        verdicts = check(history, fates.of, left_behind=fates.left_behind)
        figures = score(history, verdicts, fault=times, fates=fates.of)
        title = f"Region loss: {times.name} of {self.settings.region}, {self.settings.durability.value}"
        report = make_report(history, verdicts, figures, id=id, title=title, about=self.about)
        kept.keep(root, report)
        return report


def _why(settings: DrillSettings) -> str:
    return f"a drill: {settings.fault} of {settings.region}"


def read_flushed(recorder: Recorder, directory: Path) -> History:
    """The history so far."""
    recorder.flush()
    return read_history(directory / kept.HISTORY)


async def _whole_in_thread(work: Callable[[], str]) -> str:
    """Do it in a thread, to its end even when this is cancelled; then the cancellation goes on."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait({doing})
        raise


@contextmanager
def _the_only_one(root: Path) -> Iterator[None]:
    """One drill at a time: two faults at once would explain nothing."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as held:
        try:
            held.enter_context(locked(root / "lock", wait=False))
        except BlockingIOError as error:
            raise refuse("drill_under_way", "the drill is refused: another one is under way in this fleet") from error
        yield
