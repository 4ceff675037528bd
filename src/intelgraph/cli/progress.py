"""How far a long command is: a bar on a terminal, a line now and then elsewhere, nothing with ``--json``.

Everything goes to standard error; standard output is the command's result.
"""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from intelgraph.cli.output import say
from intelgraph.model.errors import IntelGraphError
from intelgraph.model.printable import printable

LINE_EVERY_S = 5.0


class Steps:
    """The steps of one command, one at a time: ``start``, ``advance`` or ``set``, and the next ``start``."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal and not quiet:
            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
            self._bar = Progress(*columns, console=console, transient=True)
        self._quiet = quiet
        self._task: int | None = None
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._said_s = 0.0

    def __enter__(self) -> Steps:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, name: str, total: int | None) -> None:
        """A step of ``total`` things begins; None: nobody knows how many."""
        self._name, self._total, self._done, self._said_s = name, total, 0, time.monotonic()
        if self._bar is not None:
            self._task = self._bar.add_task(name, total=total)

    def wait(self, error: IntelGraphError, left_s: float) -> None:
        """Nothing gets on, and why; it is tried for ``left_s`` seconds more."""
        if not self._quiet:
            line = f"waiting: {error.denied.reason}; it is tried for {left_s:.0f} s more"
            if self._bar is None:
                say(line, err=True)
            else:
                self._bar.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def set(self, done: int) -> None:
        """So many of its things are done."""
        self.advance(done - self._done)

    def advance(self, things: int) -> None:
        """So many more are done."""
        self._done += things
        if self._bar is not None and self._task is not None:
            self._bar.update(self._bar.task_ids[-1], completed=self._done)
        elif not self._quiet and time.monotonic() - self._said_s >= LINE_EVERY_S:
            self._said_s = time.monotonic()
            of = f" of {self._total:,}" if self._total is not None else ""
            say(f"{self._name}: {self._done:,}{of}", err=True)
