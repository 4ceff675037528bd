"""Who is truly well, and who was truly parted from whom: what no region can know, looked at twice a second."""

from __future__ import annotations

from typing import NamedTuple

from intelgraph.simulator.network import STORE
from intelgraph.simulator.region import Region
from intelgraph.simulator.virtual_time import Universe

LOOK_S = 0.5


class Parted(NamedTuple):
    """The last time that a region could see that it was parted from another: how long it lasted, and until when."""

    for_s: float = 0.0
    until_s: float = float("-inf")


class Health:
    """Of all regions of a world."""

    def __init__(self, universe: Universe, regions: dict[str, Region]) -> None:
        self._universe = universe
        self._regions = regions
        self._well_since_s: dict[str, float] = {}
        self._parted: dict[tuple[str, str], Parted] = {}

    def start(self) -> None:
        """Begin to look."""
        self._look()

    def well_s(self, region: str) -> float:
        """For how long nothing at all has been wrong with a region, its links and its way to the store."""
        return self._universe.now - self._well_since_s.get(region, self._universe.now)

    def parted(self, here: str, other: str) -> Parted:
        """When ``here`` was parted from another region last, and could have seen it: it was not blind itself."""
        return self._parted.get((here, other), Parted())

    def _look(self) -> None:
        now_s = self._universe.now
        for name, region in self._regions.items():
            if self._is_well(region):
                self._well_since_s.setdefault(name, now_s)
            else:
                self._well_since_s.pop(name, None)
        names = sorted(self._regions)
        for one in names:
            for other in names:
                if (
                    one != other
                    and self._sees(self._regions[one])
                    and self._parts(self._regions[one], self._regions[other])
                ):
                    before = self._parted.get((one, other), Parted())
                    goes_on = now_s - before.until_s < 1.5 * LOOK_S
                    self._parted[one, other] = Parted(before.for_s + LOOK_S if goes_on else 0.0, now_s)
        self._universe.after(LOOK_S, self._look)

    @staticmethod
    def _is_well(region: Region) -> bool:
        world = region.world
        database, name, links = region.database, region.name, world.network
        if not region.works or region.writes_fail or region.database_hangs or database.disk_full or database.holes:
            return False
        if world.store.down or world.store.slow_s or not any(loop.group == "agent" for loop in region.loops):
            return False
        return not any(name in link for link in links.cuts) and not any(name in link for link in links.slow_s)

    @staticmethod
    def _sees(region: Region) -> bool:
        """Whether it runs, and the store answers it at once."""
        world = region.world
        slow = world.store.slow_s or any(region.name in link for link in world.network.slow_s)
        reaches = world.network.both_ways(region.name, STORE) and not world.store.down
        return region.works and reaches and not slow

    @staticmethod
    def _parts(here: Region, other: Region) -> bool:
        return not other.works or not here.world.network.both_ways(here.name, other.name)
