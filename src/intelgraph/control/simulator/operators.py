"""What an operator does meanwhile: moves, drain and resume, a failover that accepts losing rows, and other changes.

An operator looks at the store as everybody does, asks the same pure functions as the command line, and records a plan
by compare-and-set. Nothing is forced past a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from intelgraph.control.simulator.engine import Steps
from intelgraph.control.simulator.network import ABSENT, Unreachable, Versioned
from intelgraph.control.simulator.region import SCHEMA
from intelgraph.control.simulator.world import World
from intelgraph.model.errors import Denied
from intelgraph.placement.decision import Decision, Stand, Start
from intelgraph.placement.drain import drain
from intelgraph.placement.failover import failover_to
from intelgraph.placement.lease import Watched
from intelgraph.placement.membership import by_hand, declare
from intelgraph.placement.plan import Plan, is_under_way
from intelgraph.placement.switchover import fail_back, switch_to
from intelgraph.placement.view import Copy, Sighting, View
from intelgraph.placement.write_path import WritePath

VERBS = ("switchover", "switchover", "switchover", "failback", "drain", "failover", "declare")


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
    world.engine.spawn(_carry_out(world, order), world.desk, "operator", delay_s=order.at_s)


def _carry_out(world: World, order: Order) -> Steps:
    world.engine.say("operator", f"asks for: {order}")
    try:
        keys = yield from world.store.read(world.desk)
        if order.verb == "drain":
            yield from world.store.compare_and_set(world.desk, {}, {f"regions/{order.region}": True})
            for name in world.allowed:
                view = _view(world, name, keys)
                for leaving in drain([view] if view else [], order.region, world.setting.policy):
                    if leaving.plan is not None:
                        yield from _record(world, keys, leaving.plan)
            yield order.for_s
            yield from world.store.compare_and_set(world.desk, {}, {f"regions/{order.region}": False})
            return
        view = _view(world, order.placement, keys)
        decision = None if view is None else _decide(world, order, view)
        if isinstance(decision, Start):
            yield from _record(world, keys, decision.plan)
        elif decision is not None and decision.denied is not None:
            world.engine.say("operator", f"is told: {decision.denied.reason}")
    except Unreachable:
        world.engine.say("operator", "is told: the control store does not answer")


def _decide(world: World, order: Order, view: View) -> Decision:
    policy = world.setting.policy
    if order.verb == "failback":
        return fail_back(view, policy)
    if order.verb == "declare":
        return _redeclare(view)
    if order.verb == "failover":
        return failover_to(view, order.region, allow_data_loss=True, policy=policy)
    return switch_to(view, order.region, policy)


def _redeclare(view: View) -> Decision:
    """Declare another RPO: any change that a hand makes opens an epoch under the same home."""
    before = view.placement
    if is_under_way(before, view.plan):
        return Stand()
    following = declare(before, replace(before.wanted, rpo_s_max=before.wanted.rpo_s_max + 1.0))
    return (
        Stand(denied=following) if isinstance(following, Denied) else Start(plan=by_hand(before, following, view.plan))
    )


def _record(world: World, keys: Mapping[str, Versioned], plan: Plan) -> Steps:
    name = plan.before.id
    versions = {key: keys.get(key, ABSENT).version for key in (f"placements/{name}", f"plans/{name}")}
    if (yield from world.store.compare_and_set(world.desk, versions, {f"plans/{name}": plan})):
        world.engine.say("operator", f"records {plan.id}: {plan.source} to {plan.target}")
        world.note(f"record {plan.kind.value}")


def _view(world: World, name: str, keys: Mapping[str, Versioned]) -> View | None:
    """What the reports say, as somebody sees it who has just come."""
    placement = keys.get(f"placements/{name}", ABSENT).value
    if placement is None:
        return None
    sightings: dict[str, Mapping[str, Sighting]] = {}
    copies: dict[str, Copy] = {}
    leases: dict[str, Watched] = {}
    writes: dict[str, WritePath] = {}
    for key, entry in keys.items():
        kind, _, who = key.partition("/")
        if kind == "reports":
            sightings[who] = entry.value.leases
            if name in entry.value.copies:
                copies[who] = entry.value.copies[name]
            if entry.value.writes is not None:
                writes[who] = entry.value.writes
        elif kind == "leases":
            leases[who] = Watched(counter=entry.value.counter, version=entry.version, still_s=0.0, looked_s=0.0)
    return View(
        here="operator",
        placement=placement,
        leases=leases,
        sightings=sightings,
        copies=copies,
        plan=keys.get(f"plans/{name}", ABSENT).value,
        schemas=dict.fromkeys(leases, SCHEMA),
        writes=writes,
        drained=frozenset(key[8:] for key, entry in keys.items() if key.startswith("regions/") and entry.value),
    )
