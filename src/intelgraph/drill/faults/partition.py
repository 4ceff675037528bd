"""Partition: nothing passes the region's links, the witness's included; or only one way, into it or out of it.

A cut is silent, as a lost route is: connections neither end nor answer. A one-way cut lets no new connection open (that
takes a round trip); what is sent on open ones still arrives the other way. Clients are outside: they reach the region's
door as before. What it can serve alone it serves (reads, which say how old they may be); writes it holds, and refuses
when its lease is over.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from intelgraph.drill.faults.links import (
    SILENT_FOR_S,
    answer_s,
    heal_links,
    links_of,
    missing_links,
    passed_bytes,
    paths,
    reports,
    towards,
)
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.wan import asking as wan
from intelgraph.fleet.wan.settings import Cut
from intelgraph.model.errors import refuse


@dataclass(kw_only=True)
class Partition:
    """``into``: nothing reaches the region; ``out``: nothing leaves it. The relays heal by themselves in the end."""

    fleet: Fleet
    region: str
    name: str
    into: bool
    out: bool
    loses_region: bool = True

    def missing(self) -> str | None:
        """It takes etcd, with its members behind the same links."""
        return missing_links(self.fleet, self.region)

    def inject(self, dead_man_s: float) -> str:
        """Cut every link, then look that nothing passes the way that is cut and that no probe is answered."""
        links = links_of(self.fleet, self.region)
        for link in links:
            cut = towards(link, self.region, into=self.into, out=self.out, how=Cut.SILENT)
            wan.ask(self.fleet, link, msgspec.structs.replace(cut, for_s=dead_man_s))
        before = reports(self.fleet, self.region)
        answered = [path for path in paths(self.fleet, self.region) if answer_s(path, SILENT_FOR_S) is not None]
        after = reports(self.fleet, self.region)
        if answered:
            where = f"from {answered[0].source} to {answered[0].target}"
            raise refuse("fault_not_injected", f"{self.region} is not cut off: a probe {where} was answered")
        passed = {
            into: passed_bytes(after, self.region, into=into) - passed_bytes(before, self.region, into=into)
            for into in (True, False)
        }
        leaked = (passed[True] if self.into else 0) + (passed[False] if self.out else 0)
        if leaked:
            raise refuse("fault_not_injected", f"{self.region} is not cut off: {leaked} bytes passed the cut")
        return (
            f"{len(links)} links of {self.region}: no probe is answered; {passed[True]} bytes came in and "
            f"{passed[False]} went out meanwhile"
        )

    def heal(self) -> str:
        """Open every link, and look that probes are answered."""
        wrong = heal_links(self.fleet, self.region)
        if wrong is not None:
            raise refuse("fault_not_healed", f"{self.region} is still cut off: {wrong}")
        return f"every link of {self.region} is open, and every probe is answered"


def both_ways(fleet: Fleet, region: str) -> Partition:
    """Nothing reaches the region, and nothing leaves it."""
    return Partition(fleet=fleet, region=region, name="partition", into=True, out=True)


def inwards(fleet: Fleet, region: str) -> Partition:
    """Nothing reaches the region."""
    return Partition(fleet=fleet, region=region, name="partition-in", into=True, out=False)


def outwards(fleet: Fleet, region: str) -> Partition:
    """Nothing leaves the region."""
    return Partition(fleet=fleet, region=region, name="partition-out", into=False, out=True)
