"""What a fault is: something done to one region of a running fleet, proven to be there, and undone, proven to be gone.

A fault is made again from its name, the fleet and the region alone (``faults.make``), so that another process, the
dead man's (``dead_man``), can heal it when the drill that injected it has died. ``heal`` therefore asks the fleet what
is so, never its own memory; it is the same done twice, or when nothing was injected.
"""

from __future__ import annotations

from typing import Protocol


class Fault(Protocol):
    """One fault. Methods block and are bounded in time."""

    name: str
    region: str
    loses_region: bool
    """Whether the region cannot be the home while this lasts, so that another must take over."""

    def missing(self) -> str | None:
        """Why it cannot be injected here (a sentence: what is missing, and how to get it); ``None``: it can."""
        ...

    def inject(self, dead_man_s: float) -> str:
        """Inject it; returns the proof in words (what was looked at, what it said). Raises ``fault_not_injected``."""
        ...

    def heal(self) -> str:
        """Undo it; returns the proof in words. Raises ``fault_not_healed``."""
        ...
