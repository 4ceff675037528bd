"""What an import does with an answer: nothing is dropped that could be stored, nothing is tried for ever."""

from __future__ import annotations

import pytest

from intelgraph.graph.imports.answer import TAKEN_OUT_BEFORE_HALVING, Answer, Step, decide


@pytest.mark.parametrize(
    ("answer", "operations", "taken_out", "step"),
    [
        (Answer(status=200), 9, 0, (Step.DONE, 0)),
        (Answer(status=202), 9, 0, (Step.ASK_AGAIN, 0)),
        (Answer(status=400, code="bad_operation", facts={"index": 3}), 9, 0, (Step.TAKE_OUT, 3)),
        (Answer(status=409, code="dangling", facts={"index": 8}), 9, 0, (Step.TAKE_OUT, 8)),
        (Answer(status=409, code="dangling", facts={"index": 9}), 9, 0, (Step.HALVE, 0)),
        (Answer(status=409, code="dangling", facts={"index": True}), 9, 0, (Step.HALVE, 0)),
        (Answer(status=409, code="erased", facts={"index": 1}), 9, TAKEN_OUT_BEFORE_HALVING, (Step.HALVE, 0)),
        (Answer(status=413, code="body_too_large"), 9, 0, (Step.HALVE, 0)),
        (Answer(status=413, code="body_too_large"), 1, 0, (Step.TAKE_OUT, 0)),
        (Answer(status=400, code="bad_json"), 1, 0, (Step.TAKE_OUT, 0)),
        (Answer(status=409, code="key_reused"), 9, 0, (Step.GIVE_UP, 0)),
        (Answer(status=401, code="token_expired"), 9, 0, (Step.GIVE_UP, 0)),
        (Answer(status=403, code="role_not_allowed"), 1, 0, (Step.GIVE_UP, 0)),
        (Answer(status=404, code="no_such_route"), 1, 0, (Step.GIVE_UP, 0)),
        (Answer(status=421, code="region_not_allowed"), 1, 0, (Step.GIVE_UP, 0)),
    ],
)
def test_each_answer_has_one_next_step(answer: Answer, operations: int, taken_out: int, step: tuple[Step, int]) -> None:
    assert decide(answer, operations=operations, taken_out=taken_out) == step
