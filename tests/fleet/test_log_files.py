"""Logs are bounded, and their ends are read without their beginnings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from intelgraph.fleet.supervisor.log_files import KEPT, last_lines, rotate


def test_a_log_that_is_too_large_is_put_aside_and_a_writer_goes_on_in_the_same_file(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(5):
            writer.write(f"{number}".encode() * 200)
            assert rotate(log, bytes_max=100)
            assert log.stat().st_size == 0
        writer.write(b"last")
    assert not rotate(log, bytes_max=100)
    assert log.read_bytes() == b"last"
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["part.log", *(f"part.log.{number}" for number in range(1, KEPT + 1))]
    assert (tmp_path / "part.log.1").read_bytes() == b"4" * 200


def test_a_log_that_is_absent_is_not_rotated_and_has_no_lines(tmp_path: Path) -> None:
    assert not rotate(tmp_path / "absent")
    assert last_lines(tmp_path / "absent", 5) == []


def test_the_last_lines_of_a_long_log(tmp_path: Path) -> None:
    log = tmp_path / "long.log"
    log.write_text("".join(f"line {number}\n" for number in range(50_000)), encoding="utf-8")
    assert last_lines(log, 3) == ["line 49997", "line 49998", "line 49999"]
    assert len(last_lines(log, 100_000)) == 50_000
    assert last_lines(log, 0) == []


def test_a_disk_that_is_full_costs_no_older_log_and_no_more_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, older = tmp_path / "part.log", tmp_path / "part.log.1"
    log.write_bytes(b"now" * 100)
    older.write_bytes(b"before")

    def half(_source: Path, target: Path) -> None:
        target.write_bytes(b"now")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", half)
    assert not rotate(log, bytes_max=100)
    assert older.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.log", "part.log.1"]
