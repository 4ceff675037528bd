"""Which fleet of this machine is meant, and who is at work on its processes.

A ``FleetLocation`` can be had of a fleet that was never brought up, or whose topology has changed since.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from intelgraph.fleet.layout.places import Fleet, locate, locate_kept, settle
from intelgraph.fleet.layout.topology import GLOBAL_EDGE, ControlKind
from intelgraph.fleet.layout.topology_file import TopologyFile, find_topology_file, load_topology
from intelgraph.model.actor import Actor
from intelgraph.model.errors import refuse


@dataclass(frozen=True, kw_only=True)
class FleetLocation:
    """How a fleet is found: its topology file, and the directory that counts where there is none."""

    file: TopologyFile
    start: Path

    def fleet(self) -> Fleet:
        """The fleet; ``no_fleet`` if it was never brought up."""
        fleet = locate(self.file, start=self.start)
        if not fleet.id or GLOBAL_EDGE not in fleet.ports:
            raise refuse("no_fleet", f"there is no fleet in {fleet.state}: `intelgraph up` makes one")
        return fleet

    def recorded(self) -> Fleet:
        """The fleet as far as it says itself what it is, whatever the topology now names; without an id: none."""
        return locate_kept(self.file, start=self.start)

    def founded(self, control: ControlKind | None) -> Fleet:
        """The fleet, whose directories are made if they are not there."""
        return settle(self.file, start=self.start, control=control)


def find_location(topology: Path | None) -> FleetLocation:
    """The location of a topology file's fleet, else of the working directory's."""
    here = Path.cwd()
    return FleetLocation(file=load_topology(topology or find_topology_file(here)), start=here)


def find_fleet(topology: Path | None) -> Fleet:
    """The fleet of a topology file, else of the working directory; ``no_fleet`` if it was never brought up."""
    return find_location(topology).fleet()


@dataclass(frozen=True, kw_only=True)
class FleetOperator:
    """``actor`` at work on the processes of ``fleet``."""

    fleet: Fleet
    actor: Actor

    @property
    def state(self) -> Path:
        """Where what is done is recorded."""
        return self.fleet.state
