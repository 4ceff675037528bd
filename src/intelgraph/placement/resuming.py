"""What does a region's agent do next with a recorded plan? Pure; whoever resumes a plan needs the plan and a view.

Every transition that can be interrupted has its answer here: the source gone before the epoch was raised, the target
gone after it, an operator's plan against a failover, a target that does not catch up in time, a home that comes back
before it was replaced. The agent then acts (``control.acting``): it does the action, and moves the plan on by
compare-and-set; so a stale answer of this module changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from intelgraph.model.errors import Denied
from intelgraph.placement.decision import Start
from intelgraph.placement.failover import decide as decide_failover
from intelgraph.placement.fitness import is_leased, unfit_copy
from intelgraph.placement.plan import Action, Do, Kind, Plan, is_under_way
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import View


@dataclass(frozen=True, kw_only=True)
class DoIt:
    """Do this action, then move the plan on. An action that belongs to no plan (``REOPEN`` of a left-over close) has
    none to move."""

    action: Action
    plan: Plan | None


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Ask these regions to reissue what they hold of these streams (``origin/life``) beyond these positions."""

    beyond: Mapping[str, Mapping[str, int]]
    """By region."""
    within_s: float
    """What is not here by then is cut off: writes wait meanwhile."""
    why: Denied


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing can be done now; ``why`` says what is waited for."""

    why: Denied


@dataclass(frozen=True, kw_only=True)
class GiveUp:
    """Record the plan as abandoned: ``plan`` is what is to be recorded."""

    plan: Plan
    why: Denied


@dataclass(frozen=True, kw_only=True)
class Replace:
    """Record another plan in its place."""

    plan: Plan


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """No plan needs this region now."""


Step = DoIt | Fetch | Wait | GiveUp | Replace | Nothing


@dataclass(frozen=True, kw_only=True)
class _Turn:
    view: View
    policy: Policy
    plan: Plan
    action: Action


def next_step(view: View, policy: Policy) -> Step:
    """Say what the agent of ``view.here`` does about the plan in ``view``."""
    plan = view.plan
    if plan is None or plan.turn is None or not is_under_way(view.placement, plan):
        return _left_over(view)
    stale = _stale(view, plan)
    if stale is not None and view.here in (plan.source, plan.target):
        return _give_up(plan, "placement_changed", stale)
    turn = _Turn(view=view, policy=policy, plan=plan, action=plan.turn)
    return _own_turn(turn) if plan.turn.region == view.here else _others_turn(turn)


def _stale(view: View, plan: Plan) -> str | None:
    if plan.has_raised or plan.abandoned is not None or plan.before == view.placement:
        return None
    return f"{view.placement.id} is in epoch {view.placement.epoch} now"


def _left_over(view: View) -> Step:
    """A close that outlived its plan is undone by the home's agent; nobody else can tell that it stands."""
    copy, placement = view.copies.get(view.here), view.placement
    if copy is None or not copy.closed or placement.home != view.here or copy.epoch != placement.epoch:
        return Nothing()
    name = f"{placement.id}/{placement.epoch}/{Do.REOPEN.value}"
    return DoIt(action=Action(id=name, do=Do.REOPEN, region=view.here), plan=None)


# ------------------------------------------------------------------------------------------------- at one's own turn


def _own_turn(turn: _Turn) -> Step:
    match turn.action.do:
        case Do.CLOSE:
            return _close(turn)
        case Do.CATCH_UP:
            return _catch_up(turn)
        case Do.RAISE:
            return _raise(turn)
        case Do.GATHER:
            return _gather(turn)
        case Do.OPEN | Do.REOPEN:
            return DoIt(action=turn.action, plan=turn.plan)


def _close(turn: _Turn) -> Step:
    plan = turn.plan
    if not is_leased(turn.view, plan.target, turn.policy):
        return _give_up(plan, "not_leased", f"{plan.target} has no lease any more")
    return DoIt(action=turn.action, plan=plan)


def _catch_up(turn: _Turn) -> Step:
    view, plan = turn.view, turn.plan
    behind = unsettled(view, plan)
    if behind is None:
        return DoIt(action=turn.action, plan=plan)
    if view.plan_still_s >= turn.policy.catch_up_s_max:
        limit = f"the bound is {turn.policy.catch_up_s_max:g} s"
        return _give_up(plan, "not_caught_up", f"{behind} after {view.plan_still_s:.0f} s{_held_by(view)}; {limit}")
    return Wait(why=Denied(code="catching_up", reason=f"plan {plan.id} waits: {behind}{_held_by(view)}"))


