"""What the witness's agent does besides looking at the leases: it asks, from the global edge's side, who answers.

It has no database, holds no tenant's data and starts no plan; what it sees is one more vantage point's report.
"""

from __future__ import annotations

from collections.abc import Mapping

from intelgraph.control.agent.agent import Agent, OnlyLooks
from intelgraph.control.agent.observer.probing import Probes
from intelgraph.control.directory.reports import Seen
from intelgraph.runtime.loops import Loop
from intelgraph.settings import WitnessConfig


class WitnessHook(OnlyLooks):
    """The hook of the witness's agent."""

    def __init__(self, config: WitnessConfig) -> None:
        self._probes = Probes(config.regions)

    def loops(self, agent: Agent) -> Mapping[str, Loop]:
        """Ask every region's edge whether it answers."""
        return {"probe": self._probes.run}

    def seen(self) -> Seen:
        """Who answered."""
        return Seen(reached=self._probes.reached())
