"""The states of a plan, and every way from one to another. Everything that decides where a plan may go is in here.

``TRANSITIONS`` is the machine; docs/plans.md shows it, and a test compares them. A plan's state is not recorded: it
follows from how far it has got (``plan.RecordedPlan.state``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class State(Enum):
    """Where a plan is."""

    REVOCABLE = "revocable"  # under way; it may still be given up
    COMMITTED = "committed"  # under way, and past the action that commits: only forward
    UNDOING = "undoing"  # given up; what was done is being undone
    DONE = "done"
    UNDONE = "undone"  # given up, and nothing is left of it
    REPLACED = "replaced"  # another plan was recorded in its place before it had ended


class Event(Enum):
    """What is recorded of a plan, each time by one compare-and-set."""

    ADVANCE = "advance"  # the current action is done, and is neither the last nor the one that commits
    COMMIT = "commit"  # the action that commits is done, and is not the last
    FINISH = "finish"  # the last action is done
    GIVE_UP = "give up"
    REPLACE = "replace"


TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.REVOCABLE, Event.ADVANCE): State.REVOCABLE,
    (State.REVOCABLE, Event.COMMIT): State.COMMITTED,
    (State.REVOCABLE, Event.FINISH): State.DONE,
    (State.REVOCABLE, Event.GIVE_UP): State.UNDOING,
    (State.REVOCABLE, Event.REPLACE): State.REPLACED,
    (State.COMMITTED, Event.ADVANCE): State.COMMITTED,
    (State.COMMITTED, Event.FINISH): State.DONE,
    (State.COMMITTED, Event.REPLACE): State.REPLACED,
    (State.UNDOING, Event.ADVANCE): State.UNDOING,
    (State.UNDOING, Event.FINISH): State.UNDONE,
    (State.UNDOING, Event.REPLACE): State.REPLACED,
}
OVER = frozenset({State.DONE, State.UNDONE, State.REPLACED})
"""Nothing leads out of these. A plan with nothing to undo goes through ``UNDOING`` without a stop."""


class IllegalEvent(ValueError):
    """A plan was to go where no transition leads: a defect of the caller."""


def following(state: State, event: Event) -> State:
    """Return the state that ``event`` leads to; raises ``IllegalEvent`` where nothing does."""
    found = TRANSITIONS.get((state, event))
    if found is None:
        raise IllegalEvent(f"`{event.value}` cannot be recorded of a plan that is {state.value}")
    return found
