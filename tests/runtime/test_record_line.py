"""Lines of a record: on the disk when the call returns, whole or an error, and never joined to one that was cut off."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from intelgraph.runtime.record_line import append_line


def test_lines_are_appended_to_a_file_of_their_owner(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "record.jsonl"
    append_line(path, "one")
    append_line(path, "two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


@pytest.mark.parametrize(("before", "after"), [(b"", b"two\n"), (b"on", b"on\ntwo\n"), (b"one\n", b"one\ntwo\n")])
def test_a_line_is_never_joined_to_one_that_was_cut_off(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "record.jsonl"
    path.write_bytes(before)
    append_line(path, "two")
    assert path.read_bytes() == after


def test_a_line_that_is_written_in_part_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, data: whole(file, data[:-2]))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        append_line(tmp_path / "record.jsonl", "one")


def test_a_line_is_on_the_disk_before_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    path = tmp_path / "record.jsonl"
    monkeypatch.setattr(os, "fsync", lambda _file: synced.append(path.read_bytes()))
    append_line(path, "one")
    assert synced == [b"one\n"] * 2, "the line, and the name of the new file"
    append_line(path, "two")
    assert synced[2:] == [b"one\ntwo\n"]
