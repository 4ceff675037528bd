"""Compacting: folding the old part of a placement's log into a snapshot, in every region; state does not change."""

from __future__ import annotations

from contextlib import AsyncExitStack

from intelgraph.changelog.compaction import Compacted, compact_placement
from intelgraph.operations.database import owner_connection, told_failures
from intelgraph.operations.operator import Operator
from intelgraph.operations.placements import show_placement
from intelgraph.operations.record import record

KEEP_ROWS = 100_000


async def compact(
    operator: Operator, placement: str, *, keep_rows: int = KEEP_ROWS, dry_run: bool = False
) -> list[Compacted]:
    """Fold a placement's log up to where every region has settled, but its last ``keep_rows`` positions.

    A dry run says how far it would go. ``database_unavailable`` if any of its regions does not answer.
    """
    regions = (await show_placement(operator, placement)).placement.regions
    if not dry_run:
        record(operator, "compact", placement=placement, keep_rows=keep_rows)
    async with AsyncExitStack() as stack:
        at = {
            name: await stack.enter_async_context(owner_connection(operator.site.region(name).admin_database))
            for name in regions
        }
        with told_failures(" or ".join(regions)):
            return await compact_placement(at, placement=placement, keep_rows=keep_rows, dry_run=dry_run)
