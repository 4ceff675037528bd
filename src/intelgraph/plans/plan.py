"""A recorded plan: which kind, how far it has got, what its actions have returned, and whether it was given up.

``RecordedPlan`` is what every kind shares; a package adds what its own plans are about (``placement.plan.Plan``).
Plans are values: ``moved`` and ``given_up`` return the next one, which counts only once it has been recorded. No plan
ever moves back: ``follows`` is the rule that whoever records holds each move to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import ClassVar, Self

from intelgraph.model.errors import Denied
from intelgraph.plans.states import OVER, Event, IllegalEvent, State, following
from intelgraph.plans.table import ActionType, Role, Table

ANYBODY = "anybody"
OPERATOR = "operator"


@dataclass(frozen=True, kw_only=True)
class Action:
    """One action of one plan. Its id is unique among all plans, so that a log or a test can name it."""

    id: str
    type: ActionType
    executor: str
    """A region's name, ``ANYBODY`` or ``OPERATOR``."""

    def is_for(self, who: str) -> bool:
        """Whether ``who`` may carry it out."""
        return self.executor in (who, ANYBODY)

    @property
    def told(self) -> str:
        """What is being done, in a few words."""
        return self.type.told.format(action=self.type.name, executor=self.executor)


@dataclass(frozen=True, kw_only=True)
class RecordedPlan(ABC):
    """What is common to the plans of every kind. ``next`` is the index of the action that is to be done."""

    tables: ClassVar[Mapping[str, Table]]
    """The kinds that a plan of this class may have, by name."""

    id: str
    kind: Enum
    next: int = 0
    results: Mapping[str, str] = field(default_factory=dict)
    """By action: what its effect returned, for the actions after it."""
    abandoned: Denied | None = None
    """Why the plan was given up; its actions are then those that undo it."""

    @abstractmethod
    def region_of(self, role: Role) -> str:
        """Name the region that has a role in this plan."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What the plan makes of what, in a few words."""

    @property
    def instead(self) -> Self | None:
        """The plan to record where this one would be given up; none where giving up leaves nothing behind."""
        return None

    @property
    def table(self) -> Table:
        """The plan's kind."""
        return self.tables[self.kind.value]

    @property
    def actions(self) -> tuple[Action, ...]:
        """Every action, in order."""
        return tuple(self._action(number) for number in range(len(self._types)))

    @property
    def current(self) -> Action | None:
        """The action that is to be done now; none when the plan has ended."""
        return self._action(self.next) if self.next < len(self._types) else None

    @property
    def state(self) -> State:
        """Where the plan is. Whether another has replaced it is not known to the plan itself."""
        if self.abandoned is not None:
            return State.UNDONE if self.current is None else State.UNDOING
        if self.current is None:
            return State.DONE
        is_committed = any(each.commits for each in self._types[: self.next])
        return State.COMMITTED if is_committed else State.REVOCABLE

    @property
    def has_committed(self) -> bool:
        """Whether its action that commits has been done: from then on it can only be completed or replaced."""
        return self.abandoned is None and any(each.commits for each in self._types[: self.next])

    def moved(self, *, result: str | None = None) -> Self:
        """Return the plan after its current action was done; ``result`` is what that returned."""
        action = self.current
        if action is None:
            raise IllegalEvent(f"plan {self.id} has ended")
        following(self.state, self._event(action.type))
        results = self.results if result is None else {**self.results, action.type.name: result}
        return replace(self, next=self.next + 1, results=results)

    def given_up(self, why: Denied) -> Self:
        """Return the plan as it is when it is given up; raises ``IllegalEvent`` once it has committed or ended."""
        following(self.state, Event.GIVE_UP)
        return replace(self, abandoned=why, next=0)

    def follows(self, before: Self) -> bool:
        """Say whether this plan is ``before`` after one legal event: the rule for whoever records it."""
        if (self.id, self.kind) != (before.id, before.kind) or before.state in OVER:
            return False
        if self.abandoned == before.abandoned:
            return self.next == before.next + 1
        return self.abandoned is not None and before.state is State.REVOCABLE and self.next == 0

    @property
    def _types(self) -> tuple[ActionType, ...]:
        return self.table.actions if self.abandoned is None else self.table.undo

    def _event(self, done: ActionType) -> Event:
        if self.next + 1 == len(self._types):
            return Event.FINISH
        return Event.COMMIT if done.commits else Event.ADVANCE

    def _action(self, number: int) -> Action:
        type_ = self._types[number]
        named = {Role.ANY: ANYBODY, Role.OPERATOR: OPERATOR}
        executor = named.get(type_.role) or self.region_of(type_.role)
        return Action(id=f"{self.id}/{number}-{type_.name}", type=type_, executor=executor)
