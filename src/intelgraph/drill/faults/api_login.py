"""API login: the region's API may not log in to its database any more, and its sessions are ended; the rest works.

As after a password that was changed in one place only. The owner's sessions (the agent, the feed) and the streams go
on, so the database commits heartbeats while no write of a client gets in.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.postgres.server import ADMIN, API, server_of
from intelgraph.model.errors import refuse
from intelgraph.operations.database import ask_owner, login_refusal

_ANSWER_S = 5.0


@dataclass(kw_only=True)
class ApiLogin:
    """What the role may is kept in the database, so whoever heals needs to remember nothing."""

    fleet: Fleet
    region: str
    name: str = "api-login"
    loses_region: bool = True

    def missing(self) -> str | None:
        """It takes a database that lets its owner in."""
        refusal = asyncio.run(self._refusal(ADMIN))
        return f"the database of {self.region} does not let its owner in ({refusal})" if refusal is not None else None

    def inject(self, dead_man_s: float) -> str:
        """Take the login away, end the sessions, and try to log in."""
        ended = asyncio.run(
            self._as_owner(
                (f"alter role {API} nologin",),
                ("select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = $1", API),
            )
        )
        refusal = asyncio.run(self._refusal(API))
        if refusal is None:
            raise refuse("fault_not_injected", f"{API} still logs in to the database of {self.region}")
        return f"{ended} sessions of {API} in {self.region} were ended; a login is refused ({refusal})"

    def heal(self) -> str:
        """Give the login back, and log in."""
        asyncio.run(self._as_owner((f"alter role {API} login",)))
        refusal = asyncio.run(self._refusal(API))
        if refusal is not None:
            raise refuse("fault_not_healed", f"{API} does not log in to the database of {self.region}: {refusal}")
        return f"{API} logs in to the database of {self.region}"

    async def _as_owner(self, *statements: tuple[object, ...]) -> object:
        login = server_of(self.fleet, self.region).login(ADMIN)
        return await ask_owner(self.region, login, *statements, timeout_s=_ANSWER_S)

    async def _refusal(self, role: str) -> str | None:
        """What the server says to a login; none if it succeeds."""
        return await login_refusal(server_of(self.fleet, self.region).login(role), timeout_s=_ANSWER_S)
