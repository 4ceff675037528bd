"""Verifying: do all regions of a placement hold the same rows, up to a stable cut?

What both regions know to be settled is compared; what lies beyond is listed, with what it waits for.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg
import msgspec

from intelgraph.changelog.comparison import Stream
from intelgraph.changelog.repair import Compared, compare, report
from intelgraph.control.agent.observer.observing import WAITS_S
from intelgraph.control.agent.observer.own_database import OpenTransaction, transaction_text
from intelgraph.operations.database import owner_connection, told_failures
from intelgraph.operations.operator import Operator

_AGAIN_S = 0.05
_SETTLES_S = 3.0
"""For so long in all it is waited for what is equal to be settled too: the end of a life that is over never is."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """Two regions of a placement, compared. ``gap``: which of them lacks rows; ``waits_for``: transactions."""

    compared: Compared
    one: str
    gap: str | None
    rows: int
    waits_for: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether they hold the same, and all of it."""
        return self.compared.equal and self.gap is None

    @property
    def ends(self) -> dict[Stream, int]:
        """By stream: the last position that was given out when this was looked at."""
        return {**self.compared.cut, **self.compared.beyond}

    @property
    def not_compared(self) -> dict[str, list[int]]:
        """By stream: the first and the last position that are not settled in both regions."""
        cut, beyond = self.compared.cut, self.compared.beyond
        return {f"{s.origin}/{s.life}": [cut.get(s, 0) + 1, last] for s, last in beyond.items()}

    def compares(self, ends: Mapping[Stream, int]) -> bool:
        """Whether everything up to ``ends`` is settled in both regions, and so was compared."""
        return all(self.compared.cut.get(stream, 0) >= last for stream, last in ends.items())


async def verify(operator: Operator, *, placement: str | None = None, wait_s: float = 0.0) -> list[Verified]:
    """Compare each two regions of a placement, or of every one; none where no placement is in two regions.

    Until ``wait_s`` are over it is waited for equality, and a few seconds more for what was written before to be
    settled. ``database_unavailable`` if any region does not answer.
    """
    site = operator.site
    async with AsyncExitStack() as stack:
        at = {
            name: await stack.enter_async_context(owner_connection(config.admin_database))
            for name, config in site.regions.items()
        }
        async with site.directory() as directory:
            records = [await directory.placement(placement)] if placement else await directory.placements()
        deadline, settling_s = time.monotonic() + wait_s, 0.0
        found = []
        for record in records:
            for one, other in itertools.combinations(record.placement.regions, 2):
                ends: dict[Stream, int] | None = None
                while True:
                    with told_failures(f"{one} or {other}"):
                        line = await _compare(at, record.placement.id, one, other)
                    ends = line.ends if ends is None else ends
                    now = time.monotonic()
                    if now >= deadline or (line.good and (line.compares(ends) or settling_s >= _SETTLES_S)):
                        break
                    if line.good:
                        settling_s += _AGAIN_S
                    await asyncio.sleep(_AGAIN_S)
                found.append(line)
        return found


async def is_whole(operator: Operator, placement: str, regions: tuple[str, ...]) -> bool:
    """Whether all of these regions hold the placement, the same of it, and without a gap.

    A transient error while one of their databases is away.
    """
    async with AsyncExitStack() as stack:
        at = {
            name: await stack.enter_async_context(owner_connection(operator.site.region(name).admin_database))
            for name in regions
        }
        with told_failures(" or ".join(regions)):
            for one, other in itertools.combinations(regions, 2):
                if not (await compare(at[one], at[other], placement=placement, peer=other)).equal:
                    return False
            for database in at.values():
                facts = (await report(database))["placements"].get(placement)
                if facts is None or facts["gap"]:
                    return False
    return True


async def _compare(at: dict[str, asyncpg.Connection], placement: str, one: str, other: str) -> Verified:
    compared = await compare(at[one], at[other], placement=placement, peer=other)
    gaps = [
        f"{name} has a gap: {facts['gap']}"
        for name in (one, other)
        if (facts := (await report(at[name]))["placements"].get(placement)) and facts["gap"]
    ]
    rows = await at[one].fetchval(
        "select coalesce(sum(rows), 0)::bigint from ig.digest where placement = $1", placement
    )
    waits_for = [text for name in (one, other) if (text := await _waits_for(at[name], name)) is not None]
    gap = "; ".join(gaps) or None
    return Verified(compared=compared, one=one, gap=gap, rows=rows, waits_for=tuple(waits_for))


async def _waits_for(database: asyncpg.Connection, region: str) -> str | None:
    """Name the transaction that a region's log waits for, if one is open for long."""
    told = await database.fetchval("select ig.oldest_transaction()::text")
    oldest = None if told is None else msgspec.json.decode(told, type=OpenTransaction)
    return None if oldest is None or oldest.age_s < WAITS_S else transaction_text(oldest, region)
