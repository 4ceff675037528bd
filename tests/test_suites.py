"""`make test` runs every suite, tells all failures together, says what was skipped, and ends as it should on Ctrl-C."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.suites import INTERRUPTED, ROOT, Suite, all_suites, files_marked, run_all, summary

GOOD = "def test_good(): pass\n"
BAD = "def test_bad(): assert 1 == 2\n"
SUMMARY = re.compile(r"=+ (?P<what>.+) in \d+\.\d\ds(?: \(\d+:\d\d:\d\d\))? =+")
TOLD_WITHIN_S = 120.0


def tiny(directory: Path, name: str, source: str, *arguments: str) -> Suite:
    """A suite of one file, which knows nothing of this project's settings."""
    file = directory / name / f"test_{name}.py"
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    plugins = ("-p", "tests.outcomes", "-p", "tests.interruption", "-p", "no:cacheprovider")
    settings = ("-c", "/dev/null", "--rootdir", str(file.parent), *plugins)
    arguments = ("-p", "xdist", *arguments) if "-n" in arguments else arguments
    return Suite(name=name, command=(sys.executable, "-m", "pytest", *settings, *arguments, str(file)))


@pytest.fixture(autouse=True)
def _nothing_else_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny suite begins in a third of a second then."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run_tiny(*suites: Suite) -> tuple[list[str], int]:
    told, code = run_all(suites)
    return told.splitlines(), code


def what(line: str) -> str:
    found = SUMMARY.fullmatch(line)
    assert found, line
    return found["what"]


def test_failures_of_every_suite_are_told_together_and_the_last_line_is_as_pytest_writes_it(tmp_path: Path) -> None:
    skipping = "import pytest\ndef test_there(): pytest.skip('there is no etcd: `make etcd` gets it')\n"
    told, code = run_tiny(
        tiny(tmp_path, "one", BAD + GOOD),
        tiny(tmp_path, "two", GOOD + skipping, "-n", "2"),
        tiny(
            tmp_path, "three", "import pytest\n@pytest.fixture\ndef x(): 1 / 0\ndef test_x(x): pass\n" + BAD, "-n", "2"
        ),
    )
    assert code == 1
    assert what(told[-1]) == "2 failed, 2 passed, 1 skipped, 1 error"
    assert sorted(line for line in told if line.startswith(("FAILED", "ERROR"))) == [
        "ERROR test_three.py::test_x - ZeroDivisionError: division by zero [three]",
        "FAILED test_one.py::test_bad - assert 1 == 2 [one]",
        "FAILED test_three.py::test_bad - assert 1 == 2 [three]",
    ]
    at = told.index("SKIPPED [1] there is no etcd: `make etcd` gets it")
    assert told[at + 1] == "    test_two.py::test_there"


def test_where_nothing_fails_the_exit_code_is_0(tmp_path: Path) -> None:
    told, code = run_tiny(tiny(tmp_path, "one", GOOD), tiny(tmp_path, "two", GOOD))
    assert (len(told), what(told[-1]), code) == (1, "2 passed", 0)


@pytest.mark.prove
@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("import os, signal\ndef test_end(): os.kill(os.getpid(), signal.SIGKILL)\n", "was ended by SIGKILL"),
        ("import os\ndef test_end(): os._exit(0)\n", "ended with exit code 0 before all of its tests had run"),
        ("import os\ndef test_end(): os._exit(7)\n", "ended with exit code 7"),
    ],
    ids=["killed", "exit 0", "exit 7"],
)
def test_a_suite_that_is_ended_has_told_what_it_found_and_is_an_error_itself(
    tmp_path: Path, source: str, wrong: str
) -> None:
    told, code = run_tiny(tiny(tmp_path, "one", BAD + source + GOOD), tiny(tmp_path, "two", GOOD))
    assert (what(told[-1]), code) == ("1 failed, 1 passed, 1 error", 1)
    assert any(line.startswith("FAILED test_one.py::test_bad") for line in told)
    assert any(line.startswith("ERROR one - ") and wrong in line for line in told), told


