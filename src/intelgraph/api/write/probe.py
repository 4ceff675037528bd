"""Whether a write gets through this worker: a new login, a commit, and an agent that is heard (``/readyz?writes``).

However many ask, one looks at a time, and what it found is believed for ``BELIEVED_S``: asking costs the database no
more than one login in that time. Nothing of a tenant's is written.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from intelgraph.api.write.durability import LeaseCheck
from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.model.errors import Denied, why_no_answer
from intelgraph.settings import Database

BELIEVED_S = 0.3
_PROBE = "select ig.probe_write()"
_PROBE_S = 1.2
"""Shorter than whoever asks waits (``placement.write_path``), so that the reason reaches them."""
AGENT_SILENT_S_MAX = 5.0
"""Grants are over by then: what a worker may acknowledge it has from its region's agent."""


@dataclass(kw_only=True)
class WriteProbe:
    """The last look of one worker."""

    login: Database
    lease: LeaseCheck
    _looked_at: float = float("-inf")
    _found: Denied | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def why_not(self) -> Denied | None:
        """Return why no write gets through here; none if one does."""
        async with self._turn:
            if time.monotonic() - self._looked_at >= BELIEVED_S:
                self._found = await self._look()
                self._looked_at = time.monotonic()
            return self._found

    async def _look(self) -> Denied | None:
        silent_s = self.lease.silent_s()
        if silent_s > AGENT_SILENT_S_MAX:
            reason = f"the region's agent has not answered this worker for {silent_s:.0f} s"
            return Denied(code="agent_silent", reason=reason)
        try:
            async with asyncio.timeout(_PROBE_S):
                connection = await connect(self.login, timeout_s=_PROBE_S, session={"application_name": "ig-probe"})
                try:
                    await connection.execute(_PROBE)
                finally:
                    connection.terminate()
        except DRIVER_ERRORS as error:
            why = why_no_answer(error)
            reason = f"no new session logs in to the database and commits within {_PROBE_S:g} s ({why})"
            return Denied(code="database_unavailable", reason=reason)
        return None
