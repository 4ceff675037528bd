"""What time it is when wall clocks disagree: what most of them say. Pure.

Nothing is ordered or timed by it: it is for what is judged by the time of day, such as tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

APART_S = 5.0
"""Clocks that differ by less agree: a report travels for up to two seconds."""


def ahead_s(others_ahead_s: Mapping[str, float], *, apart_s: float = APART_S) -> float | None:
    """Return how far the clock here is ahead of what most say; 0 while it is one of most; none without a majority.

    ``others_ahead_s``: by vantage point, how far its clock is ahead of the one here.
    """
    readings = [0.0, *others_ahead_s.values()]
    most = max(([other for other in readings if abs(other - each) < apart_s] for each in readings), key=len)
    if len(most) < 2 or 2 * len(most) <= len(readings):
        return None
    return 0.0 if 0.0 in most else -median(most)
