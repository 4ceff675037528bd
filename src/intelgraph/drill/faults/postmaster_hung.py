"""Postmaster hung: the process that lets sessions into the region's PostgreSQL is stopped; sessions that are in go on.

The agent's sessions, the streams and the API's pool work as before; whoever has to log in anew waits for ever. So the
lease is renewed, and the first API process that is started, or loses a connection, can write nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from intelgraph.drill.faults.processes import processes_of_part
from intelgraph.drill.faults.stopped import go_on, stop
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.postgres.server import ADMIN, server_of
from intelgraph.fleet.supervisor.process import Identity
from intelgraph.model.errors import refuse
from intelgraph.operations.database import login_refusal

_SILENT_S = 0.6
_ANSWER_S = 10.0


@dataclass(kw_only=True)
class PostmasterHung:
    """Only the postmaster stops: its sessions are processes of their own."""

    fleet: Fleet
    region: str
    name: str = "postmaster-hung"
    loses_region: bool = True

    @property
    def _part(self) -> str:
        return f"{self.region}/postgres"

    def missing(self) -> str | None:
        """It takes a postmaster."""
        return None if self._postmaster() else f"no process of {self._part} runs"

    def inject(self, dead_man_s: float) -> str:
        """Stop the postmaster, and try to log in."""
        stop(self._postmaster, self._part)
        if asyncio.run(self._lets_in(_SILENT_S)):
            raise refuse("fault_not_injected", f"the postmaster of {self.region} is stopped, and lets sessions in")
        return f"the postmaster of {self.region} is stopped (state T); a login has no answer"

    def heal(self) -> str:
        """Let it go on, and log in."""
        go_on(self._postmaster, self._part)
        if not asyncio.run(self._lets_in(_ANSWER_S)):
            raise refuse("fault_not_healed", f"the postmaster of {self.region} goes on, and lets nobody in")
        return f"the postmaster of {self.region} goes on; a login succeeds"

    def _postmaster(self) -> list[Identity]:
        return processes_of_part(self.fleet, self._part)[:1]

    async def _lets_in(self, seconds: float) -> bool:
        return await login_refusal(server_of(self.fleet, self.region).login(ADMIN), timeout_s=seconds) is None
