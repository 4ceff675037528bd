"""What does a region's agent do next with a recorded plan? Pure; whoever resumes a plan needs the plan and a view.

Every transition that can be interrupted has its answer here: the source gone before the epoch was raised, the target
gone after it, an operator's plan against a failover, a target that does not catch up in time, a home that comes back
before it was replaced. What is the same for every kind of plan is in ``plans.step``; ``CONDITIONS`` adds what an
action of a placement's plan needs. The agent then acts (``control.plans``): it does the action, and moves the plan on
by compare-and-set; so a stale answer of this module changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from intelgraph.model.errors import Denied
from intelgraph.placement.decision import Start
from intelgraph.placement.failover import decide as decide_failover
from intelgraph.placement.fitness import is_leased, unfit_copy
from intelgraph.placement.plan import CATCH_UP, CLOSE, GATHER, OPEN, RAISE, REOPEN, Kind, Plan, is_past, is_under_way
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import View
from intelgraph.plans.plan import Action
from intelgraph.plans.states import State
from intelgraph.plans.step import (
    Condition,
    DoIt,
    GiveUp,
    Nothing,
    NotYet,
    Replace,
    Unmet,
    Wait,
    Waited,
    give_up,
    others_turn,
    own_turn,
)
from intelgraph.plans.table import ActionType


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Ask these regions to reissue what they hold of these streams (``origin/life``) beyond these positions."""

    beyond: Mapping[str, Mapping[str, int]]
    """By region."""
    within_s: float
    """What is not here by then is cut off: writes wait meanwhile."""
    why: Denied


Step = DoIt[Plan] | Fetch | Wait | GiveUp[Plan] | Replace[Plan] | Nothing


@dataclass(frozen=True, kw_only=True)
class _Turn:
    view: View
    policy: Policy
    plan: Plan


def next_step(view: View, policy: Policy) -> Step:
    """Say what the agent of ``view.here`` does about the plan in ``view``."""
    plan = view.plan
    if is_past(view.placement, plan):
        return Nothing()  # the next look has both
    if plan is None or plan.current is None or not is_under_way(view.placement, plan):
        return _left_over(view)
    stale = _stale(view, plan)
    if stale is not None and view.here in (plan.source, plan.target):
        return give_up(plan, "placement_changed", stale)
    turn = _Turn(view=view, policy=policy, plan=plan)
    waited = Waited(still_s=view.plan_still_s, bounds=policy.bounds)
    take = _own_turn if plan.current.is_for(view.here) else _others_turn
    return take(turn, plan.current, waited)


def _stale(view: View, plan: Plan) -> str | None:
    if plan.state is not State.REVOCABLE or plan.before == view.placement:
        return None
    return f"{view.placement.id} is in epoch {view.placement.epoch} now"


def _left_over(view: View) -> Step:
    """A close that outlived its plan is undone by the home's agent; nobody else can tell that it is there."""
    copy, placement = view.copies.get(view.here), view.placement
    if copy is None or not copy.closed or placement.home != view.here or copy.epoch != placement.epoch:
        return Nothing()
    name = f"{placement.id}/{placement.epoch}/{REOPEN.name}"
    return DoIt(action=Action(id=name, type=REOPEN, executor=view.here), plan=None)


# ------------------------------------------------------------------------------------------------- at one's own turn


def _own_turn(turn: _Turn, action: Action, waited: Waited) -> Step:
    step = own_turn(turn.plan, action, CONDITIONS[action.type](turn), waited)
    if action.type is GATHER and isinstance(step, Wait):
        left_s = turn.policy.bounds.gather_s_max - turn.view.plan_still_s
        return Fetch(beyond=missing(turn.view, turn.plan), within_s=left_s, why=step.why)
    return step


def _target_is_leased(turn: _Turn) -> Condition:
    if is_leased(turn.view, turn.plan.target, turn.policy):
        return None
    return Unmet(code="not_leased", fact=f"{turn.plan.target} has no lease any more")


def _has_caught_up(turn: _Turn) -> Condition:
    behind = unsettled(turn.view, turn.plan)
    return None if behind is None else NotYet(fact=f"{behind}{_held_by(turn.view, turn.plan)}")


def _held_by(view: View, plan: Plan) -> str:
    """Name what the source's log waits for, if that is why nothing comes."""
    copy = view.copies.get(plan.source)
    return "" if copy is None or copy.waits_for is None else f" ({copy.waits_for})"


def unsettled(view: View, plan: Plan) -> str | None:
    """Say what the target still lacks of the source's stream; none when it has everything up to the last position."""
    life, _, position = plan.last_position.partition("/")
    copy = view.copies.get(plan.target)
    if not position or copy is None:
        return "it is not known what the target holds"
    held = copy.settled.get(f"{plan.source}/{life}", 0)
    if held >= int(position):
        return None
    return f"{plan.target} holds the stream of {plan.source} up to {held}, and needs {position}"


def _may_raise(turn: _Turn) -> Condition:
    view, plan = turn.view, turn.plan
    why = unfit_copy(view.copies.get(view.here))
    if why is not None and not plan.force:
        return Unmet(code=why.code, fact=f"{view.here} cannot open: {why.fact}")
    if plan.lease_version is not None and plan.lease_version != _version(view, plan.source):
        return Unmet(code="home_is_back", fact=f"{plan.source} has renewed its lease")
    standby = plan.after.standby
    if plan.kind is Kind.RESTAND and standby is not None and not is_leased(view, standby, turn.policy):
        return Unmet(code="not_leased", fact=f"{standby} has no lease any more")
    return None


def _has_gathered(turn: _Turn) -> Condition:
    beyond = missing(turn.view, turn.plan)
    if not beyond:
        return None
    return NotYet(fact=f"{', '.join(beyond)} hold{'s' if len(beyond) == 1 else ''} rows that {turn.view.here} lacks")


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


def _always(turn: _Turn) -> Condition:
    return None


CONDITIONS: Mapping[ActionType, Callable[[_Turn], Condition]] = {
    CLOSE: _target_is_leased,
    CATCH_UP: _has_caught_up,
    RAISE: _may_raise,
    GATHER: _has_gathered,
    OPEN: _always,
    REOPEN: _always,
}


# ---------------------------------------------------------------------------------------------- at another's turn


def _others_turn(turn: _Turn, action: Action, waited: Waited) -> Step:
    view, plan = turn.view, turn.plan
    instead = decide_failover(view, turn.policy)
    if isinstance(instead, Start):
        return Replace(plan=instead.plan)
    if view.here not in (plan.source, plan.target):
        return Nothing()
    renewed = plan.lease_version is not None and plan.lease_version != _version(view, view.here)
    if plan.state is State.REVOCABLE and view.here == plan.source and renewed:
        return give_up(plan, "home_is_back", f"{view.here} has renewed its lease")
    lives = is_leased(view, action.executor, turn.policy)
    held_by = _held_by(view, plan) if action.type is CATCH_UP else ""
    return others_turn(plan, action, lives=lives, waited=waited, held_by=held_by)


def _version(view: View, region: str) -> int | None:
    lease = view.leases.get(region)
    return None if lease is None else lease.version
