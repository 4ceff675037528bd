"""Should this region take the placement over? A pure decision of the agent of the region that would.

What it guarantees, given that views tell the truth (docs/control.md argues why):

- a failover is begun only towards a region that holds every write that was acknowledged ``remote``, and lacks no more
  ``home`` writes than the placement's RPO allows, unless an operator says ``--allow-data-loss``;
- it is begun only when the home's lease is over, seen by enough vantage points; or when the placement stands raised
  but unopened, in which case nothing was ever acknowledged in that epoch;
- it is begun only towards a region whose own writes get through, as its agent has probed;
- it never leaves the allowed regions, and two regions never both find themselves named.

What does not belong here: planned moves (``switchover``), who is standby meanwhile (``standby``), resuming a plan
(``resuming``), reading clocks.
"""

from __future__ import annotations

from dataclasses import replace

from intelgraph.model.placement import Durability, Placement, StandbyLoss
from intelgraph.placement.decision import Decision, Stand, Start, cannot, plan_id
from intelgraph.placement.fitness import (
    Unfit,
    caught_up,
    is_leased,
    is_renewed,
    unfit,
    unfit_lag,
    unfit_writes,
    vantage_points,
)
from intelgraph.placement.lease import is_over
from intelgraph.placement.plan import Kind, Plan, is_open, is_under_way
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import View


def decide(view: View, policy: Policy) -> Decision:
    """Decide whether the agent of ``view.here`` begins a failover to its own region."""
    if view.here not in _candidates(view):
        return Stand()
    if view.plan is not None and _is_mine(view, view.plan):
        return Stand()
    alive = _home_is_alive(view, policy)
    if alive is not None:
        return Stand() if _is_well(view, policy) else alive
    why = unfit(view, view.here, policy) or unfit_writes(view, view.here) or _lacks(view)
    if why is not None:
        return _refused(view, view.here, why)
    if is_open(view.placement, view.plan) and view.moved_s_ago is not None and view.moved_s_ago < policy.moves_apart_s:
        fact = f"{view.placement.id} moved {view.moved_s_ago:.0f} s ago"
        return _refused(view, view.here, Unfit("moved_lately", fact, f"moves are {policy.moves_apart_s:g} s apart"))
    return Start(plan=_plan(view, view.here, policy, force=False))


def failover_to(view: View, target: str, *, allow_data_loss: bool, policy: Policy) -> Decision:
    """Decide about a failover that an operator asks for; ``view.here`` is where the operator looks from.

    The home must be down all the same (a home that is up is moved by ``switchover``). With ``allow_data_loss`` any
    allowed region that works may take over: what it lacks is cut off, and salvage decides about it.
    """
    placement = view.placement
    if target == placement.home and is_open(placement, view.plan):
        fact, limit = f"it is the home of {placement.id}", "a failover moves a placement to another region"
        return _refused(view, target, Unfit("already_home", fact, limit))
    alive = _home_is_alive(view, policy, target)
    if alive is not None:
        return alive
    why = unfit(view, target, policy) or unfit_writes(view, target)
    if why is not None and not (allow_data_loss and why.code in ("gap", "unknown_placement", "copy_unknown")):
        return _refused(view, target, why)
    if not allow_data_loss:
        named = _candidates(view)
        seen = replace(view, here=target)
        why = (
            _lacks(seen)
            if target in named
            else Unfit(
                "not_standby",
                f"it is not the standby of {placement.id}",
                f"only {' or '.join(named) or 'nobody'} surely "
                "holds what was acknowledged; --allow-data-loss overrides",
            )
        )
        if why is not None:
            return _refused(view, target, why)
    return Start(plan=_plan(view, target, policy, force=allow_data_loss))


# ------------------------------------------------------------------------------------------------ who, and whether


def _unopened(view: View) -> Plan | None:
    """The plan that has raised the placement's epoch and not opened it yet."""
    return None if is_open(view.placement, view.plan) else view.plan


def _candidates(view: View) -> tuple[str, ...]:
    """Who may take over unattended: the named standby; of an unopened epoch, the home and standby before it."""
    plan = _unopened(view)
    if plan is None:
        return (view.placement.standby,) if view.placement.standby else ()
    before = plan.last_granted
    return tuple(name for name in (before.home, before.standby) if name and name != view.placement.home)


def _is_mine(view: View, plan: Plan) -> bool:
    """Whether the recorded plan already makes ``here`` the home: then it is resumed, not begun again."""
    current = plan.abandoned is None and is_under_way(view.placement, plan)
    return current and plan.kind is Kind.FAILOVER and plan.target == view.here


