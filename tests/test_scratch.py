"""A scratch PostgreSQL is a region's server in miniature, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import asyncpg
import psutil
import pytest

from bench.scratch import Scratch, start_scratch
from intelgraph.fleet.postgres import server as postgres

pytestmark = pytest.mark.postgres


async def _value(scratch: Scratch, sql: str, role: str = postgres.ADMIN) -> object:
    connection = await asyncpg.connect(**scratch.connect_arguments(role))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def test_it_has_the_settings_and_roles_of_a_region_and_is_gone_afterwards(tmp_path: Path) -> None:
    with start_scratch(tmp_path) as scratch:
        assert asyncio.run(_value(scratch, "SHOW wal_level")) == "logical"
        assert asyncio.run(_value(scratch, "SHOW server_encoding")) == "UTF8"
        for role in postgres.ROLES:
            assert asyncio.run(_value(scratch, "SELECT current_user", role)) == role
        directory, pid = scratch.server.directory, scratch.pid
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert not directory.exists()


def test_it_starts_inside_a_running_event_loop() -> None:
    async def inside() -> object:
        with start_scratch() as scratch:
            return await _value(scratch, "SELECT 1")

    assert asyncio.run(inside()) == 1


def test_a_connection_without_the_password_is_refused() -> None:
    async def try_it(arguments: dict[str, object]) -> None:
        await asyncpg.connect(**arguments)

    with start_scratch() as scratch:
        for host in (scratch.server.host, "127.0.0.1"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                asyncio.run(try_it({**scratch.connect_arguments(), "host": host, "password": "guess"}))


def test_what_was_committed_survives_a_crash_and_a_restart() -> None:
    with start_scratch(durable=True) as scratch:
        asyncio.run(_value(scratch, "CREATE TABLE kept AS SELECT 7 AS x"))
        scratch.kill()
        scratch.start()
        assert asyncio.run(_value(scratch, "SELECT x FROM kept")) == 7


def test_an_error_of_the_door_puts_no_value_in_the_servers_log() -> None:
    marker = "m4rk3r-of-a-tenant"
    with start_scratch() as scratch:
        for role in (postgres.API, postgres.PEER):
            with contextlib.suppress(asyncpg.PostgresError):
                asyncio.run(_value(scratch, f"SELECT '{marker}'::int", role))
        with pytest.raises(asyncpg.PostgresError):
            asyncio.run(_value(scratch, f"SELECT 1 FROM \"nothing\" WHERE x = '{marker}'"))
        assert marker not in scratch.log.read_text(encoding="utf-8")
