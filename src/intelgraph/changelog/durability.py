"""Waits until a standby has flushed what was committed here: ``remote`` durability without synchronous_standby_names.

One loop per process asks Postgres, only while somebody waits. The position to reach is the server's flush position
read *after* the commit, in the same round trip (a position read inside the transaction can be passed by another's
commit), and it is compared with what the standby reports as flushed. No lock is held by a waiting write.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intelgraph.changelog.links import slot_name
from intelgraph.connection import DRIVER_ERRORS

if TYPE_CHECKING:
    from asyncpg import Pool
    from asyncpg.pool import PoolConnectionProxy

# Seconds between two looks: a share of what the wait usually takes.
_POLL_S_MIN, _POLL_S_MAX = 0.0015, 0.01
_POLL_SHARE = 1 / 25
_LEARNING = 0.1
_POLL_SLOW_S = 0.02
_LOOK_S_MAX = 1.0


def lsn_number(text: str | None) -> int:
    """Turn ``16/B374D848`` into a number; an unknown position is below every other."""
    if not text:
        return -1
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)


@dataclass(kw_only=True)
class Waiting:
    """A write that waits for ``slot`` to have flushed ``target`` (bytes of the WAL)."""

    slot: str
    target: int
    done: asyncio.Future[None]
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, kw_only=True)
class Flushed:
    """Of which bytes of the WAL a standby says that it has flushed them: beyond ``since``, up to ``upto``."""

    since: int = -1
    upto: int = -1


_NOTHING = Flushed()


def reached(waiting: Iterable[Waiting], flushed: Mapping[str, Flushed]) -> list[Waiting]:
    """Return those whose standby has flushed their target; ``flushed`` is by slot.

    A slot that was made anew never delivers what was written before: of that nobody knows whether the standby has it.
    """
    known = ((waiter, flushed.get(waiter.slot, _NOTHING)) for waiter in waiting)
    return [waiter for waiter, it in known if it.since < waiter.target <= it.upto]


def pause_s(usual_waits_s: Iterable[float]) -> float:
    """How long to pause between two looks, given how long each standby that is waited for usually takes.

    A look costs CPU here and in the server; over a link that takes 80 ms, one each millisecond tells nothing new.
    """
    return min(max(min(usual_waits_s, default=0.0) * _POLL_SHARE, _POLL_S_MIN), _POLL_S_MAX)


@dataclass(kw_only=True)
class StandbyWaiter:
    """``wait`` returns whether ``standby`` flushed, within ``timeout_s``, this server's WAL up to a position."""

    pool: Pool
    here: str
    _waiting: list[Waiting] = field(default_factory=list)
    _usual_s: dict[str, float] = field(default_factory=dict)
    _loop: asyncio.Task[None] | None = None

    @property
    def is_looking(self) -> bool:
        """Whether the loop runs: only while somebody waits."""
        return self._loop is not None and not self._loop.done()

    async def wait(self, standby: str, position: str, timeout_s: float) -> bool:
        """Wait for ``position``, read after the commit; ``False`` means unknown, not lost."""
        target = lsn_number(position)
        if target < 0:
            return False
        done = asyncio.get_running_loop().create_future()
        waiter = Waiting(slot=slot_name(self.here, standby), target=target, done=done)
        self._waiting.append(waiter)
        if not self.is_looking:
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
            try:
                async with self.pool.acquire(timeout=_LOOK_S_MAX) as connection:
                    await self._poll_on(connection)
            except DRIVER_ERRORS:
                # The database is away; whoever waits too long for it is told unknown.
                await asyncio.sleep(_POLL_SLOW_S)

    async def _poll_on(self, connection: PoolConnectionProxy) -> None:
        while self._waiting:
            flushed = await _look(connection)
            for waiter in reached(self._waiting, flushed):
                if not waiter.done.done():
                    waiter.done.set_result(None)
                    self._learn(waiter.slot, time.monotonic() - waiter.since)
            await asyncio.sleep(pause_s(self._usual_s.get(waiter.slot, 0.0) for waiter in self._waiting))

    def _learn(self, slot: str, waited_s: float) -> None:
        usual = self._usual_s.get(slot, waited_s)
        self._usual_s[slot] = usual + (waited_s - usual) * _LEARNING


async def _look(connection: PoolConnectionProxy) -> dict[str, Flushed]:
    asked = "select slot, lsn::text, since::text from ig.flushed()"
    rows = await connection.fetch(asked, timeout=_LOOK_S_MAX)
    return {row["slot"]: Flushed(since=lsn_number(row["since"]), upto=lsn_number(row["lsn"])) for row in rows}
