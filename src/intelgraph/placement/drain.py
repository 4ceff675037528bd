"""Draining a region: which placements move where, which lose their standby, which refuse and why.

A drain is a list of ordinary plans, one a placement, and of refusals; ``--dry-run`` prints it. Nothing here says that
the region may then be stopped: that is so when its drain is ``complete`` and every plan has finished. Resuming a
region (``drained: false``) starts no plan: its placements come back by ``failback``, standbys by ``standby``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from intelgraph.model.errors import Denied
from intelgraph.placement.decision import Start, plan_id
from intelgraph.placement.fitness import caught_up
from intelgraph.placement.plan import Kind, Plan, is_under_way
from intelgraph.placement.policy import Policy
from intelgraph.placement.switchover import after_move, illegal, lacks_standby, next_epoch, refuses_without_standby
from intelgraph.placement.view import View


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """What becomes of one placement when a region is drained."""

    placement: str
    plan: Plan | None
    """What moves it, or gives it another standby; none when nothing is to be done or nothing can be."""
    denied: Denied | None
    """Why it stays where it is; or, beside a plan, what it goes without from then on."""
    read_only: bool = False
    """Whether its writes stop when the region does."""


def drain(views: Iterable[View], region: str, policy: Policy) -> tuple[Leaving, ...]:
    """Say, for each placement that ``region`` may hold, what draining the region means."""
    leaving = (replace(view, drained=view.drained | {region}) for view in views)
    return tuple(_leave(view, region, policy) for view in leaving if region in view.placement.regions)


def complete(leavings: Iterable[Leaving]) -> bool:
    """Whether the region is needed by nobody once the plans have finished."""
    return all(one.plan is not None or one.denied is None for one in leavings)


def _leave(view: View, region: str, policy: Policy) -> Leaving:
    if region == view.placement.home:
        return _move_home(view, region, policy)
    if region == view.placement.standby:
        return _move_standby(view, region, policy)
    return Leaving(placement=view.placement.id, plan=None, denied=None)


def _move_home(view: View, region: str, policy: Policy) -> Leaving:
    placement = view.placement
    ranked = [name for name in (placement.standby, *placement.regions) if name is not None and name != region]
    whys = {name: illegal(view, name, policy) for name in dict.fromkeys(ranked)}
    target = next((name for name, why in whys.items() if why is None), None)
    if target is None:
        facts = "; ".join(f"{name}: {why.fact}" for name, why in whys.items() if why) or "no other region is allowed"
        return _stays(
            placement.id, f"cannot move {placement.id} from {region}: {facts}; without {region} it is read-only"
        )
    after = after_move(view, target, Kind.FAILBACK, policy)  # what was declared stays declared
    lacks = lacks_standby(after)
    if lacks is not None:
        return _stays(placement.id, f"cannot move {placement.id} from {region}: {lacks.fact}; {lacks.limit}")
    plan = Plan(id=plan_id(placement, Kind.SWITCHOVER, view.plan), kind=Kind.SWITCHOVER, before=placement, after=after)
    others = {name: why for name, why in whys.items() if name != target and why is not None}
    nobody = "; ".join(f"{name}: {why.fact}" for name, why in others.items()) or f"{region} is drained"
    return Leaving(placement=placement.id, plan=plan, denied=_goes_without(after.standby, placement.id, nobody))


def _move_standby(view: View, region: str, policy: Policy) -> Leaving:
    placement = view.placement
    others = (name for name in placement.regions if name not in (placement.home, region))
    whys = {name: caught_up(view, name, policy) for name in others}
    standby = next((name for name, why in whys.items() if why is None), None)
    nobody = "; ".join(f"{name}: {why.fact}" for name, why in whys.items() if why) or "no other region is allowed"
    if standby is None and refuses_without_standby(placement):
        why = f"cannot replace {region} as standby of {placement.id}: {nobody}"
        return _stays(placement.id, f"{why}; it declared to refuse writes without a standby")
    if view.plan is not None and is_under_way(placement, view.plan):
        return _stays(
            placement.id,
            f"cannot replace {region} as standby of {placement.id}: plan {view.plan.id} is under way",
            read_only=False,
        )
    after = next_epoch(placement, home=placement.home, standby=standby, declared=placement.wanted)
    started = Start(
        plan=Plan(id=plan_id(placement, Kind.RESTAND, view.plan), kind=Kind.RESTAND, before=placement, after=after)
    )
    return Leaving(placement=placement.id, plan=started.plan, denied=_goes_without(standby, placement.id, nobody))


def _stays(placement: str, reason: str, *, read_only: bool = True) -> Leaving:
    denied = Denied(code="cannot_leave", reason=reason, facts={"placement": placement})
    return Leaving(placement=placement, plan=None, denied=denied, read_only=read_only)


def _goes_without(standby: str | None, placement: str, nobody: str) -> Denied | None:
    if standby is not None:
        return None
    reason = f"{placement} goes on without a standby: {nobody}"
    return Denied(code="no_standby", reason=reason, facts={"placement": placement})
