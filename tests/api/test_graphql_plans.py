"""Which index every question takes, and how many rows it looks at: told by PostgreSQL itself, as the API's role.

Two tenants of 4,000 entities and 16,000 relationships each share the tables. What is asked goes through the pool of the
API, so that plans are generic and row-level security applies; ``auto_explain`` tells every plan, those inside of
functions too. Questions without an index of their own are in a table with the reason why, and may look at the rows of
their tenant, never at another's.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLObjectType

from bench.scratch import Scratch, start_scratch
from intelgraph.changelog.install import install_schema
from intelgraph.graph.engines.postgres.engine import PostgresEngine
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from tests.graph.cursors import cursor

pytestmark = pytest.mark.postgres

ENTITIES, RELATIONSHIPS = 4_000, 16_000
TENANTS = ("acme", "globex")
FEW = 400
"""A question with an index looks at so many rows at most; of one table a tenant has ten times as many."""
LARGE = Path(__file__).parents[2] / "bench" / "large_tenant.sql"
EXPLAIN = {
    "autovacuum": "off",  # the tables are analyzed once, by the test
    "shared_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A question, and the indexes that it must take; ``why``: why it looks at all of its tenant."""

    query: str
    indexes: frozenset[str]
    why: str = ""


def by(*indexes: str) -> frozenset[str]:
    return frozenset(indexes)


def entities(arguments: str, fields: str = "items { id } next") -> str:
    return f"{{ entities({arguments}, first: 5) {{ {fields} }} }}"


def edges(arguments: str) -> str:
    asked = "items { relationship { id } neighbor { id } } next"
    return f'{{ entity(id: "e1") {{ edges(first: 5, {arguments}) {{ {asked} }} }} }}'


