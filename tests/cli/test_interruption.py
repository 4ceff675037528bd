"""Ctrl-C is one sentence and exit code 130 at whatever moment it comes, in a real process.

``-X importtime`` says on standard error when a module has been imported: that is how a test knows the moment, however
slow the machine is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

WAIT_S = 120.0
FOR_LONG = ("simulate", "--schedules", "1000000")
SCRIPT = Path(sys.executable).with_name("intelgraph")
MODULE = ("-m", "intelgraph.cli.main")
MOMENTS = (
    "intelgraph.cli.interruption",
    "intelgraph.model",
    "click.exceptions",
    "click",
    "intelgraph.cli.output",
    "intelgraph.cli.verbs",
    "msgspec",
    "intelgraph.placement.plan",
    "intelgraph.simulator.virtual_time",
    "intelgraph.simulator.running",
)


def interrupted_after(imported: str, started: tuple[str, ...]) -> tuple[int, list[str]]:
    """The exit code, and what was said on standard error, of a command that is interrupted after an import."""
    command = [sys.executable, "-X", "importtime", *started, *FOR_LONG]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        too_late = threading.Timer(WAIT_S, process.kill)
        too_late.start()
        try:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})  # no other process does its work
            for line in process.stderr:
                if line.rpartition("|")[2].strip() == imported:
                    break
            else:
                pytest.fail(f"{imported} is not imported")
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
            code = process.wait(WAIT_S)
        finally:
            too_late.cancel()
            process.kill()
    return code, [line for line in said.splitlines() if line and not line.startswith("import time:")]


@pytest.mark.parametrize("imported", MOMENTS)
def test_ctrl_c_is_one_sentence_at_every_moment(imported: str) -> None:
    assert interrupted_after(imported, MODULE) == (130, ["intelgraph: interrupted"])


@pytest.mark.skipif(not SCRIPT.exists(), reason="the script is not installed: `make setup-dev`")
@pytest.mark.parametrize("imported", ["intelgraph.cli.interruption", "click", "intelgraph.simulator.running"])
def test_so_it_is_of_the_installed_script(imported: str) -> None:
    assert interrupted_after(imported, (str(SCRIPT),)) == (130, ["intelgraph: interrupted"])


def test_a_process_that_was_started_to_ignore_it_goes_on_ignoring_it() -> None:
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "import atexit, os; atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
        "import sys; sys.argv = ['intelgraph', '--version']\n"
        "from intelgraph.cli.main import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_at_the_very_end_is_one_sentence_too() -> None:
    program = (
        "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
        "import sys; sys.argv = ['intelgraph', '--version']\n"
        "from intelgraph.cli.main import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stderr) == (130, "intelgraph: interrupted\n")
