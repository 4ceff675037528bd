"""Wall clocks of a region that a drill may set: its processes run under libfaketime, if the topology asks for it.

Each region has a file that says how far its wall clocks are off, in seconds; libfaketime reads it again each second, so
that running processes see the step. PostgreSQL, the agent, the API and the feed run so. Envoy does not: it never
gets to listening under libfaketime 0.9.10, and decides nothing by the wall clock. Nor does etcd: programs in Go ask the
kernel for the time past any library. Monotonic clocks and the time since boot are left alone,
as a step of a real clock leaves them. What is under the region's ``clock`` directory is for PostgreSQL's account too.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from intelgraph.fleet.layout.binaries import faketime_library
from intelgraph.fleet.layout.places import Fleet
from intelgraph.model.errors import refuse
from intelgraph.runtime.whole_file import write_whole

READ_EVERY_S = 1
"""How soon a running process sees that its clock was set; asking each time would cost 5 µs a look."""
_LIBRARY = "libfaketimeMT.so.1"


def directory(fleet: Fleet, region: str) -> Path:
    """What a region's clocks are made of."""
    return fleet.region(region) / "clock"


def environment(fleet: Fleet, region: str) -> dict[str, str]:
    """What the region's processes have in their environment besides; nothing where clocks are not to be set."""
    if not fleet.topology.fake_clocks:
        return {}
    place = directory(fleet, region)
    return {
        "LD_PRELOAD": str(place / _LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(place / "ahead"),
        "FAKETIME_CACHE_DURATION": str(READ_EVERY_S),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
        # Debian's is built to mend how an old glibc waited by the monotonic clock: with today's, waits of some
        # milliseconds end at once, and threads of Python that wait for each other take all of the processor.
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "NO_FAKE_STAT": "1",
    }


def prepare(fleet: Fleet) -> None:
    """Put the library and the file where the region's processes look; refuses with ``no_faketime``."""
    if not fleet.topology.fake_clocks:
        return
    library = faketime_library()
    if library is None:
        raise refuse(
            "no_faketime", "libfaketime is not found, and fake_clocks asks for it: `make faketime` gets it (Linux)"
        )
    for region in fleet.topology.regions:
        place = directory(fleet, region.name)
        place.mkdir(exist_ok=True)
        place.chmod(0o755)
        if not (place / _LIBRARY).exists():
            staging = place / "library.new"
            shutil.copyfile(library, staging)
            staging.chmod(0o755)
            staging.replace(place / _LIBRARY)  # never written in place: running processes have it mapped
        if not (place / "ahead").exists():
            set_ahead(fleet, region.name, 0)


def set_ahead(fleet: Fleet, region: str, ahead_s: int) -> None:
    """Say how far ahead the region's wall clocks are from now on, in seconds; 0 is right, less is behind."""
    place = directory(fleet, region)
    write_whole(place / "ahead", f"{ahead_s:+d}\n", mode=0o644)
