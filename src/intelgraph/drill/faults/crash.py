"""Crash: every process of the region gets SIGKILL at once, and nothing of it is started until it is healed."""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.drill.faults.processes import processes_of, within
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.supervisor.status import FleetStatus, Phase, Request
from intelgraph.fleet.supervisor.supervision import ask
from intelgraph.model.errors import refuse

_GONE_WITHIN_S = 5.0
_BACK_WITHIN_S = 90.0


@dataclass(kw_only=True)
class Crash:
    """The supervisor holds the region down; it also lets it go by itself after ``dead_man_s``."""

    fleet: Fleet
    region: str
    name: str = "crash"
    loses_region: bool = True

    def missing(self) -> str | None:
        """It takes a supervisor, to hold the region down."""
        if ask(self.fleet, Request(do="status")) is None:
            return "a crash takes a supervisor that holds the region down, and none runs: `intelgraph up` starts one"
        return None

    def inject(self, dead_man_s: float) -> str:
        """Kill, and look until no process is left."""
        before = len(processes_of(self.fleet, self.region))
        ask(self.fleet, Request(do="hold", part=self.region, for_s=dead_man_s))
        if not within(_GONE_WITHIN_S, lambda: not processes_of(self.fleet, self.region)):
            left = len(processes_of(self.fleet, self.region))
            raise refuse("fault_not_injected", f"{self.region} did not crash: {left} of its processes still run")
        return f"{before} processes of {self.region} were killed, and none is left"

    def heal(self) -> str:
        """Let it be started again, and wait until every part answers."""
        ask(self.fleet, Request(do="release", part=self.region))
        if not within(_BACK_WITHIN_S, self._is_back):
            raise refuse("fault_not_healed", f"{self.region} is not back {_BACK_WITHIN_S:g} s after its release")
        return f"every part of {self.region} runs and answers"

    def _is_back(self) -> bool:
        told: FleetStatus | None = ask(self.fleet, Request(do="status"))
        parts = [part for part in told.parts if part.region == self.region] if told is not None else []
        return bool(parts) and all(part.phase is Phase.READY for part in parts)
