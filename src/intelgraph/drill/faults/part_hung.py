"""API hung, edge hung: one part of the region is stopped where it is; everything else of the region works.

The system accepts connections on its behalf, and no request is ever answered; the agent, the database and its streams
go on. Clients at the region wait, and so do other regions' writes for placements at home here where the edge hangs,
for they come through it. The region's agent finds out by probing, and hands its placements over.
"""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.drill.faults.http import answers_within
from intelgraph.drill.faults.processes import processes_of_part
from intelgraph.drill.faults.stopped import go_on, stop
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.supervisor.process import Identity
from intelgraph.model.errors import refuse


def api(fleet: Fleet, region: str) -> PartHung:
    """The region's API processes."""
    return PartHung(fleet=fleet, region=region, name="api-hung", part=f"{region}/api")


def edge(fleet: Fleet, region: str) -> PartHung:
    """The region's Envoy."""
    return PartHung(fleet=fleet, region=region, name="edge-hung", part=f"{region}/edge")


@dataclass(kw_only=True)
class PartHung:
    """The supervisor replaces a process that has ended, never one that hangs: so nobody heals it but ``heal``."""

    fleet: Fleet
    region: str
    name: str
    part: str
    """What hangs; it answers HTTP at its port."""
    loses_region: bool = True

    def missing(self) -> str | None:
        """It takes processes to stop."""
        return None if self._processes() else f"no process of {self.part} runs"

    def inject(self, dead_man_s: float) -> str:
        """Stop every process of the part, and ask it."""
        count = stop(self._processes, self.part)
        if answers_within(self.fleet.ports[self.part], "/healthz"):
            raise refuse("fault_not_injected", f"{self.part} is stopped, and answers all the same")
        return f"{count} processes of {self.part} are stopped (state T); a request has no answer"

    def heal(self) -> str:
        """Let them go on, and ask again."""
        count = go_on(self._processes, self.part)
        if not answers_within(self.fleet.ports[self.part], "/healthz", seconds=10.0):
            raise refuse("fault_not_healed", f"{self.part} goes on, and does not answer")
        return f"{count} processes of {self.part} go on; a request is answered"

    def _processes(self) -> list[Identity]:
        return processes_of_part(self.fleet, self.part)
