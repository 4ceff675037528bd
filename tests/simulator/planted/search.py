"""Searches for a planted mistake in random schedules, which know nothing of it."""

from __future__ import annotations

import os
from typing import NamedTuple

from intelgraph.simulator.schedule import Outcome, run, schedule

from .mistakes import Mistake

SCHEDULES_MAX = int(os.environ.get("INTELGRAPH_PLANTED_SCHEDULES", "1500"))
"""As many as ``make test`` runs without a mistake."""


class Found(NamedTuple):
    """The first schedule that broke a promise, and how many were run."""

    outcome: Outcome
    schedules: int


def found_by(mistake: Mistake, schedules_max: int, *, first: int = 0) -> Found | None:
    """Run schedules one after the other until one breaks a promise."""
    with mistake.plant():
        for number in range(schedules_max):
            outcome = run(schedule(first + number))
            if outcome.promise is not None:
                return Found(outcome, number + 1)
    return None


def row(mistake: Mistake, found: Found | None) -> str:
    """Return the mistake's line of the table."""
    if found is None:
        by, seed, count = mistake.unit_test or "nothing", "", f"{SCHEDULES_MAX}, none"
    else:
        by, seed, count = found.outcome.promise or "", str(found.outcome.seed), str(found.schedules)
    return f"| {mistake.name} | {mistake.place} | {by} | {seed} | {count} |"
