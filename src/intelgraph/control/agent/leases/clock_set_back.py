"""After a wall clock was set back: subscriptions are made anew, or replication may stand still until it catches up.

PostgreSQL's launcher remembers by the wall clock when it last started an apply worker, and starts none before
``wal_retrieve_retry_interval`` after that. A worker that was started while the clock was an hour ahead and ends when it
is right again is therefore not started for an hour (seen with 18). A subscription made anew has no such memory; it goes
on at its slot, and rows that come twice are dropped by the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from intelgraph.changelog.links import resubscribe
from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.control.agent.leases.steady import Clock
from intelgraph.settings import Database

LOOK_S = 1.0
STEP_S = 2.0
_AGAIN_S = 2.0
_TIMEOUT_S = 10.0


class ClockSetBack:
    """One region's watch on its wall clock. ``run`` is a loop of the agent."""

    def __init__(
        self, database: Database, *, here: str, peers: Iterable[str], clock: Clock, log: Callable[..., None]
    ) -> None:
        self._database = database
        self._here = here
        self._peers = tuple(peers)
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        """Look each second; never ends."""
        owed = set(self._peers) if await self._was_set_back_before() else set[str]()
        ahead_s = self._ahead_s()
        while True:
            now_s = self._ahead_s()
            if ahead_s - now_s >= STEP_S:
                self._log("clock_set_back", by_s=round(ahead_s - now_s, 1))
                owed = set(self._peers)
            ahead_s = now_s
            for peer in sorted(owed):
                if await self._make_anew(peer):
                    owed.discard(peer)
            await asyncio.sleep(_AGAIN_S if owed else LOOK_S)

    def _ahead_s(self) -> float:
        return time.time() - self._clock()

    async def _was_set_back_before(self) -> bool:
        """Whether the server has a process that began in what is the future now."""
        connection = await connect(self._database, timeout_s=_TIMEOUT_S, statement_timeout_s=_TIMEOUT_S)
        try:
            return bool(
                await connection.fetchval(
                    "select exists (select from pg_stat_activity where backend_start > clock_timestamp() + $1)",
                    timedelta(seconds=STEP_S),
                )
            )
        finally:
            connection.terminate()

    async def _make_anew(self, peer: str) -> bool:
        try:
            connection = await connect(self._database, timeout_s=_TIMEOUT_S, statement_timeout_s=_TIMEOUT_S)
            try:
                await resubscribe(connection, here=self._here, origin=peer)
            finally:
                connection.terminate()
        except DRIVER_ERRORS as error:
            self._log("not_resubscribed", peer=peer, error=type(error).__name__)
            return False
        self._log("resubscribed", peer=peer)
        return True