def _held_by(view: View) -> str:
    """Name what the source's log waits for, if that is why nothing comes."""
    copy = None if view.plan is None else view.copies.get(view.plan.source)
    return "" if copy is None or copy.waits_for is None else f" ({copy.waits_for})"


def unsettled(view: View, plan: Plan) -> str | None:
    """Say what the target still lacks of the source's stream; none when it has everything up to the last position."""
    life, _, position = (plan.last_position or "").partition("/")
    copy = view.copies.get(plan.target)
    if not position or copy is None:
        return "it is not known what the target holds"
    held = copy.settled.get(f"{plan.source}/{life}", 0)
    if held >= int(position):
        return None
    return f"{plan.target} holds the stream of {plan.source} up to {held}, and needs {position}"


def _raise(turn: _Turn) -> Step:
    view, plan = turn.view, turn.plan
    why = unfit_copy(view.copies.get(view.here))
    if why is not None and not plan.force:
        return _give_up(plan, why.code, f"{view.here} cannot open: {why.fact}")
    lease = view.leases.get(plan.source)
    if plan.lease_version is not None and (lease is None or lease.version != plan.lease_version):
        return _give_up(plan, "home_is_back", f"{plan.source} has renewed its lease")
    standby = plan.after.standby
    if plan.kind is Kind.RESTAND and standby is not None and not is_leased(view, standby, turn.policy):
        return _give_up(plan, "not_leased", f"{standby} has no lease any more")
    return DoIt(action=turn.action, plan=plan)


def _gather(turn: _Turn) -> Step:
    view, plan = turn.view, turn.plan
    beyond = missing(view, plan)
    left_s = turn.policy.gather_s_max - view.plan_still_s
    if not beyond or left_s <= 0:
        return DoIt(action=turn.action, plan=plan)
    why = f"plan {plan.id} waits: {', '.join(beyond)} hold{'s' if len(beyond) == 1 else ''} rows that {view.here} lacks"
    return Fetch(beyond=beyond, within_s=left_s, why=Denied(code="gathering", reason=why))


def missing(view: View, plan: Plan) -> dict[str, dict[str, int]]:
    """For each survivor that holds more than ``here`` of any stream: beyond which position, by stream."""
    own = view.copies.get(view.here)
    survivors = [name for name in plan.after.regions if name not in (view.here, plan.source) and name in view.copies]
    found: dict[str, dict[str, int]] = {}
    for name in survivors:
        held = view.copies[name].settled.items()
        more = {
            stream: (own.settled.get(stream, 0) if own else 0)
            for stream, _ in held
            if not stream.startswith(view.here + "/")
        }
        found[name] = {stream: here for stream, here in more.items() if view.copies[name].settled[stream] > here}
    return {name: streams for name, streams in found.items() if streams}


# ---------------------------------------------------------------------------------------------- at another's turn


def _others_turn(turn: _Turn) -> Step:
    view, plan = turn.view, turn.plan
    instead = decide_failover(view, turn.policy)
    if isinstance(instead, Start):
        return Replace(plan=instead.plan)
    if plan.has_raised or plan.abandoned is not None or view.here not in (plan.source, plan.target):
        return Nothing()
    if plan.lease_version is not None and view.here == plan.source and plan.lease_version != _version(view, view.here):
        return _give_up(plan, "home_is_back", f"{view.here} has renewed its lease")
    if not is_leased(view, turn.action.region, turn.policy):
        return _give_up(plan, "not_leased", f"{turn.action.region}, whose turn it is, has no lease any more")
    if turn.action.do is Do.CATCH_UP and view.plan_still_s >= turn.policy.catch_up_s_max:
        fact = f"{plan.target} has not caught up after {view.plan_still_s:.0f} s{_held_by(view)}"
        return _give_up(plan, "not_caught_up", fact)
    return Nothing()


def _version(view: View, region: str) -> int | None:
    lease = view.leases.get(region)
    return None if lease is None else lease.version


def _give_up(plan: Plan, code: str, fact: str) -> GiveUp | Replace:
    instead = plan.opens_after_all
    if instead is not None:
        return Replace(plan=instead)
    why = Denied(code=code, reason=f"plan {plan.id} is given up: {fact}", facts={"plan": plan.id})
    return GiveUp(plan=plan.given_up(why), why=why)
