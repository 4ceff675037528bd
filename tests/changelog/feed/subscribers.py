"""Subscribers that tests host, and a host of them on a region whose streams are played by hand."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from intelgraph.changelog.feed.host import Host
from intelgraph.changelog.feed.status import SubscriberStatus, read_subscribers
from intelgraph.changelog.feed.subscriber import FeedRow, StateObject, Subscriber
from intelgraph.runtime.json_log import JsonLog
from intelgraph.settings import SubscriberPolicy
from tests.machine import WAIT_S
from tests.replication.lone import Lone

QUICK = SubscriberPolicy(rows_max=7, look_s=0.02, retry_s=0.01, retry_s_max=0.05)

Object = tuple[str, str, str]
"""Tenant, kind and id."""


class Collector:
    """Keeps the batches that it received; a test changes how it takes them by replacing ``before``."""

    reads_bodies = True
    state = None

    def __init__(self, name: str = "collector") -> None:
        self.name = name
        self.batches: list[Sequence[FeedRow]] = []
        self.before: Callable[[Sequence[FeedRow]], Awaitable[None]] | None = None

    async def receive(self, rows: Sequence[FeedRow], database: asyncpg.Connection) -> None:
        if self.before is not None:
            await self.before(rows)
        self.batches.append(rows)

    @property
    def rows(self) -> list[FeedRow]:
        return [row for batch in self.batches for row in batch]

    @property
    def ids(self) -> list[str]:
        """The ids of the objects, in the order they came."""
        return [each["id"] for row in self.rows if row.kind == "write" for each in json.loads(row.body)["objects"]]


class MirrorState:
    """What a mirror keeps; a test lets something happen between pages by replacing ``before_page``."""

    def __init__(self) -> None:
        self.objects: dict[Object, tuple[int, int, Any]] = {}
        self.is_kept = True
        self.begun = 0
        self.pages: list[Sequence[StateObject]] = []
        self.before_page: Callable[[], Awaitable[None]] | None = None

    async def is_there(self) -> bool:
        return self.is_kept

    async def begin(self) -> None:
        self.objects.clear()
        self.is_kept = True
        self.begun += 1

    async def receive(self, page: Sequence[StateObject]) -> None:
        if self.before_page is not None:
            await self.before_page()
        self.pages.append(page)
        for each in page:
            self.put((each.tenant, each.kind, each.id), each.epoch, each.position, json.loads(each.body))

    def put(self, name: Object, epoch: int, position: int, form: Any) -> None:
        known = self.objects.get(name)
        if known is None or known[:2] < (epoch, position):
            self.objects[name] = (epoch, position, form)


class Mirror:
    """Keeps the state of a region as rows and pages tell it."""

    reads_bodies = True

    def __init__(self, name: str = "mirror") -> None:
        self.name = name
        self.state = MirrorState()
        self.rows: list[FeedRow] = []
        self.ends = 0
        self.is_broken = False

    async def receive(self, rows: Sequence[FeedRow], database: asyncpg.Connection) -> None:
        if self.is_broken:
            raise RuntimeError("the mirror is away")
        for row in rows:
            self.rows.append(row)
            if row.kind != "write" or row.body is None:
                continue
            for form in json.loads(row.body)["objects"]:
                if form["kind"] == "erased":
                    for kind in ("entity", "relationship"):
                        self.state.objects.pop((row.tenant, kind, form["id"]), None)
                elif row.status == "applied":
                    form.pop("taken_by", None)  # which operation took it is no part of the state
                    self.state.put((row.tenant, form["kind"], form["id"]), row.epoch, row.position, form)
                elif row.status == "inert":
                    await self._read_again((row.tenant, form["kind"], form["id"]), database)
        self.ends += not rows

    async def _read_again(self, name: Object, database: asyncpg.Connection) -> None:
        self.state.objects.pop(name, None)
        if name in (state := await state_of(database)):
            self.state.objects[name] = state[name]


async def state_of(database: asyncpg.Connection) -> dict[Object, tuple[int, int, Any]]:
    """Every object that the region has."""
    found = await database.fetch("select * from ig.state_page('{}', 100000, 1000000000)")
    return {
        (each["tenant"], each["kind"], each["id"]): (each["epoch"], each["position"], json.loads(each["object"]))
        for each in found
    }


class Hosting:
    """A running host on one region, and what it logged."""

    def __init__(self, region: Lone, subscribers: Sequence[Subscriber], policy: SubscriberPolicy) -> None:
        self._region = region
        self._logged = io.StringIO()
        self.host = Host(self.connect, subscribers, policy=policy, log=JsonLog("feed", sink=self._logged))
        self.database: asyncpg.Connection

    async def connect(self) -> asyncpg.Connection:
        arguments = {**self._region.server.connect_arguments(), "database": self._region.database}
        return await asyncpg.connect(**arguments, command_timeout=30)

    def logged(self, event: str) -> list[Any]:
        """The lines of one event."""
        lines = [json.loads(line) for line in self._logged.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    async def status(self, name: str) -> SubscriberStatus:
        return (await self._all())[name]

    async def has_all(self, subscribers: Sequence[Subscriber]) -> bool:
        """Whether each has a cursor."""
        return {each.name for each in subscribers} <= (await self._all()).keys()

    async def _all(self) -> dict[str, SubscriberStatus]:
        return {each.subscriber: each for each in await read_subscribers(self.database)}

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for a condition, plain or awaitable; the host is told that the log moved meanwhile."""
        deadline_s = time.monotonic() + WAIT_S
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            assert time.monotonic() < deadline_s, "what was waited for did not come"
            self.host.moved()
            await asyncio.sleep(0.01)

    async def mirrors(self, mirror: Mirror) -> None:
        """Wait until a mirror has what the region has."""

        async def is_equal() -> bool:
            status = await self.status(mirror.name)
            return (
                status.state == "following"
                and not status.lag_rows
                and await state_of(self.database) == mirror.state.objects
            )

        await self.until(is_equal)


@contextlib.asynccontextmanager
async def hosting(region: Lone, *subscribers: Subscriber, policy: SubscriberPolicy = QUICK) -> AsyncIterator[Hosting]:
    """Host subscribers for the length of the block."""
    running = Hosting(region, subscribers, policy)
    running.database = await running.connect()
    task = asyncio.create_task(running.host.run())
    try:
        await running.until(lambda: running.has_all(subscribers))
        yield running
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await running.database.close()
