"""``make test``: runs every suite, whatever an earlier one found, and tells everything together at the end.

It reads no output: each pytest writes what became of each test into a file, as it happens (``tests/outcomes.py``), so
that a suite that is killed has told what it found until then. The last line has the form of pytest's own.
Ctrl-C ends the suite that runs, which stops what it started; it and the later ones are named as not run to their end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests import cases
from tests.outcomes import FILE_VARIABLE, Outcome, read_outcomes

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "build" / "tests.txt"
"""What was told at the end, once more: for whoever runs ``make``, whose own last line is another one."""
INTERRUPTED = 130
_NO_TESTS = 5
_FOUND_SOMETHING = (1, 2)  # 2: a file could not be read
_WIDTH = 80
_SLOWEST, _SLOW_S = 15, 10.0
QUICK = "not prove and not fleet and not alone"
_LONG = ("--timeout", "5400")
_COUNTED = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One command. ``is_pytest``: it writes outcomes; of another command only the exit code says anything."""

    name: str
    command: Sequence[str]
    is_pytest: bool = True


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What became of a suite; ``code`` is ``None`` where it did not run, or was interrupted.

    ``to_its_end``: a pytest that a test ends by ``os._exit(0)`` has that exit code too.
    """

    suite: Suite
    code: int | None = None
    outcomes: Sequence[Outcome] = ()
    to_its_end: bool = True

    @property
    def failures(self) -> list[Outcome]:
        """Everything that is wrong: what its tests found, and the suite itself where it ended as none should."""
        found = [each for each in self.outcomes if each.category in ("failed", "error")]
        wrong = self._wrong_in_itself(found)
        return [*found, Outcome(category="error", test=self.suite.name, why=wrong)] if wrong else found

    def _wrong_in_itself(self, found: Sequence[Outcome]) -> str | None:
        if self.code is None or (self.code == 0 and self.to_its_end):
            return None
        if self.suite.is_pytest and self.to_its_end and self.code in _FOUND_SOMETHING and found:
            return None
        if self.suite.is_pytest and self.code == _NO_TESTS:
            return "it has no tests"
        how = f"ended with exit code {self.code}"
        if self.code < 0:
            how = f"was ended by {signal.Signals(-self.code).name}"
        return (
            f"`{shlex.join(self.suite.command)}` {how}{'' if self.to_its_end else ' before all of its tests had run'}"
        )


class Runner:
    """Runs suites one after the other, each in a process group of its own that hears of Ctrl-C as on a terminal."""

    def __init__(self) -> None:
        self.interrupted = False
        self._running: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Pass Ctrl-C, and an end that somebody else asks for, on to the suite that runs."""
        heard = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {each: signal.signal(each, self._hear) for each in heard}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        self._interrupt()

    def _interrupt(self) -> None:
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGINT)

    def run(self, suite: Suite, directory: Path) -> Ran:
        """Run one suite and read what it wrote; nothing is run any more after an interruption."""
        if self.interrupted:
            return Ran(suite=suite)
        written = directory / f"{suite.name}.jsonl"
        told = f" {suite.name} "
        print(f"{told:#^{_WIDTH}}", flush=True)
        self._running = subprocess.Popen(
            suite.command, stdin=subprocess.DEVNULL, env=os.environ | {FILE_VARIABLE: str(written)}, process_group=0
        )
        if self.interrupted:  # between the look above and now
            self._interrupt()
        code = self._running.wait()
        self._running = None
        if not suite.is_pytest:
            return Ran(suite=suite, code=None if self.interrupted else code)
        outcomes, to_its_end = read_outcomes(written)
        return Ran(suite=suite, code=None if self.interrupted else code, outcomes=outcomes, to_its_end=to_its_end)


def told_at_the_end(ran: Sequence[Ran], took_s: float) -> str:
    """Every failure of every suite, what was skipped and why, what did not run, and the summary line."""
    lines = []
    slow = [outcome for each in ran for outcome in each.outcomes if outcome.seconds >= _SLOW_S]
    slowest = sorted(slow, key=lambda each: -each.seconds)[:_SLOWEST]
    if slowest:
        lines += [_ruled("what took longest")]
        lines += [f"{each.seconds:7.1f} s  {each.test}" for each in slowest]
    failures = [(each.suite.name, failure) for each in ran for failure in each.failures]
    if failures:
        lines += [_ruled("everything that failed")]
        failures.sort(key=lambda each: each[1].category == "failed")  # what follows from a failure is told before it
        lines += [f"{failure.category.upper()} {failure.test} - {failure.why} [{suite}]" for suite, failure in failures]
    skipped = [outcome for each in ran for outcome in each.outcomes if outcome.category == "skipped"]
    if skipped:
        lines += [_ruled("what was skipped, and why")]
        for why, count in Counter(each.why for each in skipped).items():
            lines += [f"SKIPPED [{count}] {why}"]
            lines += [f"    {each.test}" for each in skipped if each.why == why]
    left = [each.suite.name for each in ran if each.code is None]
    if left:
        lines += [_ruled(f"interrupted: {', '.join(left)} did not run to the end", "!")]
    return "\n".join([*lines, summary(counts(ran), took_s)])


