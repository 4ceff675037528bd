"""Who asks a supervisor waits longer than what it asked for may take."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from intelgraph.fleet.composition.parts import Kind
from intelgraph.fleet.supervisor import stopping
from intelgraph.fleet.supervisor.process import ENDED_WITHIN_S
from intelgraph.fleet.supervisor.status import Request
from intelgraph.fleet.supervisor.stop_order import patience_s
from intelgraph.fleet.supervisor.supervision import ANSWER_WITHIN_S


def test_everything_that_can_be_asked_for_has_its_time() -> None:
    assert ANSWER_WITHIN_S.keys() == set(get_args(get_type_hints(Request)["do"]))


def test_a_hold_is_waited_for_until_what_was_killed_must_have_ended() -> None:
    assert ANSWER_WITHIN_S["hold"] > 2 * ENDED_WITHIN_S


@pytest.mark.parametrize("kind", Kind)
def test_a_restart_is_waited_for_until_the_part_must_have_ended(kind: Kind) -> None:
    ended_s = patience_s(f"home/{kind.value}") + stopping.TOLD_S + stopping.KILLED_S
    assert ANSWER_WITHIN_S["restart"] > 2 * ended_s
