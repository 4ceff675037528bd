"""What an operator does meanwhile: moves, drain and resume, a failover that accepts losing rows, and other changes.

An operator looks at the store as everybody does, asks the same pure functions as the command line, and records a plan
by compare-and-set. Nothing is forced past a refusal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from intelgraph.control.agent.leases.keeper import lease_from
from intelgraph.control.agent.observer.observing import BY_HAND, Known, read_known
from intelgraph.control.directory import plans, regions
from intelgraph.control.directory.plans import Times, wall_now
from intelgraph.control.directory.regions import RegionState
from intelgraph.control.directory.reports import REPORTS, Report, report_from
from intelgraph.control.store.keys import LEASES
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.errors import Denied, IntelGraphError
from intelgraph.model.placement import Placement
from intelgraph.placement.decision import Decision, Stand, Start
from intelgraph.placement.drain import drain
from intelgraph.placement.failover import failover_to
from intelgraph.placement.membership import by_hand, declare
from intelgraph.placement.observation import Look, view_as
from intelgraph.placement.plan import Plan, is_under_way
from intelgraph.placement.switchover import fail_back, switch_to
from intelgraph.placement.view import View
from intelgraph.simulator.store import StoreClient
from intelgraph.simulator.world import World

VERBS = (
    "switchover",
    "switchover",
    "switchover",
    "failback",
    "drain",
    "drain",
    "failover",
    "declare",
    "declare",
    "declare",
)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What an operator asks for, and when. A drained region is resumed after ``for_s``."""

    at_s: float
    verb: str
    placement: str
    region: str
    for_s: float = 10.0

    def __str__(self) -> str:
        return f"{self.verb} {self.region if self.verb == 'drain' else f'{self.placement} to {self.region}'}"


def give(world: World, order: Order) -> None:
    """Have an order given in its time."""
    world.universe.after(order.at_s, _begin, world, order)


def _begin(world: World, order: Order) -> None:
    world.desk.process("operator").run(_carry_out(world, order))


@dataclass(frozen=True, kw_only=True)
class _Desk:
    """What an operator has read."""

    store: ControlStore
    known: Known
    reports: Mapping[str, Report]
    schemas: Mapping[str, str]

    def view(self, name: str) -> View | None:
        """One placement as the region that writes it reports, or whoever does."""
        record = self.known.placements.get(name)
        if record is None or not self.reports:
            return None
        home = record.placement.home
        here = home if home in self.reports else sorted(self.reports)[0]
        look = Look(
            plans={key: each.plan for key, each in self.known.plans.items() if each.plan is not None},
            drained=self.known.drained,
            schemas=self.schemas,
        )
        return view_as(here, self.reports, record.placement, look)


async def _carry_out(world: World, order: Order) -> None:
    world.universe.say("operator", f"asks for: {order}")
    store = StoreClient(world.store, "operator")
    try:
        if order.verb == "drain":
            await regions.drain(store, order.region, why="a schedule", by="operator")
            desk = await _looked(store)
            for name in world.allowed:
                view = desk.view(name)
                for leaving in drain([view] if view else [], order.region, world.setting.policy):
                    if leaving.plan is not None:
                        await _record(world, desk, leaving.plan)
            await asyncio.sleep(order.for_s)
            await regions.declare(store, order.region, RegionState())
            return
        desk = await _looked(store)
        view = desk.view(order.placement)
        decision = None if view is None else _decide(world, order, view)
        if isinstance(decision, Start):
            await _record(world, desk, decision.plan)
        elif decision is not None and decision.denied is not None:
            world.universe.say("operator", f"is told: {decision.denied.reason}")
    except IntelGraphError as error:
        world.universe.say("operator", f"is told: {error.denied.reason}")


def _decide(world: World, order: Order, view: View) -> Decision:
    policy = world.setting.policy
    if order.verb == "failback":
        return fail_back(view, policy)
    if order.verb == "declare":
        before = view.placement
        # Another RPO: any change that a hand makes opens an epoch under the same home.
        return _by_hand(view, declare(before, replace(before.wanted, rpo_s_max=before.wanted.rpo_s_max + 1.0)))
    if order.verb == "failover":
        return failover_to(view, order.region, allow_data_loss=True, policy=policy)
    return switch_to(view, order.region, policy)


def _by_hand(view: View, following: Placement | Denied) -> Decision:
    if is_under_way(view.placement, view.plan):
        return Stand()
    if isinstance(following, Denied):
        return Stand(denied=following)
    return Start(plan=by_hand(view.placement, following, view.plan))


async def _record(world: World, desk: _Desk, plan: Plan) -> None:
    name = plan.before.id
    times = Times(decided_at=wall_now(), decided_by=BY_HAND)
    await plans.record(desk.store, desk.known.placements[name], desk.known.plan_of(name), plan, times)


async def _looked(store: ControlStore) -> _Desk:
    """Look as somebody who has just come: at what the store has, and at what everybody reports."""
    reports = (await store.read(prefix=REPORTS)).entries
    leases = (await store.read(prefix=LEASES)).entries
    found = {key.removeprefix(LEASES): lease_from(entry) for key, entry in leases.items()}
    return _Desk(
        store=store,
        known=await read_known(store),
        reports={key.removeprefix(REPORTS): report_from(key, entry.value or b"") for key, entry in reports.items()},
        schemas={region: lease.schema for region, lease in found.items() if lease is not None},
    )
