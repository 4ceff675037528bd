"""A region's database as its owner sees it, or another role: for an operator's work on this machine.

What the driver raises stays in ``operations``: whoever calls them is told by refusals.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.model.errors import retry, why_no_answer
from intelgraph.settings import Database

_STATEMENT_S = 30.0


@asynccontextmanager
async def owner_connection(database: Database, *, timeout_s: float = 5.0) -> AsyncIterator[asyncpg.Connection]:
    """Connect for the length of the block; ``database_unavailable`` when it does not answer."""
    try:
        connection = await connect(database, timeout_s=timeout_s, statement_timeout_s=_STATEMENT_S)
    except DRIVER_ERRORS as error:
        raise retry(
            "database_unavailable",
            f"the database at port {database.port} does not answer ({why_no_answer(error)}); "
            "`intelgraph status` says more",
            retry_after_s=2.0,
            port=database.port,
        ) from error
    try:
        yield connection
    finally:
        connection.terminate()


@contextmanager
def told_failures(region: str) -> Iterator[None]:
    """Raise ``database_failed`` for what the driver raises in the block."""
    try:
        yield
    except DRIVER_ERRORS as error:
        reason = f"the database of {region} failed ({why_no_answer(error)}: {error}); `intelgraph status` says more"
        raise retry("database_failed", reason, retry_after_s=1.0, region=region) from error


async def check_answers(database: Database) -> None:
    """Refuse a server that accepts connections and does not answer: many a client would wait for it without an end."""
    async with owner_connection(database):
        pass


async def ask_owner(region: str, login: Database, *statements: tuple[object, ...], timeout_s: float = 5.0) -> Any:
    """Run statements in one session, each with its arguments; returns the last one's value."""
    async with owner_connection(login, timeout_s=timeout_s) as connection:
        with told_failures(region):
            return [await connection.fetchval(*statement) for statement in statements][-1]


async def login_refusal(login: Database, *, timeout_s: float) -> str | None:
    """Say in a word or two why a login fails; none if it succeeds."""
    try:
        connection = await connect(login, timeout_s=timeout_s)
    except asyncpg.PostgresError as error:
        return f"SQLSTATE {error.sqlstate}"
    except DRIVER_ERRORS as error:
        return why_no_answer(error)
    connection.terminate()
    return None
