"""Waits until a standby has flushed what was committed here: ``remote`` durability without synchronous_standby_names.

One loop per process asks Postgres, only while somebody waits. The position to reach is the server's flush position
read *after* the commit (a position read inside the transaction can be passed by another's commit), and it is compared
with what the standby reports as flushed. No lock and no connection is held by a waiting write.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intelgraph.changelog.links import slot_name
from intelgraph.connection import DRIVER_ERRORS

if TYPE_CHECKING:
    from asyncpg import Pool

_POLL_S = 0.001
_POLL_SLOW_S = 0.02


def lsn_number(text: str | None) -> int:
    """Turn ``16/B374D848`` into a number; an unknown position is below every other."""
    if not text:
        return -1
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)


@dataclass(kw_only=True)
class _Waiting:
    slot: str
    done: asyncio.Future[None]
    target: int | None = None


@dataclass(frozen=True, kw_only=True)
class FlushReport:
    """One look: this server's flush position, and each slot's (bytes from the start of the WAL)."""

    here: int
    there: dict[str, int]


def settle_waiters(waiting: Iterable[_Waiting], report: FlushReport) -> list[_Waiting]:
    """Give new waiters their target and return those whose standby has reached theirs."""
    reached = []
    for waiter in waiting:
        if waiter.target is None:
            waiter.target = report.here
        if report.there.get(waiter.slot, -1) >= waiter.target:
            reached.append(waiter)
    return reached


@dataclass(kw_only=True)
class StandbyWaiter:
    """``wait`` returns whether ``standby`` flushed, within ``timeout_s``, everything committed before the call."""

    pool: Pool
    here: str
    _waiting: list[_Waiting] = field(default_factory=list)
    _loop: asyncio.Task[None] | None = None

    async def wait(self, standby: str, timeout_s: float) -> bool:
        """Call it after the commit; ``False`` means unknown, not lost."""
        done = asyncio.get_running_loop().create_future()
        waiter = _Waiting(slot=slot_name(self.here, standby), done=done)
        self._waiting.append(waiter)
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._poll())
        try:
            await asyncio.wait_for(done, timeout_s)
        except TimeoutError:
            return False
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)
        return True

    async def _poll(self) -> None:
        while self._waiting:
            # Who begins to wait during the look may have committed after it: the next look is theirs.
            waiting = list(self._waiting)
            try:
                report = await self._look()
            except DRIVER_ERRORS:
                # The database is away; whoever waits too long for it is told unknown.
                await asyncio.sleep(_POLL_SLOW_S)
                continue
            for waiter in settle_waiters(waiting, report):
                if not waiter.done.done():
                    waiter.done.set_result(None)
            await asyncio.sleep(_POLL_S)

    async def _look(self) -> FlushReport:
        async with self.pool.acquire(timeout=1.0) as connection:
            rows = await connection.fetch(
                "select slot, here_lsn::text as here, there_lsn::text as there from ig.flushed()", timeout=1.0
            )
        there = {row["slot"]: lsn_number(row["there"]) for row in rows if row["slot"]}
        return FlushReport(here=lsn_number(rows[0]["here"]), there=there)
