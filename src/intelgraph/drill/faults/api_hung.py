"""API hung: the region's API processes are stopped where they are; everything else of the region works.

New connections are accepted, by the edge and by the system, and no request is ever answered; the agent, the database
and its streams go on. Clients at the region wait; its agent finds out by probing, and hands its placements over.
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
class ApiHung:
    """The supervisor replaces a process that has ended, never one that hangs: so nobody heals it but ``heal``."""

    fleet: Fleet
    region: str
    name: str = "api-hung"
    loses_region: bool = True

    @property
    def _part(self) -> str:
        return f"{self.region}/api"

    def missing(self) -> str | None:
        """It takes processes to stop."""
        return None if self._processes() else f"no process of {self._part} runs"

    def inject(self, dead_man_s: float) -> str:
        """Stop every process of the API, and ask it."""
        count = stop(self._processes, self._part)
        if answers_within(self.fleet.ports[self._part], "/healthz"):
            raise refuse("fault_not_injected", f"{self._part} is stopped, and answers all the same")
        return f"{count} processes of {self._part} are stopped (state T); a request has no answer"

    def heal(self) -> str:
        """Let them go on, and ask again."""
        count = go_on(self._processes, self._part)
        if not answers_within(self.fleet.ports[self._part], "/healthz", seconds=10.0):
            raise refuse("fault_not_healed", f"{self._part} goes on, and does not answer")
        return f"{count} processes of {self._part} go on; a request is answered"

    def _processes(self) -> list[Identity]:
        return processes_of_part(self.fleet, self._part)
