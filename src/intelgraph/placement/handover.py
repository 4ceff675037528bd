"""What a home does whose own writes fail while its agent and its database still work. Pure decisions of its agent.

It hands the placement over to a region whose writes get through: a planned move, which loses nothing and waits for no
lease. Where that cannot be done although the standby is well (its own session with the database is gone too, a session
keeps the placement's lock), it gives its lease up, and the standby takes over as from a home that is lost. Where nobody
is better off, it keeps both: a lease that nobody else can use is worth more than none.
A home whose lease is not renewed anyhow begins no move either: the standby takes over as from one that is lost.

Nothing flaps: it acts after as long as a lease lasts, towards a region that has been well for ``steady_s`` only, and
moves that nobody asked for are ``moves_apart_s`` apart. How a write path is judged does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable

from intelgraph.model.errors import Denied
from intelgraph.placement.decision import Decision, Stand, Start, cannot, plan_id
from intelgraph.placement.fitness import Unfit, is_renewed, unfit, unfit_writes
from intelgraph.placement.plan import Kind, Plan, is_open, is_under_way
from intelgraph.placement.policy import Policy
from intelgraph.placement.switchover import after_move, illegal, lacks_standby
from intelgraph.placement.view import View


def decide(view: View, policy: Policy) -> Decision:
    """Decide whether the home's agent hands the placement over, because writes fail where it is."""
    placement, path = view.placement, view.writes.get(view.here)
    if view.here != placement.home or path is None or path.why is None or path.failing_s < policy.writes_lost_s:
        return Stand()
    if is_under_way(placement, view.plan) or not is_open(placement, view.plan):
        return Stand()
    if not is_renewed(view, view.here, policy):
        return Stand()
    ranked = [name for name in (placement.standby, *placement.regions) if name is not None and name != view.here]
    whys = {name: _unfit_target(view, name, policy) for name in dict.fromkeys(ranked)}
    target = next((name for name, why in whys.items() if why is None), None)
    if target is None:
        nobody = "; ".join(f"{name}: {why.fact}" for name, why in whys.items() if why) or "no other region is allowed"
        return cannot(
            f"hand {placement.id} over",
            f"{path.why.reason}; nobody can take them: {nobody}",
            "it stays where it is until one of them can",
            code="writes_fail",
            placement=placement.id,
            home=view.here,
        )
    after = after_move(view, target, Kind.FAILBACK, policy)  # what was declared stays declared
    name = plan_id(placement, Kind.SWITCHOVER, view.plan)
    return Start(plan=Plan(id=name, kind=Kind.SWITCHOVER, before=placement, after=after))


def gives_up(views: Iterable[View], policy: Policy) -> Denied | None:
    """Say why the lease of a region is not renewed although it could be; ``views``: its placements, as it sees them."""
    for view in views:
        placement, path, standby = view.placement, view.writes.get(view.here), view.placement.standby
        if view.here != placement.home or standby is None or path is None or path.why is None:
            continue
        if path.failing_s < policy.writes_given_up_s or (
            unfit(view, standby, policy) or _unsteady(view, standby, policy)
        ):
            continue
        return Denied(
            code="lease_given_up",
            reason=f"the lease of {view.here} is given up: {path.why.reason}, for {path.failing_s:.0f} s now; "
            f"{placement.id} could not be handed over, and {standby} can take it",
            facts={"about": view.here, "standby": standby},
        )
    return None


def _unfit_target(view: View, region: str, policy: Policy) -> Unfit | None:
    why = illegal(view, region, policy) or _unsteady(view, region, policy)
    if why is not None:
        return why
    if view.moved_s_ago is not None and view.moved_s_ago < policy.moves_apart_s:
        fact = f"{view.placement.id} moved {view.moved_s_ago:.0f} s ago"
        return Unfit("moved_lately", fact, f"moves are {policy.moves_apart_s:g} s apart")
    return lacks_standby(after_move(view, region, Kind.FAILBACK, policy))


def _unsteady(view: View, region: str, policy: Policy) -> Unfit | None:
    why = unfit_writes(view, region)
    if why is not None:
        return why
    steady_s = view.writes[region].steady_s
    if steady_s >= policy.steady_s:
        return None
    return Unfit(
        "writes_unsteady", f"writes get through there for {steady_s:.0f} s", f"{policy.steady_s:g} s are waited for"
    )
