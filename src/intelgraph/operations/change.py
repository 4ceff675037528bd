"""A placement's next epoch under the same home: recorded as a plan that the home's agent carries out, and waited for.

A plan, not a bare write to the control store: agents know by it that the epoch is raised and not opened yet, so that
whoever dies in between leaves nothing that would have to be repaired by hand. Where no agents keep leases (a directory
without a fleet) the epoch is raised and opened here.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from intelgraph.control.agent.controller.opening import Opened, open_epoch
from intelgraph.control.directory.placements import Directory, PlacementRecord
from intelgraph.control.directory.plans import PlanRecord, read_plan
from intelgraph.control.store.keys import LEASES
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.errors import refuse
from intelgraph.model.placement import Placement
from intelgraph.operations.operator import Operator
from intelgraph.operations.plan_progress import POLL_S, follow, given_up, record_plan
from intelgraph.placement.membership import by_hand
from intelgraph.placement.plan import is_under_way

TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Changed:
    """The placement as it is now, and the row that opened its epoch."""

    record: PlacementRecord
    opened: Opened


async def change(operator: Operator, record: PlacementRecord, following: Placement, *, force: bool = False) -> Changed:
    """Make ``following`` the placement and open its epoch; the same again finishes what was interrupted."""
    before = record.placement
    async with operator.site.store() as store:
        agents = (await store.read(prefix=LEASES)).entries
        if agents and before.home != following.home:
            raise refuse(
                "use_switchover",
                f"{before.id} is not moved by hand: agents keep leases here, and only they know when {before.home} has "
                f"stopped; `intelgraph switchover --placement {before.id} --to {following.home}` moves it",
                placement=before.id,
                home=before.home,
            )
        if agents:
            await _by_plan(operator, store, record, following, force=force)
            record = await _settled(store, before.id)
        elif following != before:
            record = await Directory(store).update_placement(record, following)
    home = operator.site.region(record.placement.home)
    opened = await open_epoch(record, home.admin_database, force=force)
    return Changed(record=record, opened=replace(opened, repeated=opened.repeated and following == before))


async def _by_plan(
    operator: Operator, store: ControlStore, record: PlacementRecord, following: Placement, *, force: bool
) -> None:
    before, recorded = record.placement, await read_plan(store, record.placement.id)
    if recorded.plan is not None and is_under_way(before, recorded.plan):
        if following not in (before, recorded.plan.after):
            raise refuse(
                "already_moving",
                f"{before.id} is not changed: plan {recorded.plan.id} is under way; one plan at a time",
                placement=before.id,
                plan=recorded.plan.id,
            )
    elif following == before:
        return
    else:
        plan = by_hand(before, following, recorded.plan, force=force)
        recorded = await record_plan(store, record, recorded, plan, operator.actor)
    await _until_over(operator, store, recorded)


async def _settled(store: ControlStore, name: str) -> PlacementRecord:
    """Read the placement when no plan of it is under way: the agents open what a plan has raised."""
    until_s = time.monotonic() + TIMEOUT_S
    while True:
        plan = (await read_plan(store, name)).plan
        record = await Directory(store).placement(name)
        if plan is None or not is_under_way(record.placement, plan):
            return record
        if time.monotonic() >= until_s:
            raise refuse(
                "not_finished",
                f"{name} is changed, but plan {plan.id}, which followed, is not finished after {TIMEOUT_S:g} s; the "
                "agents go on: see `intelgraph status`",
                placement=name,
                plan=plan.id,
            )
        await asyncio.sleep(POLL_S)


async def _until_over(operator: Operator, store: ControlStore, recorded: PlanRecord) -> None:
    (ended,) = await follow(store, [recorded], timeout_s=TIMEOUT_S, on_step=operator.on_step)
    why = given_up(ended)
    if why is not None:
        raise refuse("not_changed", f"{recorded.subject} is not changed: {why}", placement=recorded.subject)
