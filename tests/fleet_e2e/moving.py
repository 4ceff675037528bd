"""What the tests of moving placements look at: placements and their plans; and how they hold a region down."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from intelgraph.control.observing import Known, read_known
from intelgraph.control.opened import open_store
from intelgraph.control.plans import PlanRecord
from intelgraph.control.store import ControlStore
from intelgraph.fleet.status import Request
from intelgraph.fleet.supervision import ask
from intelgraph.model.placement import Placement
from intelgraph.placement.plan import is_under_way
from tests.fleet_e2e.running import RunningFleet

_LOOK_S = 0.02


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


async def until_placed(
    store: ControlStore, name: str, condition: Callable[[Placement, PlanRecord], Any], wait_s: float, otherwise: str
) -> tuple[Placement, PlanRecord]:
    """Wait until a placement and its plan are as they should be; what they are then."""
    deadline_s = time.monotonic() + wait_s
    while True:
        now = await read_known(store)
        placement, plan = now.placements[name].placement, now.plan_of(name)
        if condition(placement, plan):
            return placement, plan
        assert time.monotonic() < deadline_s, f"{otherwise}, {wait_s:g} s later: {placement}, {plan}"
        await asyncio.sleep(_LOOK_S)


def settled_at(home: str, standby: str | None = None) -> Callable[[Placement, PlanRecord], bool]:
    """Whether a placement has this home (and standby) and no plan of it is under way."""

    def condition(placement: Placement, plan: PlanRecord) -> bool:
        right = placement.home == home and (standby is None or placement.standby == standby)
        return right and not is_under_way(placement, plan.plan)

    return condition
