"""The processes of one region, its member of etcd included, and what state the operating system says they are in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import psutil

from intelgraph.fleet.composition.parts import all_parts, mark
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.supervisor.process import Identity, look, survey

_LOOK_S = 0.05


def part_names(fleet: Fleet, region: str) -> list[str]:
    """The parts that run at a site."""
    return [part.name for part in all_parts(fleet) if part.region == region]


def processes_of(fleet: Fleet, region: str) -> list[Identity]:
    """Every process of a region that has not ended: each part, then all that it started, parents first."""
    return _running(fleet, part_names(fleet, region))


def processes_of_part(fleet: Fleet, part: str) -> list[Identity]:
    """Every process of one part: the part itself first, then all that it started."""
    return _running(fleet, [part])


def _running(fleet: Fleet, parts: list[str]) -> list[Identity]:
    carrying = survey([mark(fleet, part) for part in parts])
    found = {identity.pid: identity for each in carrying.values() for identity in each}
    for pid in list(found):
        # PostgreSQL's processes write their titles over the environment that carries the mark.
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(pid).children(recursive=True):
                seen = look(child.pid)
                if seen is not None:
                    found.setdefault(child.pid, seen)
    return list(found.values())


def is_stopped(identity: Identity) -> bool:
    """Whether it is stopped (state T)."""
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(identity.pid).status() == psutil.STATUS_STOPPED)
    return False


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold in time."""
    until_s = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= until_s:
            return False
        time.sleep(_LOOK_S)
    return True
