"""A region's database as its owner sees it: for an operator's work on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.model.errors import retry
from intelgraph.settings import Database


@asynccontextmanager
async def owner_connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Connect for the length of the block; ``database_unavailable`` when it does not answer."""
    try:
        connection = await connect(database, statement_timeout_s=30)
    except DRIVER_ERRORS as error:
        raise retry(
            "database_unavailable",
            f"the database at port {database.port} does not answer ({type(error).__name__}); "
            "`intelgraph status` says more",
            retry_after_s=2.0,
            port=database.port,
        ) from error
    try:
        yield connection
    finally:
        connection.terminate()


async def check_answers(database: Database) -> None:
    """Refuse a server that accepts connections and does not answer: many a client would wait for it without an end."""
    async with owner_connection(database):
        pass
