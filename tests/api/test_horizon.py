"""Who holds the log back: only sessions that may hold positions, and they are named; its age shows in what is read.

One PostgreSQL with the schema; sessions of several roles and databases keep transactions open.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import pytest

from intelgraph.connection import connect
from tests.api.site import Site, entity

pytestmark = pytest.mark.postgres
IDLE = "set idle_in_transaction_session_timeout = 0; begin; select pg_current_xact_id()"


@asynccontextmanager
async def session(site: Site, *, role: str = "ig_admin", database: str = "") -> AsyncIterator[asyncpg.Connection]:
    config = site.us.config
    login = config.admin_database if role == "ig_admin" else config.database
    if database:
        login = msgspec.structs.replace(login, database=database)
    connection = await connect(login, statement_timeout_s=10)
    try:
        yield connection
    finally:
        connection.terminate()


async def settles(connection: asyncpg.Connection, rounds: int = 1_200) -> bool:
    """Whether what was written until now becomes final within some rounds of the feed, at least 0.05 s each."""
    drawn = await connection.fetchval("select last_value from ig.position")
    for _ in range(rounds):
        settled = await connection.fetchval("select ig.settle()")
        if settled >= drawn:
            return True
        await asyncio.sleep(0.05)
    return False


def written(site: Site) -> None:
    assert site.client().write(entity()).status_code == 200


def test_a_transaction_of_another_database_or_of_a_reader_holds_nothing(site: Site) -> None:
    async def body() -> None:
        async with session(site) as here, session(site, database="postgres") as other, session(site) as reader:
            await here.execute("create role horizon_reader")
            try:
                pid = await other.fetchval("select pg_backend_pid()")
                await other.execute(IDLE)
                await asyncio.to_thread(written, site)
                assert await settles(here)
                assert not await here.fetchval("select ig.may_append('horizon_reader'::regrole)")
                assert await here.fetchval("select ig.may_append('ig_api'::regrole)")
                assert not await here.fetchval("select ig.may_append('ig_peer'::regrole)")
                # Another session of the site's own may be about something at this very moment.
                oldest = json.loads(await reader.fetchval("select ig.oldest_transaction()::text") or "{}")
                assert oldest.get("pid") != pid
            finally:
                await other.execute("rollback")
                await here.execute("drop role horizon_reader")

    asyncio.run(body())


@pytest.mark.parametrize("role", ["ig_admin", "ig_api"])
def test_a_transaction_of_a_role_that_appends_holds_the_log_and_is_named(site: Site, role: str) -> None:
    async def body() -> None:
        async with session(site) as here, session(site, role=role) as idle:
            pid = await idle.fetchval("select pg_backend_pid()")
            await idle.execute("set application_name = E'forged\\tname'")
            await idle.execute(IDLE)
            await asyncio.to_thread(written, site)
            assert not await settles(here, rounds=40)
            told: dict[str, Any] = json.loads(await here.fetchval("select ig.oldest_transaction()::text"))
            assert (told["pid"], told["user"], told["state"]) == (pid, role, "idle in transaction")
            assert told["application"].isprintable()
            assert told["age_s"] > 1.0
            page = await asyncio.to_thread(site.client().get, "/v1/changes")
            assert int(page.headers["ig-staleness-ms"]) > 1_000, "the feed stands"
            await idle.execute("rollback")
            assert await settles(here)
            page = await asyncio.to_thread(site.client().get, "/v1/changes")
            assert int(page.headers["ig-staleness-ms"]) < 1_000

    asyncio.run(body())


def test_whoever_may_hold_positions_is_ended_when_idle(site: Site) -> None:
    async def body() -> None:
        for role in ("ig_admin", "ig_api"):
            async with session(site, role=role) as idle:
                assert await idle.fetchval("show idle_in_transaction_session_timeout") == "10s"

    asyncio.run(body())


def test_what_has_ended_since_the_snapshot_counts_as_open(site: Site) -> None:
    """A snapshot that is kept holds its own view: nothing below its horizon may still be written."""

    async def body() -> None:
        async with session(site) as idle, session(site) as here:
            await idle.execute(IDLE)
            await here.execute("begin isolation level repeatable read")
            before = await here.fetchval("select ig.horizon()::text::numeric")
            await idle.execute("rollback")
            assert await here.fetchval("select ig.horizon()::text::numeric") == before
            await here.execute("rollback")

    asyncio.run(body())
