"""Pause: every process of the region is stopped where it is (SIGSTOP), and later goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from intelgraph.drill.faults.processes import is_stopped, processes_of, within
from intelgraph.fleet.places import Fleet
from intelgraph.fleet.process import Identity, look
from intelgraph.model.errors import refuse

_STOPPED_WITHIN_S = 5.0
_STATE_S = 0.02


@dataclass(kw_only=True)
class Pause:
    """The agent, PostgreSQL and the member of etcd stop with the rest; the supervisor belongs to no region."""

    fleet: Fleet
    region: str
    name: str = "pause"
    loses_region: bool = True

    def missing(self) -> str | None:
        """It takes processes to stop."""
        return None if processes_of(self.fleet, self.region) else f"no process of {self.region} runs"

    def inject(self, dead_man_s: float) -> str:
        """Stop, parents first, until a look finds nothing that is not stopped: what was started meanwhile too."""
        until_s = time.monotonic() + _STOPPED_WITHIN_S
        while running := [each for each in processes_of(self.fleet, self.region) if not is_stopped(each)]:
            if time.monotonic() >= until_s:
                commands = ", ".join(f"{each.pid} {each.command[:1]}" for each in running[:5])
                raise refuse("fault_not_injected", f"{self.region} is not paused: {commands} still run")
            for each in running:
                _send(each, signal.SIGSTOP)
            time.sleep(_STATE_S)
        count = len(processes_of(self.fleet, self.region))
        if not count:
            raise refuse("fault_not_injected", f"{self.region} is not paused: it has no process")
        return f"{count} processes of {self.region} are stopped (state T), and none runs"

    def heal(self) -> str:
        """Let everything go on, children first: the last to wake are those that answer others."""
        found = processes_of(self.fleet, self.region)
        for each in reversed(found):
            _send(each, signal.SIGCONT)
        if not within(_STOPPED_WITHIN_S, lambda: not self._stopped()):
            raise refuse("fault_not_healed", f"{len(self._stopped())} processes of {self.region} are still stopped")
        return f"{len(found)} processes of {self.region} go on, and none is stopped"

    def _stopped(self) -> list[Identity]:
        return [each for each in processes_of(self.fleet, self.region) if is_stopped(each)]


def _send(identity: Identity, number: signal.Signals) -> None:
    """Signal that process and no other that has got its number since."""
    now = look(identity.pid)
    if now is not None and now.birth == identity.birth:
        with suppress(ProcessLookupError):
            os.kill(identity.pid, number)
