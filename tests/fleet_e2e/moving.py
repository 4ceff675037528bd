"""What the tests of moving placements look at: placements and their plans; and how they hold a region down."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from intelgraph.control.agent.observer.observing import Known, read_known
from intelgraph.control.directory.plans import PlanRecord
from intelgraph.control.store.opened import open_store
from intelgraph.control.store.protocol import ControlStore
from intelgraph.fleet.supervisor.status import Phase, Request
from intelgraph.fleet.supervisor.supervision import ask
from intelgraph.model.placement import Placement
from intelgraph.placement.plan import is_under_way
from tests.fleet_e2e.running import RunningFleet, until
from tests.machine import is_over

_LOOK_S = 0.02
AT_REST = (Phase.READY, Phase.DONE)


@contextlib.asynccontextmanager
async def control(fleet: RunningFleet) -> AsyncIterator[ControlStore]:
    """The fleet's control store as an operator has it."""
    store = open_store(fleet.site.control)
    try:
        yield store
    finally:
        await store.close()


def hold(fleet: RunningFleet, part: str) -> None:
    """Kill a region, or a part of it, and keep it down."""
    assert ask(fleet.fleet, Request(do="hold", part=part)) is not None


def release(fleet: RunningFleet, part: str) -> None:
    """Let it be started again."""
    assert ask(fleet.fleet, Request(do="release", part=part)) is not None


def known(fleet: RunningFleet) -> Known:
    """Every placement and plan now."""

    async def look() -> Known:
        async with control(fleet) as store:
            return await read_known(store)

    return asyncio.run(look())


def what_moves(fleet: RunningFleet) -> list[str]:
    """What is not at rest: plans under way, placements that are to get their standby or durability back, parts."""
    now = known(fleet)
    found = [f"the plan of {name}" for name in now.placements if now.is_under_way(name)]
    placements = [record.placement for record in now.placements.values()]
    found += [f"{each.id} lacks its standby" for each in placements if each.is_degraded or lacks_standby(each)]
    told = ask(fleet.fleet, Request(do="status"))
    if told is None:
        return [*found, "there is no supervisor"]
    return [*found, *(f"{each.name} is {each.phase.value}" for each in told.parts if each.phase not in AT_REST)]


def lacks_standby(placement: Placement) -> bool:
    return placement.standby is None and len(placement.regions) > 1


def wait_until_nothing_moves(fleet: RunningFleet) -> None:
    """Wait until a move may begin: one that is refused because another is under way says nothing."""
    until(lambda: not what_moves(fleet), 0.0, lambda: f"something still moves: {', '.join(what_moves(fleet))}")


async def until_placed(
    store: ControlStore, name: str, condition: Callable[[Placement, PlanRecord], Any], wait_s: float, otherwise: str
) -> tuple[Placement, PlanRecord]:
    """Wait until a placement and its plan are as they should be; what they are then."""
    began_s = time.monotonic()
    while True:
        now = await read_known(store)
        placement, plan = now.placements[name].placement, now.plan_of(name)
        if condition(placement, plan):
            return placement, plan
        assert not is_over(wait_s, began_s), (
            f"{otherwise}, {time.monotonic() - began_s:.0f} s later: {placement}, {plan}"
        )
        await asyncio.sleep(_LOOK_S)


def settled_at(home: str, standby: str | None = None) -> Callable[[Placement, PlanRecord], bool]:
    """Whether a placement has this home (and standby) and no plan of it is under way."""

    def condition(placement: Placement, plan: PlanRecord) -> bool:
        right = placement.home == home and (standby is None or placement.standby == standby)
        return right and not is_under_way(placement, plan.plan)

    return condition