ROOTS = {
    "entity": Ask(query='{ entity(id: "e7") { name } }', indexes=by("entity_pkey")),
    "relationship": Ask(query='{ relationship(id: "r7") { source { id } } }',
                        indexes=by("relationship_pkey", "entity_pkey")),
    "node": Ask(query='{ node(id: "r7") { id } }', indexes=by("entity_pkey", "relationship_pkey")),
    "entities": Ask(query="{ entities(first: 5) { items { id } next } }", indexes=by("entity_pkey")),
    "neighborhood": Ask(
        query='{ neighborhood(of: ["e3999"], hops: 1, nodes: 20) { items { entity { id } } relationships { id } } }',
        indexes=by("relationship_source", "relationship_target", "entity_pkey", "relationship_pkey")),
    "shortestPaths": Ask(
        query='{ shortestPaths(from: "e3990", to: "e3991", hops: 2) { items { entities { id } } } }',
        indexes=by("relationship_source", "relationship_target", "entity_pkey")),
    "stats": Ask(query="{ stats { entities relationships } }", indexes=by(), why="it counts all of the tenant"),
    "history": Ask(query='{ history(id: "e7") { items { bookmark } } }', indexes=by("change_touches")),
}  # fmt: skip
PAST = 'asOf(bookmark: "us-east/1/1/2")'
OF_THE_PAST = {
    "entity": Ask(query=f'{{ {PAST} {{ entity(id: "e7") {{ id }} }} }}', indexes=by("change_touches")),
    "relationship": Ask(query=f'{{ {PAST} {{ relationship(id: "r7") {{ id }} }} }}', indexes=by("change_touches")),
    "node": Ask(query=f'{{ {PAST} {{ node(id: "e7") {{ id }} }} }}', indexes=by("change_touches")),
    "entities": Ask(query=f"{{ {PAST} {{ entities(first: 5) {{ items {{ id }} }} }} }}", indexes=by("change_tenant"),
                    why="what was not written since is told by its rank, which has no index"),
    "stats": Ask(query=f"{{ {PAST} {{ stats {{ entities }} }} }}", indexes=by("change_tenant"),
                 why="it counts all of the tenant"),
}  # fmt: skip
ORDERS = {
    "ID_ASC": Ask(query=entities(f'orderBy: ID_ASC, after: "{cursor("ID_ASC", "e2")}"'), indexes=by("entity_pkey")),
    "ID_DESC": Ask(query=entities(f'orderBy: ID_DESC, after: "{cursor("ID_DESC", "e2")}"'), indexes=by("entity_pkey")),
    "UPDATED_ASC": Ask(query=entities("orderBy: UPDATED_ASC"), indexes=by("entity_updated")),
    "UPDATED_DESC": Ask(query=entities("orderBy: UPDATED_DESC"), indexes=by("entity_updated")),
}
NO_PAGE = "items { id } total { count exact }"
SELDOM = "it has none so that no write pays for it; {} and it needs at most a look at each of the tenant's entities"
FILTERS = {
    "ids": Ask(query=entities('filter: {ids: ["e1", "e2"]}', NO_PAGE), indexes=by("entity_pkey")),
    "types": Ask(query=entities('filter: {types: ["nothing"]}', NO_PAGE), indexes=by("entity_type")),
    "text": Ask(query=entities('filter: {text: "word19000 word19001"}', NO_PAGE), indexes=by("entity_words")),
    "updatedFrom": Ask(query=entities('filter: {updatedFrom: "2026-12-01T00:00:00Z"}, orderBy: UPDATED_ASC'),
                       indexes=by("entity_updated")),
    "updatedBefore": Ask(query=entities('filter: {updatedBefore: "2025-12-01T00:00:00Z"}, orderBy: UPDATED_DESC'),
                         indexes=by("entity_updated")),
    "properties": Ask(query=entities('filter: {properties: {owner: "owner7"}}', NO_PAGE), indexes=by(),
                      why=SELDOM.format("properties are the most of what is written,")),
    "confidenceMin": Ask(query=entities("filter: {confidenceMin: 101}", NO_PAGE), indexes=by(),
                         why=SELDOM.format("most pages are soon full,")),
    "confidenceMax": Ask(query=entities("filter: {confidenceMax: -1}", NO_PAGE), indexes=by(),
                         why=SELDOM.format("most pages are soon full,")),
    "validAt": Ask(query=entities('filter: {validAt: "2026-01-01T00:00:00Z"}', NO_PAGE), indexes=by(),
                   why=SELDOM.format("most entities are valid,")),
}  # fmt: skip
OTHERS = {
    "a word that all have": Ask(query=entities('filter: {text: "common"}'), indexes=by("entity_words"),
                                why="its entities are counted up to 5,001 before they are read in the page's order"),
    "edges out": Ask(query=edges("direction: OUT"), indexes=by("relationship_source", "entity_pkey")),
    "edges in": Ask(query=edges("direction: IN"), indexes=by("relationship_target", "entity_pkey")),
    "edges of any": Ask(query=edges(f'direction: ANY, after: "{cursor("edges", "r5")}"'),
                        indexes=by("relationship_source", "relationship_target", "entity_pkey")),
    "edges of a type": Ask(query=edges('direction: OUT, types: ["uses"]'), indexes=by("relationship_source")),
}  # fmt: skip
GROUPS = {"root": ROOTS, "past": OF_THE_PAST, "order": ORDERS, "filter": FILTERS, "other": OTHERS}
ASKED = {f"{group}: {name}": ask for group, asked in GROUPS.items() for name, ask in asked.items()}


