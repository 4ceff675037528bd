"""What an import does with the API's answer to one batch: a pure decision, so that every answer can be tested.

An operation is sent on the condition that its object is as it was last seen (at first: that there is none). Where it is
not, the batch is compared with what the tenant has. A refusal that names one operation costs that operation; one that
names none is found by halving; one that no other content could change (a token, a role, a tenant) ends the import.
Nothing is retried here: that is the sender's part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

TAKEN_OUT_BEFORE_HALVING = 8
COMPARED_MAX = 6
_ABOUT_CONTENT = frozenset({400, 409, 413, 422})
_NOT_ABOUT_CONTENT = frozenset({"key_reused", "key_required", "bad_bookmark", "bad_name", "superseded"})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The API's answer: ``bookmark`` of a success, or ``code``, ``reason`` and ``facts`` of a refusal."""

    status: int
    bookmark: str | None = None
    code: str = ""
    reason: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


class Step(Enum):
    """What to do with a batch now."""

    DONE = "done"
    ASK_AGAIN = "ask again"
    COMPARE = "compare"
    TAKE_OUT = "take out"
    HALVE = "halve"
    GIVE_UP = "give up"


def decide(answer: Answer, *, operations: int, taken_out: int, compared: int = 0) -> tuple[Step, int]:
    """The next step for a batch of ``operations`` from which ``taken_out`` were removed in a row and that was
    ``compared`` so often, and for ``TAKE_OUT`` the index of the operation to remove (0 otherwise)."""
    if answer.status == 200:
        return Step.DONE, 0
    if answer.status == 202:
        return Step.ASK_AGAIN, 0
    if answer.status not in _ABOUT_CONTENT or answer.code in _NOT_ABOUT_CONTENT:
        return Step.GIVE_UP, 0
    if answer.code == "revision_mismatch" and compared < COMPARED_MAX:
        return Step.COMPARE, 0
    if operations == 1:
        return Step.TAKE_OUT, 0
    index = answer.facts.get("index")
    named = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < operations
    if not named or taken_out >= TAKEN_OUT_BEFORE_HALVING:
        return Step.HALVE, 0
    assert isinstance(index, int)
    return Step.TAKE_OUT, index
