"""How plans are recorded and carried out, whatever their kind. What one action may take belongs to its kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PlanPolicy:
    """The same for every executor."""

    past_max: int = 20
    """How many ended plans of a subject are remembered: a command that waits for one learns what became of it."""
    look_under_way_s: float = 0.03
    """Between two looks while a plan waits for something to arrive: a switchover holds writes meanwhile."""
    again_after_refusal_s: float = 0.25
    """After an action that was refused, or whose database did not answer: as long as an ordinary look takes."""
    again_after_defect_s: float = 5.0
    """After a defect of ours: tried again, but not at every look, for it would fill the log."""

    def __post_init__(self) -> None:
        if self.past_max < 1 or min(self.look_under_way_s, self.again_after_refusal_s, self.again_after_defect_s) <= 0:
            raise ValueError("a plan is remembered, and every wait lasts some time")
