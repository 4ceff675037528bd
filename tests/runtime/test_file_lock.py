"""A lock is held by one at a time, and is free as soon as its holder is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from intelgraph.runtime.file_lock import locked

_HOLDER = """
import sys, time
from pathlib import Path
from intelgraph.runtime.file_lock import locked
with locked(Path(sys.argv[1]), wait=True):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_that_is_held_is_refused_to_who_does_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, wait=False), pytest.raises(BlockingIOError), locked(path, wait=False):
        pytest.fail("two hold it")
    with locked(path, wait=False):
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), locked(path, wait=False):
            pytest.fail("two hold it")
    finally:
        holder.kill()
        holder.communicate()
    with locked(path, wait=True):
        pass
