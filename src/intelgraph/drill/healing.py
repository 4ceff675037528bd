"""Heals a fault until it is proven that it is healed: on a busy machine the first look may come too early."""

from __future__ import annotations

import time
from collections.abc import Callable

from intelgraph.drill.faults.fault import Fault
from intelgraph.model.errors import IntelGraphError

_AGAIN_S = 1.0


def heal_until_proven(fault: Fault, *, within_s: float, report: Callable[[str], None]) -> str:
    """Heal and look, again and again; returns the proof in words, and blocks.

    ``report`` is called each time with why it is not proven yet. After ``within_s`` it is raised.
    """
    until_s = time.monotonic() + within_s
    while True:
        try:
            return fault.heal()
        except (IntelGraphError, OSError) as error:
            if time.monotonic() >= until_s:
                raise
            report(f"{fault.name} of {fault.region} is not healed yet: {error}")
            time.sleep(_AGAIN_S)
