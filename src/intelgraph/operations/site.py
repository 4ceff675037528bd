"""Where a fleet on this machine is: its state directory, the settings of its regions, its control store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from intelgraph.control.agent.leases.times import lease_policy
from intelgraph.control.directory.placements import Directory
from intelgraph.control.store.opened import open_store
from intelgraph.control.store.protocol import ControlStore
from intelgraph.fleet.layout.places import state_directory
from intelgraph.fleet.layout.topology_file import find_topology_file, load_topology
from intelgraph.model.errors import refuse
from intelgraph.placement.policy import Policy
from intelgraph.settings import ControlConfig, RegionConfig, load_control_config, load_region_config


@dataclass(frozen=True, kw_only=True)
class Site:
    """A fleet on this machine: its state directory and its regions' settings by name."""

    state: Path
    regions: dict[str, RegionConfig]
    control: ControlConfig

    def region(self, name: str) -> RegionConfig:
        """Return a region's settings; ``unknown_region`` if the fleet has none of that name."""
        found = self.regions.get(name)
        if found is None:
            known = sorted(self.regions)
            raise refuse(
                "unknown_region",
                f"the region {name} is refused: the fleet has {', '.join(known)} only; "
                "a region is added in the topology file, and `intelgraph up` starts it",
                region=name,
                known=known,
            )
        return found

    @property
    def policy(self) -> Policy:
        """By which its agents decide, so that an operation decides as they would."""
        return Policy(lease=lease_policy(next(iter(self.regions.values())).lease))

    @asynccontextmanager
    async def store(self) -> AsyncIterator[ControlStore]:
        """Open the control store for the length of the block."""
        store = open_store(self.control)
        try:
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def directory(self) -> AsyncIterator[Directory]:
        """Open the directory of tenants and placements for the length of the block."""
        async with self.store() as store:
            yield Directory(store)


def find_site(state: Path) -> Site:
    """Read what ``intelgraph up`` wrote into the state directory; ``no_fleet`` if there is nothing."""
    try:
        found = sorted(state.glob("regions/*/region.json"))
    except OSError as error:  # a name too long
        raise refuse("no_fleet", f"the state directory {state} is refused: {error.strerror}") from error
    regions = {path.parent.name: load_region_config(path) for path in found}
    if not regions:
        raise refuse("no_fleet", f"there is no fleet in {state}: `intelgraph up` makes one", state=str(state))
    return Site(state=state, regions=regions, control=_operators_control(state, regions))


def _operators_control(state: Path, regions: dict[str, RegionConfig]) -> ControlConfig:
    """How an operator reaches the control store: as the fleet says, else as its first region does."""
    try:
        return load_control_config(state / "fleet" / "control.json")
    except FileNotFoundError:
        return next(iter(regions.values())).control


def the_site(state: Path | None, topology: Path | None) -> Site:
    """Find the fleet of a state directory, else of a topology file, else of the working directory."""
    if state is not None:
        return find_site(state)
    file = load_topology(topology or find_topology_file(Path.cwd()))
    return find_site(state_directory(file, start=Path.cwd()))
