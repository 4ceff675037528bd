"""``python -m intelgraph.changelog.feed_main --config region.json``: the one feed process of a region.

It does four things for as long as it runs, each in its own loop so that a slow peer never holds the local log back:
read the log (settle, digests, wake streams), echo with every peer (staleness), mark the stream (gaps), and compare
digests with peers (repair). Killing it loses nothing: every loop goes on from what the database knows. Only one of a
region's feeds works at a time; another waits for its lock.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import uvloop

from intelgraph.changelog import links, repair
from intelgraph.changelog.echoing import Pulse, send_tokens
from intelgraph.changelog.feed import tally_digests, wake_streams
from intelgraph.changelog.pacing import Pace
from intelgraph.changelog.rounds import GapWatch, Round
from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.settings import Database, RegionConfig, load_region_config

_FEED_LOCK = (7, 1)
_RETRY_S = 0.5
_IDLE_POLL_FACTOR = 2.0


def log(event: str, **facts: object) -> None:
    """Write one JSON line; facts are names and numbers, never payloads."""
    line = {"at": time.time(), "part": "feed", "event": event, **facts}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def open_connection(database: Database) -> asyncpg.Connection:
    """Open one connection; statements of the feed are short, so a silent link is given up after 5 s."""
    # Nothing the feed writes is acknowledged to anybody: no flush is waited for.
    session = {"application_name": "intelgraph-feed", "synchronous_commit": "off"}
    return await connect(database, statement_timeout_s=5, session=session)


async def keep(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` for ever; whatever ends it is logged once per kind and tried again."""
    told: str | None = None
    while True:
        try:
            await work()
            told = None
        except DRIVER_ERRORS as error:
            kind = type(error).__name__
            if kind != told:
                log("loop_interrupted", loop=name, error=kind)
                told = kind
            await asyncio.sleep(_RETRY_S)


class Feed:
    """The loops of one region's feed."""

    def __init__(self, config: RegionConfig) -> None:
        self.config = config
        self.here = config.region
        self.policy = config.feed
        self.gaps = GapWatch()
        self.pulse = Pulse(
            busy_s=self.policy.echo_s, idle_s=self.policy.echo_idle_s, idle_after_s=self.policy.idle_after_s
        )

    async def run(self) -> None:
        """Run every loop until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(keep("log", self.read_log))
            group.create_task(keep("mark", self.mark))
            for peer in self.config.peers:
                group.create_task(keep(f"echo {peer}", lambda peer=peer: self.echo(peer)))  # type: ignore[misc]
                group.create_task(keep(f"compare {peer}", lambda peer=peer: self.compare(peer)))  # type: ignore[misc]

    async def read_log(self) -> None:
        """Settle positions, count digests and wake streams whenever something moved."""
        connection = await open_connection(self.config.admin_database)
        try:
            # Another feed of this region may be working; its session ends with it.
            while not await connection.fetchval("select pg_try_advisory_lock($1, $2)", *_FEED_LOCK):  # noqa: ASYNC110
                await asyncio.sleep(_RETRY_S)
            log("reading", region=self.here)
            seen = None
            wait_s = self.policy.poll_s
            while True:
                await connection.fetchval("select ig.settle()")
                counted = await tally_digests(connection, batch_rows=self.policy.batch_rows)
                now = await connection.fetchval("select sum(position) from ig.settled")
                if counted or now != seen:
                    self.pulse.moved()
                    await wake_streams(connection)
                    seen, wait_s = now, self.policy.poll_s
                else:
                    wait_s = min(wait_s * _IDLE_POLL_FACTOR, self.policy.poll_s * 4)
                if counted < self.policy.batch_rows:
                    await asyncio.sleep(wait_s)
        finally:
            await connection.close(timeout=1)

    async def mark(self) -> None:
        """Send heartbeats and watch the slots; a lost slot is replaced, and the marks tell the peer of the gap."""
        connection = await open_connection(self.config.admin_database)
        try:
            while True:
                await connection.execute("select ig.mark()")
                for link in await links.outgoing_links(
                    connection, here=self.here, destinations=list(self.config.peers)
                ):
                    if link.lost and not link.active:
                        await links.recreate_slot(connection, here=self.here, destination=link.destination)
                        log("slot_replaced", destination=link.destination)
                await asyncio.sleep(self.policy.heartbeat_s)
        finally:
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
            log("gap_opened", peer=peer, buckets=missing)
        if missing:
            pace = Pace(here=here, there=there, region=self.here, peer=peer)
            if compared.snapshot:
                await repair.ask_for_snapshot(pace, placement)
            sent = await repair.ask_for_missing(pace, compared)
            log("reissued", peer=peer, rows=sent)
            return True
        if not (compared.equal and compared.covers and at.is_home(placement)):
            return gap is not None
        if ours and ours["whole_epoch"] < theirs["epoch"]:
            await here.execute("select ig.note_whole($1, $2)", placement, theirs["epoch"])
        if gap is not None:
            if not self.gaps.may_close(placement, gap, home=at.peer_stream, reached=at.peer_position, cut=compared.cut):
                return True
            await here.execute("select ig.close_gap($1, $2)", placement, gap)
            log("gap_closed", peer=peer)
        return False


def main() -> None:
    """Parse the arguments and run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Run the feed of one region.")
    parser.add_argument("--config", type=Path, required=True, help="the region's settings (region.json)")
    config = load_region_config(parser.parse_args().config)

    async def run() -> None:
        task = asyncio.ensure_future(Feed(config).run())
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


if __name__ == "__main__":
    main()
