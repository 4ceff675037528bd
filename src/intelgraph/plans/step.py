"""What does an executor do next about a plan? Generic and pure; the package of a kind adds its own reasons.

At its own turn an executor does the action if its condition holds, waits for it within the action's bound, or gives
the plan up. At another's turn it gives the plan up only if that one cannot go on: its executor is gone, or the bound
is over. What comes out is stale as soon as somebody else was faster; it is recorded by compare-and-set, so a stale
answer changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from intelgraph.model.errors import Denied
from intelgraph.plans.plan import Action, RecordedPlan
from intelgraph.plans.states import State
from intelgraph.plans.table import AtBound

P = TypeVar("P", bound=RecordedPlan)


@dataclass(frozen=True, kw_only=True)
class DoIt(Generic[P]):
    """Do this action, then move the plan on. An action that belongs to no plan has none to move."""

    action: Action
    plan: P | None


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing can be done now; ``why`` says what is waited for."""

    why: Denied


@dataclass(frozen=True, kw_only=True)
class GiveUp(Generic[P]):
    """Record the plan as given up: ``plan`` is what is to be recorded."""

    plan: P
    why: Denied


@dataclass(frozen=True, kw_only=True)
class Replace(Generic[P]):
    """Record another plan in its place."""

    plan: P


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """No plan needs this executor now."""


@dataclass(frozen=True, kw_only=True)
class Unmet:
    """An action's condition does not hold, and waiting would not help."""

    code: str
    fact: str


@dataclass(frozen=True, kw_only=True)
class NotYet:
    """An action's condition does not hold yet."""

    fact: str


Condition = Unmet | NotYet | None


@dataclass(frozen=True, kw_only=True)
class Waited:
    """For how long a plan has stood at its current action, and the bounds of its kind (``table.Bound.field``)."""

    still_s: float
    bounds: object

    def s_max(self, action: Action) -> float | None:
        """The bound of an action, in seconds; none if it has none."""
        bound = action.type.bound
        return None if bound is None else float(getattr(self.bounds, bound.field))

    def is_over(self, action: Action) -> bool:
        """Whether the action has waited for as long as it may."""
        s_max = self.s_max(action)
        return s_max is not None and self.still_s >= s_max


def own_turn(plan: P, action: Action, condition: Condition, waited: Waited) -> DoIt[P] | Wait | GiveUp[P] | Replace[P]:
    """Say what the executor of the current action does."""
    if condition is None:
        return DoIt(action=action, plan=plan)
    if isinstance(condition, Unmet):
        return give_up(plan, condition.code, condition.fact)
    bound = action.type.bound
    if waited.is_over(action) and bound is not None and bound.then is not AtBound.TAKE_BACK:
        if bound.then is AtBound.GO_ON:
            return DoIt(action=action, plan=plan)
        return give_up(plan, bound.late, f"{condition.fact}, after {_over(action, waited)}")
    code = "waiting" if bound is None else bound.waiting
    return Wait(why=Denied(code=code, reason=f"plan {plan.id} waits: {condition.fact}", facts={"plan": plan.id}))


def others_turn(
    plan: P, action: Action, *, lives: bool, waited: Waited, held_by: str = ""
) -> GiveUp[P] | Replace[P] | Nothing:
    """Say what another party to the plan does about it.

    ``lives``: whether the action's executor does; ``held_by``: what is known to keep the action waiting, in brackets.
    """
    if plan.state is not State.REVOCABLE:
        return Nothing()
    if not lives:
        return give_up(plan, "not_leased", f"{action.executor}, whose turn it is, has no lease any more")
    bound = action.type.bound
    if bound is not None and bound.then is AtBound.GIVE_UP and waited.is_over(action):
        return give_up(plan, bound.late, f"`{action.told}` is not done{held_by} after {_over(action, waited)}")
    return Nothing()


def give_up(plan: P, code: str, fact: str) -> GiveUp[P] | Replace[P]:
    """Give a plan up for a reason, or replace it, where something would be left behind (``instead``)."""
    instead = plan.instead
    if instead is not None:
        return Replace(plan=instead)
    why = Denied(code=code, reason=f"plan {plan.id} is given up: {fact}", facts={"plan": plan.id})
    return GiveUp(plan=plan.given_up(why), why=why)


def _over(action: Action, waited: Waited) -> str:
    return f"{waited.still_s:.0f} s; the bound is {waited.s_max(action):g} s"
