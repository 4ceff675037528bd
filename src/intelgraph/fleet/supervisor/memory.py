"""How much memory a part really takes: the proportional set size (PSS) of its process and all it started.

Pages shared by several processes count in parts that add up to one, so the parts' figures may be added.
"""

from __future__ import annotations

import contextlib

import psutil


def part_pss_bytes(pid: int, *, descendants: bool = True) -> int | None:
    """The PSS of a process and its descendants; ``None`` where it cannot be read. Platforms without PSS give USS."""
    total, seen = 0, False
    with contextlib.suppress(psutil.Error, OSError, ValueError):
        process = psutil.Process(pid)
        for each in (process, *(process.children(recursive=True) if descendants else ())):
            with contextlib.suppress(psutil.Error, OSError):
                full = each.memory_full_info()
                total += getattr(full, "pss", None) or full.uss
                seen = True
    return total if seen else None
