"""Streams share the turns at the database: one that waits for something else than the database has none meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from intelgraph.api.admission import Admitted
from intelgraph.api.auth.authentication import Principal, Role
from intelgraph.api.database import feed
from intelgraph.api.database.database import READABLE
from intelgraph.api.database.feed import FeedNotices
from intelgraph.api.http.incoming import Incoming
from intelgraph.api.http.request import Request
from intelgraph.api.limits.outgoing import Outgoing
from intelgraph.api.limits.quota import Quota
from intelgraph.api.logs import Log
from intelgraph.api.policy import StreamPolicy, UnreadPolicy
from intelgraph.api.read.bookmarks import BookmarkWaiters
from intelgraph.api.read.reader import Reader
from intelgraph.api.read.stream import Plain, Start, Streams
from intelgraph.control.directory.cache import Located
from intelgraph.model.placement import Durability, Placement
from tests.machine import WAIT_S

PLACEMENT = Placement(
    id="both", home="us-east", standby=None, regions=("us-east",), epoch=1, durability=Durability.HOME
)
AHEAD = "us-east/1/1/99"
LONG_S = 10 * WAIT_S
"""Whoever waits so long for another has not been let by."""


class Log_:
    """The region's log as its database tells of it; ``AHEAD`` never arrives."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.outgoing = outgoing
        self.changes: list[dict[str, Any]] = []
        self.pages_left = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def call(self, statement: str, *arguments: object) -> bytes:
        tenant, after = str(arguments[1]), arguments[2]
        if self.outgoing.is_full(tenant):
            await self.outgoing.room(tenant)
        found = [change for change in self.changes if change["bookmark"] != after]
        await asyncio.sleep(0)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        self.pages_left -= 1
        status = "waiting" if after == AHEAD else "ok"
        told = {"status": status, "changes": found, "next": found[-1]["bookmark"] if found else after}
        return json.dumps({**told, "more": self.pages_left > 0}).encode()

    async def call_many(self, statement: str, *_: object) -> list[bytes]:
        assert statement == READABLE
        return [b'{"status": "waiting"}']

    def cached(self, tenant: str) -> Located:
        return Located(tenant=tenant, placement=PLACEMENT)

    async def locate(self, tenant: str) -> Located:
        return self.cached(tenant)


def streams_of(log: Log_, *, turns: int = 1, heartbeat_s: float = 10.0) -> Streams:
    database: Any = log
    reader = Reader(
        region="us-east", database=database, waiters=BookmarkWaiters(database), lease=None, bookmark_wait_s=LONG_S,  # type: ignore[arg-type]
        on_wait=lambda _: None,
    )  # fmt: skip
    return Streams(
        reader=reader, tenants=log, feed=FeedNotices(database), outgoing=log.outgoing,
        open=Quota("streams", limit=100, limit_of_tenant=100), log=Log(facts={}), now_s=lambda: 0.0,
        stopping=asyncio.Event(), turns=asyncio.Semaphore(turns), policy=StreamPolicy(heartbeat_s=heartbeat_s),
        stalled_s=5.0,
    )  # fmt: skip


def asks(tenant: str) -> tuple[Request, Admitted]:
    principal = Principal(tenant=tenant, role=Role.ANALYST, expires_at_s=1.0)
    request = Request("GET", b"/v1/changes", {}, None, Incoming(lambda: None), b"id")
    return request, Admitted(principal=principal, placement=PLACEMENT)


def run(story: Callable[[Log_], Awaitable[None]]) -> None:
    async def bounded() -> None:
        policy = UnreadPolicy(bytes_max=1_000, bytes_of_tenant_max=10, wait_s=LONG_S)
        async with asyncio.timeout(WAIT_S):
            await story(Log_(Outgoing(policy)))

    asyncio.run(bounded())


async def let_by(log: Log_, streams: Streams, after: str | None) -> None:
    """Read the first batch of a stream of another tenant, beside five of ``acme`` that wait."""
    waiting = [asyncio.ensure_future(streams.read(*asks("acme"), Start(after=after, limit=10))) for _ in range(5)]
    await asyncio.sleep(0.01)
    await streams.read(*asks("other"), Start(after=None, limit=10))
    assert not any(reading.done() for reading in waiting)
    for reading in waiting:
        reading.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def test_streams_of_a_tenant_that_leaves_much_unread_hold_up_no_other_tenants() -> None:
    async def story(log: Log_) -> None:
        log.outgoing.hold("acme", 10)
        await let_by(log, streams_of(log), None)

    run(story)


def test_streams_that_wait_for_their_bookmark_hold_up_no_others() -> None:
    async def story(log: Log_) -> None:
        await let_by(log, streams_of(log), AHEAD)

    run(story)


def test_a_notice_that_comes_while_a_stream_reads_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LOOK_S", LONG_S)

    async def story(log: Log_) -> None:
        streams = streams_of(log)
        request, admitted = asks("acme")
        stream = await streams.follow(request, admitted, Start(after=None, limit=10), Plain())

        def written() -> None:
            log.changes.append({"bookmark": "us-east/1/1/7"})
            streams.feed.wake()

        log.meanwhile = written
        told = asyncio.Event()

        async def send(part: bytes) -> None:
            told.set()

        running = asyncio.ensure_future(stream.run(send))
        await asyncio.sleep(0.01)
        streams.feed.wake()  # it looks once more, and what is written meanwhile is not in what it reads
        await told.wait()
        request.incoming.lose()
        streams.feed.wake()
        await running

    run(story)


def test_a_stream_that_has_much_to_pass_over_says_that_it_is_alive() -> None:
    async def story(log: Log_) -> None:
        streams = streams_of(log, heartbeat_s=0.0)
        request, admitted = asks("acme")
        log.pages_left = 1_000
        stream = await streams.follow(request, admitted, Start(after=None, limit=10), Plain())

        async def send(part: bytes) -> None:
            assert part == b": heartbeat\n\n"
            request.incoming.lose()

        assert not await stream.run(send)
        assert log.pages_left > 900

    run(story)
