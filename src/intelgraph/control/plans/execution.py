"""The executor of plans: it records them, has their actions done, and moves them on by compare-and-set.

Guarantees, for every kind: a plan is recorded before anything is done; each action's effect is had at least once, and
in order, because an action is moved past only after its effect, by whoever read the plan at that action; an executor
that dies anywhere, or two that believe that it is their turn, do no more than one that did not. Whether an action is
due is decided elsewhere (``plans.step`` and the package of the kind). Nothing is kept here that another process needs.

An **effect** is what an action does: a function of what is due and of what its package works with (``W``: the local
database, what was read with the plan, …). It may be asked for again at any time. It returns what is to be recorded with
the move, or none if what it was to stand on has changed: then nothing moves, and whoever decides looks again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from intelgraph.control.directory.plans import Joined, Record, Times, move, record, wall_now
from intelgraph.control.store.protocol import ControlStore
from intelgraph.plans.plan import Action, RecordedPlan
from intelgraph.plans.step import GiveUp
from intelgraph.plans.table import ActionType, Table

P = TypeVar("P", bound=RecordedPlan)
P_co = TypeVar("P_co", bound=RecordedPlan, covariant=True)
W = TypeVar("W")


@dataclass(frozen=True, kw_only=True)
class Due(Generic[P_co]):
    """An action that is due, of the plan as it was read."""

    plan: P_co
    action: Action


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an effect hands on to its plan's move."""

    result: str | None = None
    """What the actions after it may read (``RecordedPlan.results``)."""
    joined: Joined = field(default_factory=Joined)
    """What is written in the same compare-and-set."""


Carry = Callable[[Due[P], W], Awaitable[Outcome | None]]


class Effects(Generic[P, W]):
    """The effects of a family of kinds: one line for each action. Refuses, when built, a table that lacks one."""

    def __init__(self, tables: Iterable[Table], lines: Mapping[ActionType, Carry[P, W]]) -> None:
        lacks = sorted({each.name for table in tables for each in table.types if each not in lines})
        if lacks:
            raise ValueError(f"no effect is registered for {', '.join(lacks)}")
        self._lines = lines

    async def carry_out(self, due: Due[P], work: W) -> Outcome | None:
        """Have an action's effect; raises why it could not be had."""
        return await self._lines[due.action.type](due, work)


class PlanExecutor(Generic[P, W]):
    """Records and moves the plans of one family, in one process. ``clock``: monotonic seconds of this process."""

    def __init__(self, store: ControlStore, effects: Effects[P, W], *, clock: Callable[[], float]) -> None:
        self._store = store
        self._effects = effects
        self._clock = clock
        self._began_s: dict[str, tuple[str, float]] = {}
        """By subject: its last plan that this process recorded, and when."""

    async def begin(self, before: Record[P], plan: P, times: Times, joined: Joined) -> bool:
        """Record a new plan; returns whether what was read, and what is ``joined``, was still so."""
        began_s = self._clock()
        if not await record(self._store, before, plan, times, joined):
            return False
        self._began_s[before.subject] = (plan.id, began_s)
        return True

    async def give_up(self, before: Record[P], step: GiveUp[P]) -> bool:
        """Record that a plan is given up; returns whether it was still as it was read."""
        assert before.times is not None
        return await move(self._store, before, step.plan, _ended(step.plan, before.times, None))

    async def do(self, before: Record[P], action: Action, work: W) -> Record[P] | None:
        """Do an action and move its plan on; returns the plan and its times then, none if nothing has moved.

        Raises why the effect could not be had: then nothing has moved, and it is tried again.
        """
        plan, times = before.plan, before.times
        if plan is None or times is None or plan.current != action:
            return None
        outcome = await self._effects.carry_out(Due(plan=plan, action=action), work)
        if outcome is None:
            return None
        moved = plan.moved(result=outcome.result)
        times = replace(times, done_at={**times.done_at, action.type.name: wall_now()})
        times = _ended(moved, times, self._took_s(before, plan))
        if not await move(self._store, before, moved, times, outcome.joined):
            return None
        return replace(before, plan=moved, times=times)

    def _took_s(self, before: Record[P], plan: P) -> float | None:
        begun, began_s = self._began_s.get(before.subject, ("", 0.0))
        return self._clock() - began_s if begun == plan.id and plan.abandoned is None else None


def _ended(plan: RecordedPlan, times: Times, took_s: float | None) -> Times:
    return times if plan.current is not None else replace(times, finished_at=wall_now(), took_s=took_s)
