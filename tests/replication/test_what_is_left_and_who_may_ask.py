"""What a removed region keeps, what a server's log says, and what each role may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from tests.replication.lone import Lone, entity, opening, touched, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


def test_a_removed_region_keeps_nothing_that_people_or_tenants_wrote(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(await touched(region, write(2, entity("needle", name="needle"), tenant="needle")))
        await region.apply(await touched(region, write(3, {"kind": "erased", "id": "needle-too"}, tenant="needle")))
        rows = {"rows": [{"origin": "us-east", "life": 1, "position": 2}], "reason": "needle"}
        facts = {"kind": "adopt", "tenant": None, "key_hash": None, "body": rows}
        await region.apply(write(4, **facts))
        await region.apply(write(5, version=2, body={"objects": [], "x": "needle"}))
        await region.apply(opening(6, 2, regions=["us-east"], cut=[("us-east", 1, "{[1,7)}")]))
        await region.apply(await touched(region, write(7, entity("needle"), tenant="needle")))
        await region.apply(write(8, epoch=2, **facts))
        tables = await region.main.fetch(
            "select oid::regclass::text as name from pg_class where relnamespace = 'ig'::regnamespace and relkind = 'r'"
        )
        for table in tables:
            found = await region.main.fetchval(f"select count(*) from {table['name']} t where t::text like '%needle%'")
            assert found == 0, table["name"]
        assert await region.ask("select count(*) from ig.erased") == 0
        assert await region.ask("select count(*) from ig.change where placement = 'p'") == 8

    alone(story)


QUERIES = {
    "stamp",
    "heard",
    "tag",
    "words",
    "cut",
    "without_accents",
    "word_query",
    "ids",
    "step",
    "reach",
    "among",
    "opposite",
    "paths",
    "between",
    "point",
    "undone",
    "form_then",
    "versions",
    "as_entity",
    "as_relationship",
    "small_bytes",
    "page_bytes_max",
    "answer_bytes_max",
    "too_large",
    "cut_unsaid",
    "weigh",
    "weigh_object",
    "room",
    "put_on",
}
ALLOWED = {
    "ig_api": {"append", "read_entity", "read_page", "read_changes", "key_answer", "locate", "readable", "report",
               "flushed", "append_and_place", "append_many", "append_many_and_place", "unlink", "probe_write",
               "feed_silent_s",
               "page_cursor", "runs", *QUERIES},
    "ig_peer": {"echo", "report", "streams", "digests", "digest_buckets", "reissue", "reissue_snapshot"},
    "ig_repl": set(),
}  # fmt: skip


@pytest.mark.parametrize("role", list(ALLOWED))
def test_a_role_may_call_its_functions_and_read_no_table(alone: Tell, role: str) -> None:
    async def story(region: Lone) -> None:
        callable_ = await region.main.fetch(
            "select distinct proname from pg_proc where pronamespace = 'ig'::regnamespace "
            "and has_function_privilege($1, oid, 'execute') and has_schema_privilege($1, 'ig', 'usage')",
            role,
        )
        assert {row["proname"] for row in callable_} == ALLOWED[role]
        readable = await region.main.fetch(
            "select relname from pg_class where relnamespace = 'ig'::regnamespace and relkind in ('r', 'S', 'v') "
            "and (case relkind when 'S' then has_sequence_privilege($1, oid, 'usage, select, update') "
            "else has_table_privilege($1, oid, 'select, insert, update, delete') end)",
            role,
        )
        # The door reads three tables under row-level security (test_row_security), and which placements may be read.
        tables = {"entity", "relationship", "largest"}
        assert {row["relname"] for row in readable} == (tables if role == "ig_api" else set())
        columns = await region.main.fetch(
            "select attname from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relname = 'placement' "
            "and c.relnamespace = 'ig'::regnamespace and attnum > 0 and not attisdropped "
            "and has_column_privilege($1, c.oid, attnum, 'select')",
            role,
        )
        assert {row["attname"] for row in columns} == ({"id", "told"} if role == "ig_api" else set())

    alone(story)


def test_no_role_may_make_objects_that_a_definers_function_would_find(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        for role in ("ig_api", "ig_peer"):
            connection = await region.connect(role)
            for statement in ("create temp table x ()", "create table public.x ()", "create schema x",
                              "create type pg_temp.text as (x int)"):  # fmt: skip
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)

    alone(story)


def test_every_definers_function_sets_its_search_path(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        bare = await region.main.fetch(
            "select proname from pg_proc where pronamespace = 'ig'::regnamespace and prosecdef "
            "and not coalesce(array_to_string(proconfig, ',') like '%search_path=%', false)"
        )
        assert [row["proname"] for row in bare] == []

    alone(story)
