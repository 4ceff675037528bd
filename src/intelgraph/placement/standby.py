"""Who is the standby, and with what durability? Decisions of the home's agent, carried out as ``restand`` plans.

A standby that is lost is replaced by another region that has caught up; without one the placement does what it
declared (``strict``: stands as it is, writes refused; ``degrade``: goes on without, and says so). When a region has
been caught up for a while, what was declared is restored. Losing is acted on after a lease's length, restoring after
``steady_s``: so a standby that flaps is left out rather than swapped at every turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from intelgraph.model.placement import Durability, StandbyLoss
from intelgraph.placement.decision import Decision, Stand, Start, cannot, plan_id
from intelgraph.placement.fitness import caught_up, is_leased, is_renewed, unfit
from intelgraph.placement.plan import Kind, Plan, is_open, is_under_way
from intelgraph.placement.policy import Policy
from intelgraph.placement.switchover import next_epoch
from intelgraph.placement.view import View


def decide(view: View, policy: Policy) -> Decision:
    """Decide whether the home's agent begins a ``restand``."""
    placement, plan = view.placement, view.plan
    if view.here != placement.home or not is_renewed(view, view.here, policy):
        return Stand()
    if is_under_way(placement, plan) or not is_open(placement, plan):
        return Stand()
    lost = why_lost(view, policy)
    if placement.standby is not None and lost is None:
        return Stand() if not placement.is_degraded else _restand(view, placement.standby)
    other = next((name for name in _others(view) if _is_steady(view, name, policy)), None)
    if other is not None:
        return _restand(view, other)
    if placement.standby is None or lost is None:
        return _stand_without(view, policy)
    if placement.wanted.on_standby_loss is StandbyLoss.DEGRADE and _may_drop(view, policy):
        return _restand(view, None)
    if why_lost(replace(view, drained=frozenset()), policy) is None:
        return _stand_with_drained(view, policy)
    remote = placement.durability is Durability.REMOTE
    return cannot(
        f"replace the standby of {placement.id}",
        f"{lost}, and {nobody_else(view, _others(view), policy)}",
        "writes wait for it, as was declared" if remote else "the RPO bounds what it may lack",
        code="standby_lost",
        standby=placement.standby,
    )


def why_lost(view: View, policy: Policy) -> str | None:
    """Say why the standby counts as lost, as the home sees it; none when it does not, or there is none."""
    standby = view.placement.standby
    if standby is None:
        return None
    why = unfit(view, standby, policy)
    if why is not None and why.code != "copy_unknown":
        return f"{standby} is lost: {why.fact}"
    if view.stalled_s is not None and view.stalled_s >= policy.standby_lost_s:
        return f"{standby} has confirmed nothing for {view.stalled_s:.0f} s"
    return None


def _may_drop(view: View, policy: Policy) -> bool:
    """A ``home`` placement keeps a standby that is merely slow: the governor bounds what it may lack."""
    placement = view.placement
    if placement.durability is Durability.REMOTE:
        return True
    return placement.standby is not None and not is_leased(view, placement.standby, policy)


def _others(view: View) -> tuple[str, ...]:
    placement = view.placement
    return tuple(name for name in placement.regions if name not in (placement.home, placement.standby))


def _is_steady(view: View, region: str, policy: Policy) -> bool:
    """Caught up for a while, and confirming: a link may carry rows and not what is said of them."""
    unconfirmed_s = 0.0 if view.unconfirmed_s is None else view.unconfirmed_s.get(region)
    confirms = unconfirmed_s is not None and unconfirmed_s < policy.caught_up_s_max
    return confirms and caught_up(view, region, policy) is None and view.steady_s.get(region, 0.0) >= policy.steady_s


def _stand_without(view: View, policy: Policy) -> Stand:
    placement = view.placement
    if len(placement.regions) == 1:
        return Stand()
    return cannot(
        f"give {placement.id} a standby",
        nobody_else(view, _others(view), policy),
        "until then a loss of the home stops its writes",
        code="no_standby",
    )


def _stand_with_drained(view: View, policy: Policy) -> Stand:
    """A standby that is drained goes on confirming until it stops: it takes nothing over, and writes need not wait."""
    placement = view.placement
    return cannot(
        f"replace the standby of {placement.id}",
        f"{placement.standby} is drained, and {nobody_else(view, _others(view), policy)}",
        "until then a loss of the home stops its writes",
        code="no_standby",
        standby=placement.standby,
    )


def _unsteady(view: View, region: str, policy: Policy) -> str:
    """Say why a region that has caught up is not named standby yet."""
    unconfirmed_s = 0.0 if view.unconfirmed_s is None else view.unconfirmed_s.get(region)
    if unconfirmed_s is None or unconfirmed_s >= policy.caught_up_s_max:
        told = "nothing" if unconfirmed_s is None else f"nothing for {unconfirmed_s:.0f} s"
        return f"it has confirmed {told} of what it was sent"
    return f"it has caught up for {view.steady_s.get(region, 0.0):.1f} s; {policy.steady_s:g} s are waited for"


def nobody_else(view: View, regions: Iterable[str], policy: Policy) -> str:
    """Say of each region why it is not named standby now; a region that is drained or down is not called slow."""
    whys = {name: caught_up(view, name, policy) for name in regions}
    told = [f"{name}: {why.fact if why else _unsteady(view, name, policy)}" for name, why in whys.items()]
    return "; ".join(told) if told else "no other region is allowed"


def _restand(view: View, standby: str | None) -> Start:
    before = view.placement
    after = next_epoch(before, home=before.home, standby=standby, declared=before.wanted)
    plan = Plan(id=plan_id(before, Kind.RESTAND, view.plan), kind=Kind.RESTAND, before=before, after=after)
    return Start(plan=plan)
