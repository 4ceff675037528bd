"""``status`` asks databases, control store and reports at once: one that hangs makes nobody wait for the others."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from intelgraph.cli import status
from intelgraph.cli.standing import Standing
from intelgraph.fleet.layout.places import Fleet
from tests.machine import WAIT_S


def test_nobody_is_asked_behind_another(monkeypatch: pytest.MonkeyPatch) -> None:
    all_three = threading.Barrier(3)
    answers = {"read_region_logs": [], "read_control_status": None, "_standing": Standing(refusal="not asked")}

    def answered(name: str) -> Any:
        def answer(_fleet: Fleet) -> Any:
            all_three.wait(WAIT_S)  # breaks where one is asked when another has answered
            return answers[name]

        return answer

    for name in answers:
        monkeypatch.setattr(status, name, answered(name))
    nobody: Any = None
    assert status._asked(nobody) == tuple(answers.values())
