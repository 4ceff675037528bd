"""The clock by which leases are timed: it never goes back, is never set, and runs on while the machine sleeps.

A reading means something to the process that took it alone. Only composition roots use it; everything else takes a
``Clock`` as an argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]

# Linux stops CLOCK_MONOTONIC while the machine is suspended, and a lease must not outlive that.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_s() -> float:
    """Return the seconds since some moment in the past."""
    return time.clock_gettime(_CLOCK)
