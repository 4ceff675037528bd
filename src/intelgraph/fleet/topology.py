"""What a fleet is: zones, regions, the links between them and the ports they use, as one frozen value.

Pure: reading the file is `topology_file`, choosing free ports is `places`. Everything else in the fleet is derived from
this value and the ports, so two runs over one file build the same fleet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations, permutations

REGIONS_MAX = 12
BASE_PORT = 7400
GLOBAL_EDGE_PORT = 8080
GLOBAL_EDGE = "global-edge"
_PORTS_PER_REGION = 10
_WAN_PORTS_FROM = 200


@dataclass(frozen=True, kw_only=True)
class Region:
    """A site. ``ports`` holds only those the file fixes, by part: postgres, api, edge."""

    name: str
    zone: str
    api_workers: int = 1
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Link:
    """The WAN link of an unordered pair of regions; ``delay_ms`` is added to each direction."""

    a: str
    b: str
    delay_ms: float = 0.0

    @property
    def name(self) -> str:
        """The relay's name: both regions in topology order."""
        return f"{self.a}--{self.b}"


@dataclass(frozen=True, kw_only=True)
class Topology:
    """A whole fleet. ``base_port`` is ``None`` where free ports are to be chosen and kept."""

    zones: tuple[str, ...]
    regions: tuple[Region, ...]
    links: tuple[Link, ...]
    base_port: int | None = BASE_PORT
    global_edge_port: int | None = GLOBAL_EDGE_PORT
    postgres_settings: Mapping[str, str] = field(default_factory=dict)

    def region(self, name: str) -> Region:
        """The region of that name; ``KeyError`` if there is none."""
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(name)

    def link(self, one: str, other: str) -> Link:
        """The link between two regions, in either order; ``KeyError`` if there is none."""
        for link in self.links:
            if {link.a, link.b} == {one, other}:
                return link
        raise KeyError(f"{one}--{other}")


def full_mesh(regions: tuple[Region, ...], given: Mapping[frozenset[str], float]) -> tuple[Link, ...]:
    """One link for each pair of regions, in topology order, with the delays that were given and 0 otherwise."""
    return tuple(
        Link(a=one.name, b=other.name, delay_ms=given.get(frozenset((one.name, other.name)), 0.0))
        for one, other in combinations(regions, 2)
    )


def default_topology() -> Topology:
    """Two regions, one in the United States and one in Europe, with links that add no delay."""
    regions = (Region(name="us-east", zone="us"), Region(name="eu-west", zone="eu"))
    return Topology(zones=("us", "eu"), regions=regions, links=full_mesh(regions, {}))


def wan_port(source: str, target: str, what: str) -> str:
    """The name of the port at which ``source`` reaches ``target``'s ``postgres`` or ``edge`` over the WAN."""
    return f"wan/{source}/{target}/{what}"


def port_names(topology: Topology) -> list[str]:
    """Every port the fleet needs, by name: ``region/part``, ``wan/source/target/part`` and ``global-edge``."""
    names = [f"{region.name}/{part}" for region in topology.regions for part in ("postgres", "api", "edge")]
    for source, target in permutations([region.name for region in topology.regions], 2):
        names += [wan_port(source, target, "postgres"), wan_port(source, target, "edge")]
    return [*names, GLOBAL_EDGE]


def fixed_ports(topology: Topology) -> dict[str, int]:
    """The ports the file fixes: all of them counted up from ``base_port``, or only the explicit ones without it."""
    ports: dict[str, int] = {}
    base = topology.base_port
    if base is not None:
        for index, region in enumerate(topology.regions):
            for offset, part in enumerate(("postgres", "api", "edge")):
                ports[f"{region.name}/{part}"] = base + _PORTS_PER_REGION * index + offset
        wan = [name for name in port_names(topology) if name.startswith("wan/")]
        ports.update({name: base + _WAN_PORTS_FROM + index for index, name in enumerate(wan)})
    for region in topology.regions:
        ports.update({f"{region.name}/{part}": port for part, port in region.ports.items()})
    if topology.global_edge_port is not None:
        ports[GLOBAL_EDGE] = topology.global_edge_port
    return ports


def port_conflicts(ports: Mapping[str, int]) -> list[str]:
    """One sentence for each port that two parts want."""
    wanted: dict[int, list[str]] = {}
    for name, port in ports.items():
        wanted.setdefault(port, []).append(name)
    return [f"port {port} is wanted by {' and '.join(names)}" for port, names in wanted.items() if len(names) > 1]