@pytest.mark.prove
def test_a_file_that_cannot_be_read_and_a_suite_without_tests_are_errors(tmp_path: Path) -> None:
    told, code = run_tiny(
        tiny(tmp_path, "one", "import nothing_of_that_name\n"),
        tiny(tmp_path, "two", GOOD, "-k", "nothing_of_that_name"),
        Suite(name="three", command=("false",), is_pytest=False),
        tiny(tmp_path, "four", GOOD),
    )
    assert (what(told[-1]), code) == ("1 passed, 3 errors", 1)
    assert "ERROR two - it has no tests [two]" in told
    assert "ERROR three - `false` ended with exit code 1 [three]" in told


def test_what_is_expected_to_fail_is_counted_apart(tmp_path: Path) -> None:
    source = "import pytest\n@pytest.mark.xfail(reason='known', strict=True)\n"
    told, code = run_tiny(tiny(tmp_path, "one", source + BAD), tiny(tmp_path, "two", source + GOOD))
    assert (what(told[-1]), code) == ("1 failed, 1 xfailed", 1)


WAITING = """
import pathlib, time, pytest
HERE = pathlib.Path(__file__).parent
@pytest.fixture
def fleet():
    yield
    time.sleep(STOPPING_S)
    (HERE / "down").touch()
def test_first(): pass
def test_waits(fleet):
    (HERE / "up").touch()
    time.sleep(300)
"""


@pytest.mark.parametrize(
    ("number", "arguments", "stopping_s"),
    [
        pytest.param(signal.SIGINT, (), 0.5, marks=pytest.mark.prove),
        (signal.SIGINT, ("-n", "2"), 0.5),
        pytest.param(signal.SIGINT, ("-n", "2"), 17.0, marks=pytest.mark.prove),
        (signal.SIGTERM, (), 0.5),
    ],
    ids=["Ctrl-C", "Ctrl-C with workers", "Ctrl-C with workers that stop servers for long", "terminated"],
)
def test_an_interruption_lets_the_suite_stop_what_it_started_and_runs_no_other(
    tmp_path: Path, number: int, arguments: Sequence[str], stopping_s: float
) -> None:
    waiting = WAITING.replace("STOPPING_S", str(stopping_s))
    one, two = tiny(tmp_path, "one", waiting, *arguments), tiny(tmp_path, "two", GOOD)
    script = (
        "import sys; from tests.suites import *\n"
        f"told, code = run_all([{one!r}, {two!r}])\n"
        "print(told, flush=True); sys.exit(code)"
    )
    running = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        until_there(tmp_path / "one" / "up", running)
        running.send_signal(number)
        told, _ = running.communicate(timeout=TOLD_WITHIN_S)
    finally:
        running.kill()
    assert running.returncode == INTERRUPTED
    assert (tmp_path / "one" / "down").exists(), told
    lines = told.splitlines()
    assert what(lines[-1]) == "1 passed" or "-n" in arguments, "a worker's last word may not have come"
    assert "interrupted: one, two did not run to the end" in lines[-2]


def until_there(path: Path, running: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + TOLD_WITHIN_S
    while not path.exists():
        assert running.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_the_summary_line() -> None:
    assert summary({"failed": 1, "passed": 1890, "skipped": 3}, 903.21) == (
        "======== 1 failed, 1890 passed, 3 skipped in 903.21s (0:15:03) ========="
    ).center(80, "=")
    assert summary({}, 0.5).strip("= ") == "no tests ran in 0.50s"
    assert "2 passed, 2 errors in 3661.00s (1:01:01)" in summary({"passed": 2, "error": 2}, 3661.0)


@pytest.mark.parametrize("proofs", [None, "tests/api"])
def test_every_test_is_in_exactly_one_suite_and_the_proofs_where_they_are_asked_for(proofs: str | None) -> None:
    suites = [suite for suite in all_suites(proofs) if suite.is_pytest]
    expressions = [suite.command[suite.command.index("-m", 3) + 1] for suite in suites]
    for prove, fleet, alone in itertools.product((False, True), repeat=3):
        marks = {"prove": prove, "fleet": fleet, "alone": alone}
        assert sum(eval(each, {}, marks) for each in expressions) == (0 if prove and not proofs else 1), marks


@pytest.mark.parametrize("name", ["fleet", "alone"])
def test_a_suite_reads_every_file_whose_tests_have_its_mark(name: str) -> None:
    marked = [file for file in (ROOT / "tests").rglob("*.py") if f"mark.{name}" in file.read_text(encoding="utf-8")]
    assert marked
    assert files_marked(name) == sorted(str(file.relative_to(ROOT)) for file in marked)
