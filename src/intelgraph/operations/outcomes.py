"""What became of writes, by their idempotency keys, as the home of their placement tells it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from intelgraph.operations.database import owner_connection, told_failures
from intelgraph.operations.operator import Operator
from intelgraph.operations.placements import show_placement

_ANSWERS = "select k, ig.key_answer($1, $2, k)::text as told from unnest($3::text[]) k"


class RowOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One row that was written under a key."""

    bookmark: str
    outcome: str


class KeyOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of a key (``remote``, ``home-only``, ``adopted``, ``conflict``, ``rejected``, ``unknown``)."""

    outcome: str
    outcomes: tuple[RowOutcome, ...]
    """Of each of its rows."""


async def read_outcomes(operator: Operator, placement: str, tenant: str, keys: Sequence[str]) -> dict[str, KeyOutcome]:
    """Ask the home about keys of a tenant; a transient error while it, or the control store, is away."""
    home = (await show_placement(operator, placement)).placement.home
    async with owner_connection(operator.site.region(home).admin_database) as database:
        with told_failures(home):
            rows = await database.fetch(_ANSWERS, placement, tenant, keys)
    return {row["k"]: msgspec.json.decode(row["told"], type=KeyOutcome) for row in rows}
