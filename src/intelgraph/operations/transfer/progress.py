"""How far an import or an export is: for whoever waits. What shows it must not wait itself."""

from __future__ import annotations

from typing import Protocol

from intelgraph.model.errors import IntelGraphError


class Progress(Protocol):
    """The steps of one transfer, one at a time: ``start``, ``advance`` or ``set``, and the next ``start``."""

    def start(self, name: str, total: int | None) -> None:
        """A step of ``total`` things begins; None: nobody knows how many."""
        ...

    def set(self, done: int) -> None:
        """So many of its things are done."""
        ...

    def advance(self, things: int) -> None:
        """So many more are done."""
        ...

    def wait(self, error: IntelGraphError, left_s: float) -> None:
        """Nothing gets on, and why; it is tried for ``left_s`` seconds more at most."""
        ...


class NoProgress:
    """For whoever wants to hear of none."""

    def start(self, name: str, total: int | None) -> None:
        """Nothing."""

    def set(self, done: int) -> None:
        """Nothing."""

    def advance(self, things: int) -> None:
        """Nothing."""

    def wait(self, error: IntelGraphError, left_s: float) -> None:
        """Nothing."""