def _home_is_alive(view: View, policy: Policy, target: str | None = None) -> Stand | None:
    """Say that the home may still acknowledge writes; none when it certainly does not."""
    target, home = target or view.here, view.placement.home
    if _needs_no_lease(view, target, policy):
        return None
    lease = view.leases.get(home)
    if lease is None:
        return cannot(
            f"promote {target}",
            f"the lease of {home} has never been seen",
            "it must be seen to end",
            code="lease_unknown",
        )
    points = vantage_points(view, home, policy)
    if view.here == target and not is_over(lease, policy.lease):
        fact = f"the lease of {home} has stood still for {lease.still_s:.1f} s"
        limit = f"it is over after {policy.lease.over_after_s:g} s"
        if is_renewed(view, home, policy):
            fact, limit = f"{home} is up, its lease is renewed", "a home that is up is moved by `intelgraph switchover`"
        return cannot(f"promote {target}", fact, limit, code="lease_not_over")
    if points < policy.vantage_points:
        fact = f"{points} vantage point{'' if points == 1 else 's'} saw the lease of {home} end"
        return cannot(
            f"promote {target}", fact, f"{policy.vantage_points} must", code="too_few_vantage_points", seen=points
        )
    return None


def _is_well(view: View, policy: Policy) -> bool:
    """Whether the home renews as it should, so that there is nothing to say."""
    home = view.placement.home
    return is_renewed(view, home, policy) and vantage_points(view, home, policy) == 0


def _needs_no_lease(view: View, target: str, policy: Policy) -> bool:
    """Whether nobody can be acknowledging: the epoch was never opened, and whoever wrote before it cannot go on.

    Where the epoch was raised under the home that wrote before (``restand``), its doors may hold grants for that one.
    """
    plan = _unopened(view)
    if plan is None or plan.stays_at_home:
        return False
    stuck = view.plan_still_s >= policy.bounds.unopened_s_max or not is_leased(view, view.placement.home, policy)
    return stuck and target in _candidates(view)


def _lacks(view: View) -> Unfit | None:
    """Say what ``here`` may lack of what was acknowledged."""
    plan, here, copy = view.plan, view.here, view.copies[view.here]
    unopened = _unopened(view)
    base = unopened.last_granted if unopened is not None else view.placement
    if here == base.home:
        return _unheard(copy.epoch, base)
    why = _unheard(copy.epoch, base) or (
        None
        if copy.whole
        else Unfit("not_whole", f"it lacks rows that epoch {copy.epoch} stands on", "a standby holds them all")
    )
    if base.durability is Durability.REMOTE:
        # A standby that wrote before and has heard of nothing since: no write since can have been acknowledged.
        before = plan.last_granted if plan is not None and plan.after.epoch == base.epoch else None
        had_all = before is not None and before.home == here and _unheard(copy.epoch, before) is None
        return None if had_all else why
    return why or unfit_lag(copy, base.wanted.rpo_s_max)


def _unheard(epoch: int, base: Placement) -> Unfit | None:
    if epoch >= base.epoch:
        return None
    return Unfit(
        "epoch_unknown", f"it has not heard of epoch {base.epoch}", f"the last one that arrived there is {epoch}"
    )


# ------------------------------------------------------------------------------------------------------- the plan


def _plan(view: View, target: str, policy: Policy, *, force: bool) -> Plan:
    placement, unopened = view.placement, _unopened(view)
    lease = view.leases.get(placement.home)
    return Plan(
        id=plan_id(placement, Kind.FAILOVER, view.plan),
        kind=Kind.FAILOVER,
        before=placement,
        after=after_loss(view, target, policy),
        lease_version=None if lease is None or _needs_no_lease(view, target, policy) else lease.version,
        granted=None if unopened is None else unopened.last_granted,
        force=force,
    )


def after_loss(view: View, home: str, policy: Policy) -> Placement:
    """The placement as it is once ``home`` has taken it over: as much of what was declared as can be had."""
    before, wanted = view.placement, view.placement.wanted
    others = (name for name in before.regions if name not in (home, before.home))
    standby = next((name for name in others if caught_up(view, name, policy) is None), None)
    durability = wanted.durability
    if standby is None and durability is Durability.REMOTE:
        if wanted.on_standby_loss is StandbyLoss.STRICT:
            standby = before.home
        else:
            durability = Durability.HOME
    return replace(before, home=home, standby=standby, epoch=before.epoch + 1, durability=durability, declared=wanted)


def _refused(view: View, target: str, why: Unfit) -> Stand:
    facts = {"placement": view.placement.id, "target": target, "home": view.placement.home}
    return cannot(f"promote {target}", why.fact, why.limit, code=why.code, **facts)
