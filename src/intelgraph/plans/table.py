"""A kind of plan is a table of actions: in which order, by whom, under which condition, and for how long at most.

A table holds no code: conditions and effects are registered by action where they may do what they need (a condition
with the decisions of its package, an effect in ``control``). So a plan can be read, shown and reasoned about without
either.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """Who does an action. A plan names the executor that has each of its roles."""

    SOURCE = "source"  # the region that something is moved away from
    TARGET = "target"  # the region that it is moved to
    HOME = "home"  # the region that writes
    STANDBY = "standby"
    ANY = "any"  # whoever comes first: the effect is the same wherever it is carried out
    OPERATOR = "operator"  # a person, by a command: no agent does it


class AtBound(Enum):
    """What happens to an action that has waited for as long as it may."""

    GIVE_UP = "give up"  # the plan is given up, and what was done of it undone
    GO_ON = "go on"  # the action is done with what there is
    TAKE_BACK = "take back"  # another plan may take this one's place: the package decides that makes them


@dataclass(frozen=True, kw_only=True)
class Bound:
    """For how long an action may wait: ``field`` names the value (seconds) in the policy of the kind."""

    field: str
    then: AtBound
    waiting: str = "waiting"
    """The code under which is told that it waits."""
    late: str = "too_late"
    """The code under which the plan is given up."""


@dataclass(frozen=True, kw_only=True)
class ActionType:
    """One line of a table. Its effect may be had again without harm: that is what makes a plan resumable."""

    name: str
    role: Role
    needs: str
    """What must hold before, for people; ``nothing`` where the action is always due at its turn."""
    effect: str
    """What holds afterwards, for people."""
    commits: bool = False
    """From here on the plan can only be completed or replaced, no longer given up."""
    bound: Bound | None = None
    told: str = "{action} in {executor}"
    """How it is told while it is the current one."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One kind of plan: its actions in order, and what undoes them when the plan is given up before it commits."""

    kind: str
    actions: tuple[ActionType, ...]
    undo: tuple[ActionType, ...] = ()

    def __post_init__(self) -> None:
        names = [each.name for each in (*self.actions, *self.undo)]
        if not self.actions or len(set(names)) != len(names):
            raise ValueError(f"the kind {self.kind} needs actions, each with a name of its own, not {names}")
        if sum(each.commits for each in self.actions) > 1 or any(each.commits for each in self.undo):
            raise ValueError(f"the kind {self.kind} may commit once, and not while it is undone")

    @property
    def types(self) -> tuple[ActionType, ...]:
        """Every action that a plan of this kind may come to."""
        return (*self.actions, *self.undo)
