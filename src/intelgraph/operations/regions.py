"""Draining a region, so that nothing needs it, and letting it take part again."""

from __future__ import annotations

from intelgraph.control.directory import regions
from intelgraph.control.directory.regions import RegionState
from intelgraph.control.store.protocol import ControlStore
from intelgraph.operations.moves import DEFAULTS, Asked, Intent, Moved, MoveOptions, carry_out
from intelgraph.operations.operator import Operator
from intelgraph.operations.record import record
from intelgraph.operations.view import OperatorsView
from intelgraph.placement.drain import Leaving
from intelgraph.placement.drain import drain as leave


async def drain_region(operator: Operator, region: str, *, options: MoveOptions = DEFAULTS) -> Moved:
    """Move what ``region`` writes elsewhere, and give what it stands by for another standby.

    It takes nothing over until it is resumed. The actor's reason is kept with the region.
    """
    operator.site.region(region)

    def decide(view: OperatorsView) -> list[Intent]:
        others = [name for name in view.reports if name != region]
        views = [view.view(name, as_of=others[0] if others else None) for name in sorted(view.known.placements)]
        return [_intent(leaving) for leaving in leave(views, region, operator.site.policy)]

    async def declare(store: ControlStore) -> None:
        await regions.drain(store, region, why=operator.actor.reason, by=operator.actor.subject)

    asked = Asked(operation="region drain", facts={"region": region})
    return await carry_out(operator, asked, decide, options, declare)


async def resume_region(operator: Operator, region: str) -> bool:
    """Let ``region`` take part again; returns whether it was drained. Nothing moves by this."""
    operator.site.region(region)
    record(operator, "region resume", region=region)
    async with operator.site.store() as store:
        return await regions.declare(store, region, RegionState())


def _intent(leaving: Leaving) -> Intent:
    note = "" if leaving.plan or leaving.denied else "nothing to be done: it is neither home nor standby"
    return Intent(
        placement=leaving.placement,
        plan=leaving.plan,
        denied=leaving.denied,
        read_only=leaving.read_only,
        note=note,
    )
