"""How much the effects of a placement's actions may ask of databases. How long an action waits is ``PlanBounds``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EffectPolicy:
    """The same in every region."""

    open_s_max: float = 30.0
    """For an ``open``: it waits for the placement's lock, which a large transaction may hold for long."""
    openings_at_once: int = 8
    """Each has a session of its own, and PostgreSQL has 100 for everybody: a region that takes a thousand placements
    over would be refused them, and its doors with it."""
    survivor_s_max: float = 1.5
    """For a survivor to accept a session, and for each of its answers: one that does not is passed over."""

    def __post_init__(self) -> None:
        if self.openings_at_once < 1 or min(self.open_s_max, self.survivor_s_max) <= 0:
            raise ValueError("every effect has some time, and one opening at a time is the least")
