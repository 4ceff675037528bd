"""Durations as people read them: ``1.5 h`` and ``40 d``, not ``3.456e+06 s``."""

from __future__ import annotations

import math

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def duration_text(seconds: float) -> str:
    """Say it in the largest unit in which it has one decimal at most, from two minutes on; else in seconds, exactly."""
    if 120.0 <= seconds < math.inf:
        for unit_s, unit in _UNITS:
            tenths = seconds * 10 / unit_s
            if seconds >= unit_s and tenths == round(tenths):
                return f"{seconds / unit_s:,g} {unit}"
    return f"{seconds:,.0f} s" if seconds >= 1_000 else f"{seconds:g} s"
