"""A verb that is run as tests run it is what it would be on a terminal: its own process, directory and environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import run, run_text

WITHIN_S = 60.0


@pytest.mark.prove
def test_it_says_what_the_command_says(tmp_path: Path) -> None:
    for arguments in (["--help"], ["--version"], ["status"], ["status", "--json"], ["no-such-verb"], []):
        here = run(arguments, directory=tmp_path, timeout_s=WITHIN_S)
        there = subprocess.run(
            [sys.executable, "-m", "intelgraph.cli.main", *arguments],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert (here.returncode, here.stdout, here.stderr) == (there.returncode, there.stdout, there.stderr)


def test_a_name_that_is_no_text_reaches_it(tmp_path: Path) -> None:
    done = run([b"--topology=\xff", "status"], directory=tmp_path, timeout_s=WITHIN_S)
    assert done.returncode == 2
    assert rb"\udcff" in done.stderr or b"\xff" in done.stderr or b"No such option" in done.stderr


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_text(["simulate", "--schedules", "100000"], directory=tmp_path, timeout_s=3.0)
