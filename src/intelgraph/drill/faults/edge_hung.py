"""Edge hung: the region's Envoy is stopped where it is; the API and everything behind it work, and nobody gets there.

The system still accepts connections on Envoy's behalf. Other regions' writes for placements at home here do not
arrive either: they come through the same edge.
"""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.drill.faults.http import answers_within
from intelgraph.drill.faults.processes import processes_of_part
from intelgraph.drill.faults.stopped import go_on, stop
from intelgraph.fleet.places import Fleet
from intelgraph.fleet.process import Identity
from intelgraph.model.errors import refuse


@dataclass(kw_only=True)
class EdgeHung:
    """The supervisor replaces a process that has ended, never one that hangs: so nobody heals it but ``heal``."""

    fleet: Fleet
    region: str
    name: str = "edge-hung"
    loses_region: bool = True

    @property
    def _part(self) -> str:
        return f"{self.region}/edge"

    def missing(self) -> str | None:
        """It takes a process to stop."""
        return None if self._processes() else f"no process of {self._part} runs"

    def inject(self, dead_man_s: float) -> str:
        """Stop Envoy; ask through it, and beside it."""
        count = stop(self._processes, self._part)
        if answers_within(self.fleet.ports[self._part], "/healthz"):
            raise refuse("fault_not_injected", f"{self._part} is stopped, and answers all the same")
        return f"{count} processes of {self._part} are stopped (state T); a request through it has no answer"

    def heal(self) -> str:
        """Let it go on, and ask again."""
        count = go_on(self._processes, self._part)
        if not answers_within(self.fleet.ports[self._part], "/healthz", seconds=10.0):
            raise refuse("fault_not_healed", f"{self._part} goes on, and does not answer")
        return f"{count} processes of {self._part} go on; a request is answered"

    def _processes(self) -> list[Identity]:
        return processes_of_part(self.fleet, self._part)
