"""How plans are recorded and carried out, whatever their kind. What one action may take belongs to its kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PlanPolicy:
    """The same for every executor."""

    past_max: int = 20
    """How many ended plans of a subject are remembered: a command that waits for one learns what became of it."""
    again_after_defect_s: float = 5.0
    """After a defect of ours in an action: it is tried again, but not at every look, for it would fill the log."""

    def __post_init__(self) -> None:
        if self.past_max < 1 or self.again_after_defect_s <= 0:
            raise ValueError("a plan that has ended is remembered, and every wait lasts some time")
