"""Completing the removal of a region from a placement: nothing addressed to it before may still be on its way.

A row's address is frozen when it is written, so rows written before the removal stand in the slots of every region
that ever wrote for the placement. Removal is complete only when each of those slots has passed it. A region that is
unreachable is cut off instead: its slots skip what was not delivered, it is told of its removal alone, and what it
missed of other placements is repaired when it is back. What had already left a server may stand in the network until
its receiver gives the connection up, so that long a cut-off waits before it calls the removal complete.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intelgraph.changelog.links import cut_off, receiver_patience_s, slot_name
from intelgraph.model.errors import retry

if TYPE_CHECKING:
    from asyncpg import Connection

_POLL_S = 0.05
_PATIENCE_MARGIN_S = 1.5  # a receiver looks at its clock once a second


@dataclass(frozen=True, kw_only=True)
class Removal:
    """How a region left: the origins whose stream ``passed`` the removal, and those that were ``cut``."""

    placement: str
    region: str
    passed: tuple[str, ...]
    cut: tuple[str, ...]


async def complete_removal(
    origins: Mapping[str, Connection], *, placement: str, region: str, wait_s: float, cut: bool
) -> Removal:
    """Wait until the slots of ``origins`` have passed the removal; with ``cut``, skip what cannot be delivered.

    ``origins`` are owners' connections to the regions that hold the placement. While the link stays silent, nothing
    written before can arrive at ``region`` once this has returned. Raises ``removal_pending``, naming the
    origins that still hold undelivered rows, when the wait is over and nothing may be skipped.
    """
    targets = {name: await at.fetchval("select pg_current_wal_flush_lsn()::text") for name, at in origins.items()}
    deadline = time.monotonic() + wait_s
    pending = dict(targets)
    while pending:
        for name, target in list(pending.items()):
            if await _passed(origins[name], slot_name(name, region), target):
                del pending[name]
        if not pending or time.monotonic() >= deadline:
            break
        await asyncio.sleep(_POLL_S)
    if pending and not cut:
        raise retry(
            "removal_pending",
            f"the removal of {region} from {placement} is open but not complete: {', '.join(sorted(pending))} still "
            f"holds rows addressed to it that it has not received; wait for the link, or cut {region} off",
            retry_after_s=5.0,
            region=region,
            placement=placement,
            pending=sorted(pending),
        )
    for name in pending:
        await cut_off(origins[name], here=name, destination=region)
        await origins[name].fetchval("select ig.reissue_opens($1, $2)", placement, region)
    if pending:
        patience_s = max([await receiver_patience_s(origins[name]) for name in pending])
        await asyncio.sleep(patience_s + _PATIENCE_MARGIN_S)
    passed = tuple(sorted(set(targets) - set(pending)))
    return Removal(placement=placement, region=region, passed=passed, cut=tuple(sorted(pending)))


async def _passed(origin: Connection, slot: str, target: str) -> bool:
    confirmed: bool | None = await origin.fetchval(
        "select confirmed_flush_lsn >= $2::text::pg_lsn from pg_replication_slots where slot_name = $1", slot, target
    )
    return bool(confirmed)
