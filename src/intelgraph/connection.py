"""A connection to one PostgreSQL, made the same way everywhere, and what the driver raises when it is away.

Pools and retries are the business of whoever holds the connection; TLS is used where the server offers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from intelgraph.settings import Database

#: A database that is away, or went away; the last is what the driver raises when that happens in mid-exchange.
DRIVER_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


def driver_arguments(database: Database) -> dict[str, Any]:
    """The keyword arguments by which the driver reaches ``database``."""
    return {
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "database": database.database,
    }


async def connect(
    database: Database,
    *,
    timeout_s: float = 5.0,
    statement_timeout_s: float | None = None,
    session: Mapping[str, str] | None = None,
) -> asyncpg.Connection:
    """Open one connection, which the caller closes; raises one of ``DRIVER_ERRORS``.

    ``statement_timeout_s`` bounds each call on it, on this side of the line; ``session`` sets the server's settings.
    """
    return await asyncpg.connect(
        **driver_arguments(database),
        timeout=timeout_s,
        command_timeout=statement_timeout_s,
        server_settings=dict(session) if session else None,
    )
