"""Faults of a drill: each is injected, proven to be there, healed, and proven to be gone (``fault.Fault``).

A new fault is a file here and a line in ``FAULTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from intelgraph.drill.faults import clock, part_hung, partition
from intelgraph.drill.faults.api_login import ApiLogin
from intelgraph.drill.faults.crash import Crash
from intelgraph.drill.faults.disk_full import DiskFull
from intelgraph.drill.faults.fault import Fault
from intelgraph.drill.faults.pause import Pause
from intelgraph.drill.faults.postmaster_hung import PostmasterHung
from intelgraph.drill.faults.slow import Slow
from intelgraph.fleet.layout.places import Fleet
from intelgraph.model.errors import refuse

FAULTS: Mapping[str, Callable[[Fleet, str], Fault]] = {
    "crash": lambda fleet, region: Crash(fleet=fleet, region=region),
    "pause": lambda fleet, region: Pause(fleet=fleet, region=region),
    "partition": partition.both_ways,
    "partition-in": partition.inwards,
    "partition-out": partition.outwards,
    "slow": lambda fleet, region: Slow(fleet=fleet, region=region),
    "clock": clock.ahead,
    "clock-back": clock.back,
    "api-hung": part_hung.api,
    "api-login": lambda fleet, region: ApiLogin(fleet=fleet, region=region),
    "edge-hung": part_hung.edge,
    "postmaster-hung": lambda fleet, region: PostmasterHung(fleet=fleet, region=region),
    "disk-full": lambda fleet, region: DiskFull(fleet=fleet, region=region),
}


def make(name: str, fleet: Fleet, region: str) -> Fault:
    """The fault of that name, for one region; ``unknown_fault`` if there is none."""
    if name not in FAULTS:
        raise refuse("unknown_fault", f"there is no fault {name}: known are {', '.join(FAULTS)}", fault=name)
    return FAULTS[name](fleet, region)
