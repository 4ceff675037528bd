"""What a fleet is: zones, regions, the links between them and the ports they use, as one frozen value.

Pure: reading the file is `topology_file`, choosing free ports is `places`. Everything else in the fleet is derived from
this value and the ports, so two runs over one file build the same fleet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import combinations, permutations

from intelgraph.model.errors import refuse

REGIONS_MAX = 12
BASE_PORT = 7400
GLOBAL_EDGE_PORT = 8080
GLOBAL_EDGE = "global-edge"
WITNESS = "witness"
"""The site that is no region: it votes in the control store and looks, and holds no tenant's data."""
_PORTS_PER_REGION = 10
_WAN_PORTS_FROM = 200
_PORT_OFFSETS = {"postgres": 0, "api": 1, "edge": 2, "feed": 6, "peers": 7, "metrics": 8, "agent": 9}
"""Of a region's ports from its first one on; ``_ETCD_PORTS`` are 3 to 5."""
_ETCD_PORTS = ("etcd", "etcd-peer", "etcd-proxy")


@dataclass(frozen=True, kw_only=True)
class Region:
    """A site. ``ports`` holds only those the file fixes, by part: postgres, api, edge."""

    name: str
    zone: str
    api_workers: int = 1
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Link:
    """The WAN link of an unordered pair of sites; ``delay_ms`` is added to each direction."""

    a: str
    b: str
    delay_ms: float = 0.0

    @property
    def name(self) -> str:
        """The relay's name: both sites in topology order, the witness last."""
        return f"{self.a}--{self.b}"


class ControlKind(Enum):
    """What the control store stands on: one file for one machine, or etcd's members in several regions."""

    SQLITE = "sqlite"
    ETCD = "etcd"


@dataclass(frozen=True, kw_only=True)
class Control:
    """The control store. ``members``: the regions that vote, beside the witness; none with SQLite."""

    kind: ControlKind = ControlKind.SQLITE
    members: tuple[str, ...] = ()

    @property
    def voters(self) -> tuple[str, ...]:
        """The sites with a member of etcd."""
        return (*self.members, WITNESS) if self.kind is ControlKind.ETCD else ()


@dataclass(frozen=True, kw_only=True)
class Topology:
    """A whole fleet. ``base_port`` is ``None`` where free ports are to be chosen and kept.

    ``control_given`` is what the file says of the control store; ``control`` what holds (``with_control``).
    """

    zones: tuple[str, ...]
    regions: tuple[Region, ...]
    links: tuple[Link, ...]
    base_port: int | None = BASE_PORT
    global_edge_port: int | None = GLOBAL_EDGE_PORT
    postgres_settings: Mapping[str, str] = field(default_factory=dict)
    control: Control = Control()
    control_given: ControlKind | None = None
    members_given: tuple[str, ...] = ()
    witness_delays_ms: Mapping[str, float] = field(default_factory=dict)
    allowed_origins: tuple[str, ...] = ()
    """Whose pages may ask every region's API (docs/http.md)."""
    fake_clocks: bool = False
    """Whether each region's wall clocks can be set (``fleet.layout.clocks``): for drills, never for a tenant's data."""

    @property
    def sites(self) -> tuple[str, ...]:
        """Every region, and the witness where it has processes that the WAN separates from the regions."""
        regions = tuple(region.name for region in self.regions)
        return (*regions, WITNESS) if self.control.kind is ControlKind.ETCD else regions

    def region(self, name: str) -> Region:
        """The region of that name; ``KeyError`` if there is none."""
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(name)

    def link(self, one: str, other: str) -> Link:
        """The link between two sites, in either order; ``KeyError`` if there is none."""
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


def with_control(topology: Topology, kind: ControlKind, members: tuple[str, ...] = ()) -> Topology:
    """The same fleet with its control store of that kind; etcd brings the witness and its links.

    The voting regions are ``members``, else the file's, else the first two: with the witness, an odd number. Refuses
    with ``etcd_needs_regions`` where there is only one.
    """
    members = members or topology.members_given
    topology = replace(topology, control_given=None, members_given=())  # answered: no two of one fleet differ in it
    between = tuple(link for link in topology.links if WITNESS not in (link.a, link.b))
    if kind is ControlKind.SQLITE:
        return replace(topology, control=Control(), links=between)
    names = [region.name for region in topology.regions]
    if len(names) < 2:
        raise refuse(
            "etcd_needs_regions",
            f"etcd is refused as the control store of {len(names)} region: it takes two that vote, and the witness",
        )
    links = tuple(Link(a=name, b=WITNESS, delay_ms=topology.witness_delays_ms.get(name, 0.0)) for name in names)
    control = Control(kind=kind, members=members or tuple(names[:2]))
    return replace(topology, control=control, links=(*between, *links))


def wan_port(source: str, target: str, what: str) -> str:
    """The name of the port at which ``source`` reaches a part of ``target`` over the WAN (``carried`` says which)."""
    return f"wan/{source}/{target}/{what}"


def carried(topology: Topology, source: str, target: str) -> tuple[str, ...]:
    """What ``source`` may reach of ``target`` over their link: the WAN carries nothing else."""
    parts: tuple[str, ...] = ()
    if WITNESS not in (source, target):
        parts += ("postgres",)
    if target != WITNESS:
        parts += ("edge",)
    return parts + _carried_of_etcd(topology, source, target)


def reached(part: str) -> str:
    """At which of the target's ports the WAN ends that carries ``part``: an edge has a port for its peers alone."""
    return "peers" if part == "edge" else part


def _carried_of_etcd(topology: Topology, source: str, target: str) -> tuple[str, ...]:
    voters = topology.control.voters
    if target not in voters:
        return ()
    return ("etcd", "etcd-peer") if source in voters else ("etcd",)


def port_names(topology: Topology) -> list[str]:
    """Every port the fleet needs, by name: ``site/part``, ``wan/source/target/part`` and ``global-edge``."""
    names = [f"{region.name}/{part}" for region in topology.regions for part in _PORT_OFFSETS]
    regions = [region.name for region in topology.regions]
    for source, target in permutations(regions, 2):
        names += [wan_port(source, target, part) for part in ("postgres", "edge")]
    names += [f"{voter}/{part}" for voter in topology.control.voters for part in _ETCD_PORTS]
    wan = [
        wan_port(source, target, part)
        for source, target in permutations(topology.sites, 2)
        for part in carried(topology, source, target)
    ]
    return [*names, *(name for name in wan if name not in names), GLOBAL_EDGE]


def fixed_ports(topology: Topology) -> dict[str, int]:
    """The ports the file fixes: all of them counted up from ``base_port``, or only the explicit ones without it."""
    ports: dict[str, int] = {}
    base = topology.base_port
    if base is not None:
        places = [region.name for region in topology.regions]
        for index, name in enumerate(places):
            for part, offset in _PORT_OFFSETS.items():
                ports[f"{name}/{part}"] = base + _PORTS_PER_REGION * index + offset
        for voter in topology.control.voters:
            first = base + _PORTS_PER_REGION * (REGIONS_MAX if voter == WITNESS else places.index(voter))
            ports.update({f"{voter}/{part}": first + 3 + n for n, part in enumerate(_ETCD_PORTS)})
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