def counts(ran: Sequence[Ran]) -> Counter[str]:
    """How many tests ended in each way, over all suites; a suite that went wrong by itself is an error."""
    found = Counter(outcome.category for each in ran for outcome in each.outcomes)
    found["error"] += sum(len(each.failures) for each in ran) - found["failed"] - found["error"]
    return found


def summary(counted: Mapping[str, int], took_s: float) -> str:
    """The last line, as pytest writes it."""
    parts = [f"{counted[kind]} {_plural(kind, counted[kind])}" for kind in _COUNTED if counted.get(kind)]
    took = f"{took_s:.2f}s" if took_s < 60 else f"{took_s:.2f}s ({_clock(took_s)})"
    return _ruled(f"{', '.join(parts) or 'no tests ran'} in {took}")


def _clock(took_s: float) -> str:
    minutes, seconds = divmod(int(took_s), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _plural(kind: str, count: int) -> str:
    return "errors" if kind == "error" and count > 1 else kind


def _ruled(text: str, rule: str = "=") -> str:
    return f"{f' {text} ':{rule}^{_WIDTH}}"


def run_all(suites: Sequence[Suite]) -> tuple[str, int]:
    """Run all; what there is to tell, and the exit code: 0, 1, or 130 after Ctrl-C."""
    began_s = time.monotonic()
    runner = Runner()
    with runner.listening(), tempfile.TemporaryDirectory(prefix="ig-suites-") as directory:
        ran = [runner.run(suite, Path(directory)) for suite in suites]
    told = told_at_the_end(ran, time.monotonic() - began_s)
    if runner.interrupted:
        return told, INTERRUPTED
    return told, 1 if any(each.failures for each in ran) else 0


def pytest_suite(name: str, *arguments: str) -> Suite:
    """A suite of this project's tests."""
    plugins = ("-p", "tests.outcomes", "-p", "tests.interruption")
    return Suite(name=name, command=(sys.executable, "-m", "pytest", *plugins, *arguments))


def files_marked(mark: str) -> list[str]:
    """The test files that have a mark: to read all of them takes as long as a fleet takes to come up."""
    sought = f"mark.{mark}"
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(file.relative_to(ROOT)) for file in files if sought in file.read_text(encoding="utf-8")]


def all_cases() -> Suite:
    """All generated cases, in the tests that try a part of them in the quick run."""
    return pytest_suite("cases", "-n", "3", "--dist", "worksteal", "-m", QUICK, cases.OPTION, *cases.files_with_cases())


def all_suites(proofs: str | None) -> list[Suite]:
    """What `make test` runs. ``proofs``: which of the long proofs run too, as arguments of pytest, and all cases."""
    all_of_them = (cases.OPTION,) if proofs else ()
    suites = [
        Suite(name="check", command=("make", "--no-print-directory", "-j", "2", "check"), is_pytest=False),
        pytest_suite("quick", "-n", "3", "--dist", "worksteal", "-m", QUICK, *all_of_them),
        pytest_suite(
            "fleets", "-n", "2", "--dist", "loadfile", "-m", "fleet and not prove and not alone", *files_marked("fleet")
        ),
        pytest_suite("alone", "-m", "alone and not prove", *files_marked("alone")),
    ]
    if proofs:
        chosen = shlex.split(proofs)
        together = ("-n", "2", "--dist", "worksteal")  # a core for each
        suites += [
            pytest_suite("proofs", *together, "-m", "prove and not fleet", *_LONG, *chosen),
            pytest_suite("fleet-proofs", "-m", "prove and fleet", *_LONG, *chosen),
        ]
    return suites


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proofs", metavar="ARGUMENTS", help="run these of the long proofs too")
    parser.add_argument("--cases", action="store_true", help="run nothing but all generated cases")
    asked = parser.parse_args()
    told, code = run_all([all_cases()] if asked.cases else all_suites(asked.proofs))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(told + "\n", encoding="utf-8")
    print(told, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
