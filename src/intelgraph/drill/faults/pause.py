"""Pause: every process of the region is stopped where it is (SIGSTOP), and later goes on as if nothing had been."""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.drill.faults.processes import processes_of
from intelgraph.drill.faults.stopped import go_on, stop
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.supervisor.process import Identity


@dataclass(kw_only=True)
class Pause:
    """The agent, PostgreSQL and the member of etcd stop with the rest; the supervisor belongs to no region."""

    fleet: Fleet
    region: str
    name: str = "pause"
    loses_region: bool = True

    def missing(self) -> str | None:
        """It takes processes to stop."""
        return None if self._processes() else f"no process of {self.region} runs"

    def inject(self, dead_man_s: float) -> str:
        """Stop everything, and look that nothing runs."""
        count = stop(self._processes, self.region)
        return f"{count} processes of {self.region} are stopped (state T), and none runs"

    def heal(self) -> str:
        """Let everything go on."""
        return f"{go_on(self._processes, self.region)} processes of {self.region} go on, and none is stopped"

    def _processes(self) -> list[Identity]:
        return processes_of(self.fleet, self.region)
