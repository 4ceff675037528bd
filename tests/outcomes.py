"""What became of each test, a line of JSON each, as it happens: a plugin of pytest, and what reads its file.

It writes where ``IG_TEST_OUTCOMES`` names a file, and only in the process that tells: not in pytest-xdist's workers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

FILE_VARIABLE = "IG_TEST_OUTCOMES"
_WHY_MAX = 500
_END = "end\n"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One test's end; ``category`` is pytest's own word: passed, failed, skipped, xfailed, xpassed or error."""

    category: str
    test: str
    why: str = ""
    seconds: float = 0.0
    """How long it took, with what was made for it."""


def read_outcomes(path: Path) -> tuple[list[Outcome], bool]:
    """Everything that was written, and whether its writer came to its end; a line that is cut off is left out."""
    if not path.exists():
        return [], False
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [Outcome(**json.loads(line)) for line in lines if line.endswith("}\n")], _END in lines


def pytest_configure(config: pytest.Config) -> None:
    """Begin to write, where a file is named."""
    path = os.environ.pop(FILE_VARIABLE, None)  # tests start pytest too, whose outcomes are none of this run's
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Writer(config, Path(path)))


class _Writer:
    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config = config
        self._file = path.open("a", encoding="utf-8")
        self._seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        tell: Callable[..., tuple[str, str, object]] = self._config.hook.pytest_report_teststatus
        category, _, _ = tell(report=report, config=self._config)
        seconds = self._seconds.pop(report.nodeid, 0.0) + report.duration
        if category:
            self._write(Outcome(category=category, test=report.nodeid, why=_why(report), seconds=round(seconds, 2)))
        elif report.when == "setup":
            self._seconds[report.nodeid] = seconds

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome != "passed":
            category = "error" if report.failed else "skipped"
            self._write(Outcome(category=category, test=report.nodeid, why=_why(report)))

    def pytest_unconfigure(self) -> None:
        self._file.write(_END)
        self._file.close()

    def _write(self, outcome: Outcome) -> None:
        self._file.write(json.dumps(asdict(outcome)) + "\n")
        self._file.flush()


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    told = report.longrepr
    if told is None:
        return ""
    if isinstance(told, tuple | list):
        return str(told[2]).removeprefix("Skipped: ")
    crash = getattr(told, "reprcrash", None)
    message = str(crash.message if crash is not None else told).strip()
    return " ".join(message.splitlines()[0].split())[:_WHY_MAX] if message else ""
