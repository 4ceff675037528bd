"""Is one thing slower than another? From pairs that were measured one right after the other. Pure.

Of each pair the ratio counts, so that a machine whose speed drifts does the same to both. The bounds are those of the
mean of the logarithms, by Student's t: what is told is a ratio, and half and double are equally far from the same.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from msgspec import Struct

PAIRS_MIN = 15
"""Fewer say little on a machine of two cores."""
# Student's t for 95 % on both sides, by degrees of freedom from 14 on; the tables of any textbook.
_T = {14: 2.145, 19: 2.093, 24: 2.064, 29: 2.045, 39: 2.023, 59: 2.001, 119: 1.980}


class Paired(Struct, frozen=True, kw_only=True):
    """Ratios of the first to the second over pairs: their median, their mean and its 95 % bounds."""

    pairs: int
    median: float
    mean: float
    low: float
    high: float

    def text(self) -> str:
        """``median (low to high)``."""
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def paired(first: Sequence[float], second: Sequence[float]) -> Paired:
    """Compare two series, pair by pair; there are at least ``PAIRS_MIN`` of them, and none is zero."""
    logs = [math.log(a / b) for a, b in zip(first, second, strict=True)]
    if len(logs) < PAIRS_MIN:
        raise ValueError(f"{len(logs)} pairs are too few; at least {PAIRS_MIN} say something")
    mean = statistics.fmean(logs)
    t = _T[max(freedom for freedom in _T if freedom <= len(logs) - 1)]
    reach = t * statistics.stdev(logs) / math.sqrt(len(logs))
    return Paired(
        pairs=len(logs),
        median=math.exp(statistics.median(logs)),
        mean=math.exp(mean),
        low=math.exp(mean - reach),
        high=math.exp(mean + reach),
    )
