"""Where a fleet on this machine answers clients: the global edge and each region's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from intelgraph.fleet.layout.places import Fleet, locate
from intelgraph.fleet.layout.topology import GLOBAL_EDGE
from intelgraph.fleet.layout.topology_file import find_topology_file, load_topology
from intelgraph.model.errors import refuse
from intelgraph.operations.site import Site, find_site


@dataclass(frozen=True, kw_only=True)
class Edges:
    """A fleet as a client sees it: the global edge's ``url`` and, by region, each region's."""

    site: Site
    url: str
    edges: dict[str, str]

    def edge(self, region: str) -> str:
        """A region's edge; ``unknown_region`` if there is none of that name, or the topology no longer names it."""
        self.site.region(region)
        if region not in self.edges:
            raise refuse(
                "unknown_region",
                f"the region {region} is refused: the topology no longer names it, but {', '.join(sorted(self.edges))}",
                region=region,
                known=sorted(self.edges),
            )
        return self.edges[region]


def find_edges(state: Path | None, topology: Path | None) -> Edges:
    """Find the edges of a state directory, else of a topology; ``no_fleet`` if it was never started.

    A state directory that is not the topology's own has no edges that are known here: its regions' APIs stand in.
    """
    fleet = locate(load_topology(topology or find_topology_file(Path.cwd())), start=Path.cwd())
    site = find_site(state or fleet.state)
    if site.state.resolve() == fleet.state.resolve() and GLOBAL_EDGE in fleet.ports:
        named = [name for name in site.regions if f"{name}/edge" in fleet.ports]
        edges = {name: f"http://127.0.0.1:{fleet.ports[f'{name}/edge']}" for name in named}
        return Edges(site=site, url=f"http://127.0.0.1:{fleet.ports[GLOBAL_EDGE]}", edges=edges)
    edges = {name: f"http://{config.api_host}:{config.api_port}" for name, config in site.regions.items()}
    return Edges(site=site, url=next(iter(edges.values())), edges=edges)


def addresses(fleet: Fleet) -> dict[str, str]:
    """Where a fleet answers, by region, and globally."""
    places = {GLOBAL_EDGE: f"http://localhost:{fleet.ports[GLOBAL_EDGE]}"}
    places.update(
        {region.name: f"http://127.0.0.1:{fleet.ports[f'{region.name}/edge']}" for region in fleet.topology.regions}
    )
    return places
