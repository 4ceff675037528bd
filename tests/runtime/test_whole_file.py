"""A file is written whole or not at all, and nobody else may read it unless its mode says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from intelgraph.runtime.whole_file import write_whole


def test_a_file_is_private_unless_a_mode_is_given(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_whole(tmp_path / "private", "é")
        write_whole(tmp_path / "public", b"\xff", mode=0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "private").read_text(encoding="utf-8") == "é"
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "public").read_bytes() == b"\xff"
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o644


def test_a_file_takes_the_place_of_the_old_one_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o644)
    with path.open(encoding="utf-8") as reader:
        write_whole(path, "new")
        assert reader.read() == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["notes.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_draft_that_a_dead_process_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".notes.{os.getpid()}.new").write_text("half", encoding="utf-8")
    write_whole(tmp_path / "notes", "whole")
    assert [each.name for each in tmp_path.iterdir()] == ["notes"]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OSError):
        write_whole(target, "new")
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]
