"""The feed process of a region: its loops.

It does four things for as long as it runs, each in its own loop so that a slow peer never holds the local log back:
read the log (settle, digests, subscribers), echo with every peer (staleness), mark the stream (gaps), and compare
digests with peers (repair). Killing it loses nothing: every loop goes on from what the database knows. Only one of a
region's feeds works at a time; another waits for its lock.
"""

from __future__ import annotations

import asyncio
from functools import partial

import asyncpg

from intelgraph.changelog import links, repair
from intelgraph.changelog.feed.host import Host
from intelgraph.changelog.feed.lag_probe import Pulse, send_tokens
from intelgraph.changelog.feed.metrics import FeedMetrics
from intelgraph.changelog.feed.registry import SUBSCRIBERS
from intelgraph.changelog.feed.rounds import GapWatch, Round
from intelgraph.changelog.feed.status import read_subscribers
from intelgraph.changelog.pace import Pace
from intelgraph.connection import connect
from intelgraph.exposition import serve_beside
from intelgraph.runtime.json_log import JsonLog
from intelgraph.runtime.loops import Loops
from intelgraph.settings import Database, RegionConfig

_FEED_LOCK = (7, 1)
_RETRY_S = 0.5
_IDLE_POLL_FACTOR = 2.0


async def open_connection(database: Database) -> asyncpg.Connection:
    """Open one connection; statements of the feed are short, so a silent link is given up after 5 s."""
    # Nothing the feed writes is acknowledged to anybody: no flush is waited for.
    session = {"application_name": "intelgraph-feed", "synchronous_commit": "off"}
    return await connect(database, statement_timeout_s=5, session=session)


