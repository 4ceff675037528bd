"""Behind the tenant in every predicate stands row-level security: who forgets the predicate finds nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from tests.replication.lone import Lone, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


async def two_tenants(region: Lone) -> asyncpg.Connection:
    await region.open(1)
    for tenant in ("acme", "globex"):
        await region.append(1, upsert(f"of-{tenant}"), tenant=tenant)
    return await region.connect("ig_api")


async def seen(door: asyncpg.Connection) -> set[str]:
    return {row["id"] for row in await door.fetch("select id from ig.entity")}


def test_a_session_that_names_no_tenant_sees_nothing(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        assert await seen(await two_tenants(region)) == set()

    alone(story)


def test_a_statement_sees_the_tenant_that_it_names_and_the_next_one_nothing(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        door = await two_tenants(region)
        rows = await door.fetch(
            "with it as materialized (select set_config('ig.tenant', $1, true)) "
            "select (select json_agg(e.id) from ig.entity e)::text as ids from it",
            "acme",
        )
        assert rows[0]["ids"] == '["of-acme"]'
        assert await seen(door) == set()

    alone(story)


@pytest.mark.parametrize("table", ["entity", "relationship"])
def test_a_table_that_is_read_may_not_be_written(alone: Tell, table: str) -> None:
    async def story(region: Lone) -> None:
        door = await two_tenants(region)
        for statement in (f"delete from ig.{table}", f"update ig.{table} set revision = 9", f"truncate ig.{table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await door.execute(statement)

    alone(story)


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("words @@ ig.word_query('acme', 'emotet')", "entity_words"),
        ("type = 'tool'", "entity_type"),
        ("updated > now()", "entity_updated"),
    ],
)
def test_row_security_does_not_keep_a_query_from_its_index(alone: Tell, condition: str, index: str) -> None:
    async def story(region: Lone) -> None:
        door = await two_tenants(region)
        for first in range(0, 3_000, 500):
            written = [upsert(f"e{n}", name=f"word{n}") for n in range(first, first + 500)]
            assert (await region.append(1, *written, tenant="acme"))["status"] == "ok"
        await region.main.execute("vacuum analyze ig.entity")
        await door.execute("select set_config('ig.tenant', 'acme', false)")
        plan = await door.fetch(
            f"explain select id from ig.entity where tenant = 'acme' and not deleted and {condition}"
        )
        text = "\n".join(row[0] for row in plan)
        assert index in text, text

    alone(story)
