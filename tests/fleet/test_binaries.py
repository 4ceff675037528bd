"""Whether an account may run a program is found out by running it; a machine too slow to tell has not said no."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from intelgraph.fleet.layout import binaries
from intelgraph.model.errors import TransientError


def test_a_probe_that_does_not_end_in_time_is_no_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sleeper = tmp_path / "sleeper"
    sleeper.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(binaries, "_PROBE_TIMEOUT_S", 0.2)
    with pytest.raises(TransientError) as said:
        binaries._succeeds([str(sleeper)], None)
    assert said.value.denied.code == "machine_too_busy"
    assert "try again" in said.value.denied.reason


def test_what_cannot_be_entered_is_refused(tmp_path: Path) -> None:
    assert binaries.can_reach(tmp_path / "not-there-yet", None)
    assert not binaries._succeeds(["/bin/sh", "-c", "exit 1"], None)
    assert not binaries._succeeds([str(tmp_path / "no-program")], None)