@dataclass(kw_only=True)
class Looked:
    """What one question looked at."""

    indexes: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    """Tables that were read from end to end."""
    rows: dict[str, float] = field(default_factory=dict)

    def at(self, node: dict[str, Any], table: str = "") -> None:
        table = node.get("Relation Name", table)
        if "Index Name" in node:
            self.indexes.add(node["Index Name"])
        if node["Node Type"] == "Seq Scan" and node["Actual Loops"]:
            self.whole.add(table)
        if "Relation Name" in node:
            gone = sum(node.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Index Recheck"))
            self.rows[table] = self.rows.get(table, 0) + (node["Actual Rows"] + gone) * node["Actual Loops"]
        for below in node.get("Plans", ()):
            self.at(below, table)


async def _look() -> dict[str, Looked]:
    with start_scratch(name="plans", settings=EXPLAIN) as server:
        await _fill(server)
        connection = await asyncpg.connect(
            **server.connect_arguments("ig_api"),
            server_settings={"plan_cache_mode": "force_generic_plan", "jit": "off"},
        )
        told: list[str] = []
        connection.add_log_listener(lambda _, message: told.append(message.message))
        planner = Planner(schema=load_schema())
        found = {}
        try:
            for name, ask in ASKED.items():
                prepared = planner.prepare(planner.document(ask.query, None), {})
                assert prepared.plan is not None
                statement = PostgresEngine().statement(prepared.plan)
                values = [value.decode() if isinstance(value, bytes) else value for value in prepared.values]
                told.clear()
                row = await connection.fetchrow(statement.text, TENANTS[0], "p", None, *values)
                assert row is not None
                assert json.loads(row[0])["status"] == "ok", (name, row)
                assert row[1] is not None, name
                await asyncio.sleep(0)  # the listener is called by the loop
                found[name] = looked = Looked()
                for text in told:
                    looked.at(json.loads(text.partition("plan:\n")[2])["Plan"])
        finally:
            await connection.close()
    return found


async def _fill(server: Scratch) -> None:
    owner = await asyncpg.connect(**server.connect_arguments())
    try:
        await owner.execute("set auto_explain.log_min_duration = -1")
        await install_schema(owner, region="us-east", peers=[])
        await owner.execute("select ig.open('p', 1, 'us-east', '{us-east}', null, 'home', $1, false)", b"k" * 32)
        for tenant in TENANTS:
            text = LARGE.read_text(encoding="utf-8")
            given = {"$tenant": tenant, "$placement": "p", "$entities": ENTITIES, "$relationships": RELATIONSHIPS}
            for name, value in given.items():
                text = text.replace(name, str(value))
            for statement in text.split(";\n"):
                if statement.strip():
                    await owner.execute(statement)
        # Something in the log, which is asked for the past.
        written = 600
        for n in range(written):
            entity = {"op": "upsert_entity", "entity": {"id": f"w{n}", "type": "tool", "name": "Written"}}
            await owner.execute(
                "select ig.append('p', 1, $1, $2, 'r', $3)", TENANTS[n % 2], f"{n}", json.dumps([entity])
            )
        for _ in range(3):  # one look says what is on its way, the next one that it is over
            settled = await owner.fetchval("select ig.settle()")
        assert settled > written
        await owner.execute("analyze")
    finally:
        await owner.close()


@pytest.fixture(scope="module")
def found() -> dict[str, Looked]:
    return asyncio.run(_look())


@pytest.mark.parametrize("name", list(ASKED))
def test_a_question_takes_its_index(found: dict[str, Looked], name: str) -> None:
    asked, looked = ASKED[name], found[name]
    assert asked.indexes <= looked.indexes, (looked.indexes, looked.rows)
    growing = {"entity", "relationship", "change", "outcome"}
    assert not looked.whole & growing
    most = {"entity": ENTITIES + 300, "relationship": RELATIONSHIPS} if asked.why else {}
    counts = 3 if asked.why else 1  # a page, its total, and the words' hits each look for themselves
    for table in growing & set(looked.rows):
        assert looked.rows[table] <= counts * most.get(table, FEW), (table, looked.rows)


def test_every_field_order_and_filter_of_the_schema_is_asked_about() -> None:
    types = load_schema().type_map
    query, past, filters, order = (types[name] for name in ("Query", "Past", "EntityFilter", "EntityOrder"))
    assert isinstance(query, GraphQLObjectType)
    assert isinstance(past, GraphQLObjectType)
    assert isinstance(filters, GraphQLInputObjectType)
    assert isinstance(order, GraphQLEnumType)
    assert set(ROOTS) == set(query.fields) - {"asOf"}
    assert set(OF_THE_PAST) == set(past.fields) - {"bookmark"}
    assert set(FILTERS) == set(filters.fields)
    assert set(ORDERS) == set(order.values)