class Feed:
    """The loops of one region's feed."""

    def __init__(self, config: RegionConfig) -> None:
        self.config = config
        self.here = config.region
        self.policy = config.feed
        self.log = JsonLog("feed")
        self.gaps = GapWatch()
        self.metrics = FeedMetrics()
        self.pulse = Pulse(
            busy_s=self.policy.echo_s, idle_s=self.policy.echo_idle_s, idle_after_s=self.policy.idle_after_s
        )
        self.loops = Loops(
            retry_s=_RETRY_S,
            on_failure=lambda loop, error: self.log("loop_interrupted", loop=loop, error=type(error).__name__),
            on_recovery=lambda loop: self.log("loop_recovered", loop=loop),
        )

    async def run(self) -> None:
        """Run every loop until cancelled."""
        loops = {"log": self.read_log, "mark": self.mark}
        for peer in self.config.peers:
            loops[f"echo {peer}"] = partial(self.echo, peer)
            loops[f"compare {peer}"] = partial(self.compare, peer)
        if self.config.feed_port:
            loops["metrics"] = partial(
                serve_beside, self.metrics.text, host=self.config.api_host, port=self.config.feed_port
            )
        async with asyncio.TaskGroup() as group:
            for name, loop in loops.items():
                group.create_task(self.loops.keep(name, loop))

    async def read_log(self) -> None:
        """Settle positions, count digests and tell the subscribers whenever something moved."""
        connection = await open_connection(self.config.admin_database)
        try:
            # Another feed of this region may be working; its session ends with it.
            while not await connection.fetchval("select pg_try_advisory_lock($1, $2)", *_FEED_LOCK):  # noqa: ASYNC110
                await asyncio.sleep(_RETRY_S)
            self.log("reading", region=self.here)
            host = Host(
                partial(open_connection, self.config.admin_database),
                [make(self.config) for make in SUBSCRIBERS],
                policy=self.policy.subscribers,
                log=self.log,
            )
            hosting = asyncio.create_task(self.loops.keep("subscribers", host.run))
            try:
                await self._watch_log(connection, host)
            finally:
                hosting.cancel()
                await asyncio.gather(hosting, return_exceptions=True)
        finally:
            await connection.close(timeout=1)

    async def _watch_log(self, connection: asyncpg.Connection, host: Host) -> None:
        seen = None
        wait_s = self.policy.poll_s
        while True:
            await connection.fetchval("select ig.settle()")
            counted: int = await connection.fetchval("select ig.tally($1)", self.policy.batch_rows)
            now = await connection.fetchval("select sum(position) from ig.settled")
            self.loops.works("log")
            if counted or now != seen:
                self.pulse.moved()
                host.moved()
                seen, wait_s = now, self.policy.poll_s
            else:
                wait_s = min(wait_s * _IDLE_POLL_FACTOR, self.policy.poll_s * 4)
            if counted < self.policy.batch_rows:
                await asyncio.sleep(wait_s)

    async def mark(self) -> None:
        """Send heartbeats, watch the slots and measure.

        A lost slot is replaced, and the marks tell the peer of the gap.
        """
        connection = await open_connection(self.config.admin_database)
        try:
            while True:
                await connection.execute("select ig.mark()")
                for link in await links.outgoing_links(
                    connection, here=self.here, destinations=list(self.config.peers)
                ):
                    if link.lost and not link.active:
                        await links.recreate_slot(connection, here=self.here, destination=link.destination)
                        self.log("slot_replaced", destination=link.destination)
                self.metrics.measure(await read_subscribers(connection))
                self.loops.works("mark")
                await asyncio.sleep(self.policy.heartbeat_s)
        finally:
            self.metrics.forget()
            await connection.close(timeout=1)

    async def echo(self, peer: str) -> None:
        """Send this machine's monotonic clock through the peer's log."""
        database = self.config.peers[peer].database
        await send_tokens(lambda: open_connection(database), region=self.here, pulse=self.pulse)

    async def compare(self, peer: str) -> None:
        """Compare digests with a peer; open a gap where rows are missing here, ask for them, close it when equal."""
        here = await open_connection(self.config.admin_database)
        try:
            there = await open_connection(self.config.peers[peer].database)
            try:
                before: Round | None = None
                while True:
                    before = Round(
                        peer=peer, here=await repair.report(here), there=await repair.report(there), before=before
                    )
                    gaps = False
                    for placement in before.shared(self.here):
                        gaps |= await self.compare_placement(here, there, before, placement)
                    before = before.alone()
                    self.loops.works(f"compare {peer}")
                    await asyncio.sleep(min(_RETRY_S, self.policy.compare_s) if gaps else self.policy.compare_s)
            finally:
                there.terminate()
        finally:
            await here.close(timeout=1)

    async def compare_placement(
        self, here: asyncpg.Connection, there: asyncpg.Connection, at: Round, placement: str
    ) -> bool:
        """Compare and, if rows are missing here, repair one placement; returns whether it has a gap."""
        ours, theirs, peer = at.here["placements"].get(placement), at.there["placements"][placement], at.peer
        gap = ours["gap"] if ours else None
        if theirs["gap"] is not None:
            return gap is not None
        compared = await repair.compare(here, there, placement=placement, peer=peer, stalled=at.stalled)
        missing = sum(len(buckets) for buckets in compared.lacking.values())
        if missing and gap is None:
            await here.execute(
                "select ig.open_gap($1, $2)", placement, f"its digest differs from {peer}'s in {missing} buckets"
            )
            self.log("gap_opened", peer=peer, buckets=missing)
        if missing:
            pace = Pace(here=here, there=there, region=self.here, peer=peer)
            sent = await repair.ask_for_missing(pace, compared)
            if compared.snapshot and sent.whole:
                await repair.ask_for_snapshot(pace, placement)
            self.log("reissued", peer=peer, rows=sent.rows)
            return True
        if not (compared.equal and compared.covers and at.is_home(placement)):
            return gap is not None
        if ours and ours["whole_epoch"] < theirs["epoch"]:
            await here.execute("select ig.note_whole($1, $2)", placement, theirs["epoch"])
        if gap is not None:
            if not self.gaps.may_close(placement, gap, home=at.peer_stream, reached=at.peer_position, cut=compared.cut):
                return True
            await here.execute("select ig.close_gap($1, $2)", placement, gap)
            self.log("gap_closed", peer=peer)
        return False
