"""The heartbeat of a region's own PostgreSQL: a commit, flushed, in time; otherwise the lease is not renewed.

One session does it, and holds an advisory lock meanwhile: a second agent of the same database waits until that
session is gone. A server that accepts but is stuck costs one timeout and the session, never more of the lease.
"""

from __future__ import annotations

import contextlib

import asyncpg
import msgspec

from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.control.agent.leases.keeper import Beat
from intelgraph.model.errors import retry, why_no_answer
from intelgraph.settings import Database

_AGENT_LOCK = (7, 2)
BEAT_TIMEOUT_S = 1.5


class _Told(msgspec.Struct, kw_only=True):
    life: int
    schema: str
    terms: frozenset[str]


class PostgresHeartbeat:
    """A ``Heartbeat`` in the database of role ``ig_admin``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection | None = None

    async def beat(self, term: str, counter: int) -> Beat:
        """Commit a heartbeat; ``database_unavailable`` or ``agent_twice`` if that cannot be done now."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._begin()
            told = msgspec.json.decode(
                await self._connection.fetchval("select ig.beat($1, $2)", term, counter), type=_Told
            )
        except DRIVER_ERRORS as error:
            await self.close()
            raise retry(
                "database_unavailable",
                f"the lease is not renewed: this region's database does not commit a heartbeat within "
                f"{BEAT_TIMEOUT_S:g} s ({why_no_answer(error)})",
                retry_after_s=1.0,
            ) from error
        except BaseException:
            await self.close()
            raise
        return Beat(life=told.life, schema=told.schema, terms=told.terms)

    async def close(self) -> None:
        """End the session, at once; the next beat begins another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*DRIVER_ERRORS):
                connection.terminate()

    async def _begin(self) -> asyncpg.Connection:
        connection = await connect(
            self._database,
            timeout_s=BEAT_TIMEOUT_S,
            statement_timeout_s=BEAT_TIMEOUT_S,
            session={
                "application_name": "intelgraph-agent",
                "synchronous_commit": "on",
                "statement_timeout": str(int(BEAT_TIMEOUT_S * 1000)),
                "lock_timeout": "500",
            },
        )
        if not await connection.fetchval("select pg_try_advisory_lock($1, $2)", *_AGENT_LOCK):
            connection.terminate()
            raise retry(
                "agent_twice",
                "the lease is not renewed: another agent is at work on this region's database",
                retry_after_s=0.5,
            )
        return connection
