"""``up --foreground --json`` says to a program what it says to people, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from intelgraph.cli import up
from intelgraph.fleet.supervisor.status import FleetStatus
from tests.operations.fleets import located
from tests.operations.sites import PERSON


def test_in_the_foreground_json_is_one_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = FleetStatus(supervisor_pid=1, plan="", ready=True, stopping=False, adopted=0, parts=[], steps=[])

    def stays(*_: Any, on_status: Callable[[FleetStatus], None], **__: Any) -> None:
        on_status(status)
        on_status(status)

    monkeypatch.setattr(up, "stay_up", stays)
    with located() as location:
        location.founded(None)
        up._stay(location, PERSON, None, as_json=True)
        assert json.loads(capsys.readouterr().out)["ready"] is True
        up._stay(location, PERSON, None, as_json=False)
        assert "The fleet is up; Ctrl-C stops it." in capsys.readouterr().out
