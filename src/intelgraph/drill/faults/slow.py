"""Slow: every link of the region takes longer, each way. Nothing is lost, and nobody has to take over."""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.drill.faults.links import answer_s, heal_links, links_of, missing_links, paths
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.wan import asking as wan
from intelgraph.fleet.wan.settings import Ask
from intelgraph.model.errors import refuse

DELAY_MS = 200.0
"""Added each way: more than between any two places on land, less than the control store needs for an election."""


@dataclass(kw_only=True)
class Slow:
    """The delay is laid over the links' own settings and ends by itself after ``dead_man_s``."""

    fleet: Fleet
    region: str
    name: str = "slow"
    loses_region: bool = False

    def missing(self) -> str | None:
        """It takes etcd, with its members behind the same links."""
        return missing_links(self.fleet, self.region)

    def inject(self, dead_man_s: float) -> str:
        """Slow every link, then time a probe over each: it takes two round trips."""
        for link in links_of(self.fleet, self.region):
            delay_ms = link.delay_ms + DELAY_MS
            wan.ask(self.fleet, link, Ask(a_to_b_delay_ms=delay_ms, b_to_a_delay_ms=delay_ms, for_s=dead_man_s))
        took = [answer_s(path) for path in paths(self.fleet, self.region)]
        known = [each for each in took if each is not None]
        if len(known) < len(took) or not known or min(known) < 2 * DELAY_MS / 1000:
            raise refuse("fault_not_injected", f"the links of {self.region} are not slow: probes took {took} s")
        return f"probes over {len(known)} ways took {min(known):.2f} to {max(known):.2f} s"

    def heal(self) -> str:
        """Take the delay away, and time the probes again."""
        wrong = heal_links(self.fleet, self.region)
        took = [answer_s(path) for path in paths(self.fleet, self.region)]
        known = [each for each in took if each is not None]
        if wrong is not None or len(known) < len(took):
            raise refuse("fault_not_healed", f"the links of {self.region} are not as before: {wrong or took}")
        return f"probes over {len(known)} ways took {min(known, default=0):.2f} to {max(known, default=0):.2f} s"
