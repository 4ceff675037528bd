"""Who is truly well, and who was truly parted from whom: what no region can know, looked at twice a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from intelgraph.simulator.network import STORE
from intelgraph.simulator.region import Region
from intelgraph.simulator.virtual_time import Universe

LOOK_S = 0.5
STEP_S_MAX = 1.0
"""So much of a silence an agent may count as seen (`placement.observation`)."""


class Parted(NamedTuple):
    """The last time that a region could see that it was parted from another: how long it lasted, and until when.

    ``looked_s``: for how long its agent had looked at the store by then.
    """

    for_s: float = 0.0
    until_s: float = float("-inf")
    looked_s: float = float("-inf")


class Health:
    """Of all regions of a world."""

    def __init__(self, universe: Universe, regions: dict[str, Region]) -> None:
        self._universe = universe
        self._regions = regions
        self._well_since_s: dict[str, float] = {}
        self._parted: dict[tuple[str, str], Parted] = {}
        self._looked_s: dict[str, float] = dict.fromkeys(regions, 0.0)
        self._looks: dict[str, bool] = {}

    def start(self) -> None:
        """Begin to look."""
        self._look()

    def well_s(self, region: str) -> float:
        """For how long nothing at all has been wrong with a region, its links and its way to the store."""
        return self._universe.now - self._well_since_s.get(region, self._universe.now)

    def parted(self, here: str, other: str) -> Parted:
        """When ``here`` was parted from another region last, and could have seen it: it was not blind itself."""
        return self._parted.get((here, other), Parted())

    def looked(self) -> Mapping[str, float]:
        """By region: for how long its agent has been able to look at the store, counted as generously as an agent may.

        After a silence an agent may count one step of it.
        """
        return dict(self._looked_s)

    def _look(self) -> None:
        now_s = self._universe.now
        for name, region in self._regions.items():
            looks = region.runs("agent") and self._reaches_store(region)
            if looks:
                self._looked_s[name] += LOOK_S if self._looks.get(name, True) else LOOK_S + STEP_S_MAX
            self._looks[name] = looks
        for name, region in self._regions.items():
            if self._is_well(region):
                self._well_since_s.setdefault(name, now_s)
            else:
                self._well_since_s.pop(name, None)
        for one in self._regions.values():
            if not self._sees(one):
                continue
            for other in self._regions.values():
                if one is not other and self._parts(one, other):
                    before = self._parted.get((one.name, other.name), Parted())
                    goes_on = now_s - before.until_s < 1.5 * LOOK_S
                    for_s = before.for_s + LOOK_S if goes_on else 0.0
                    self._parted[one.name, other.name] = Parted(for_s, now_s, self._looked_s[one.name])
        self._universe.after(LOOK_S, self._look)

    @staticmethod
    def _is_well(region: Region) -> bool:
        world = region.world
        database, name, links = region.database, region.name, world.network
        if not region.works or region.writes_fail or region.database_hangs or database.disk_full or database.holes:
            return False
        if world.store.down or world.store.slow_s or region.flush_s:
            return False
        if not (region.runs("agent") and region.runs("api")):
            return False
        return not any(name in link for link in links.cuts) and not any(name in link for link in links.slow_s)

    @staticmethod
    def _sees(region: Region) -> bool:
        """Whether its agent runs, and the store answers it at once."""
        world = region.world
        slow = world.store.slow_s or any(region.name in link for link in world.network.slow_s)
        return region.runs("agent") and Health._reaches_store(region) and not slow

    @staticmethod
    def _reaches_store(region: Region) -> bool:
        world = region.world
        return world.network.both_ways(region.name, STORE) and not world.store.down

    @staticmethod
    def _parts(here: Region, other: Region) -> bool:
        return not other.works or not here.world.network.both_ways(here.name, other.name)
