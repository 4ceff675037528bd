"""One statement for each operation, whichever field it asks for: counted by PostgreSQL itself."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from bench.scratch import start_scratch
from intelgraph.api.database.database import Database
from intelgraph.changelog.install import install_schema
from intelgraph.graph.engines.postgres.engine import PostgresEngine
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from intelgraph.settings import ApiPolicy
from tests.graph.every_field import queries
from tests.replication.lone import upsert

pytestmark = pytest.mark.postgres
SENT = (
    "select query, calls from pg_stat_statements s join pg_roles r on r.oid = s.userid "
    "where r.rolname = 'ig_api' and toplevel"
)


def edge(id_: str) -> dict[str, Any]:
    return {
        "op": "upsert_relationship",
        "relationship": {"id": id_, "type": "uses", "source": id_[0], "target": id_[1]},
    }


async def _count(server: Any) -> dict[str, list[str]]:
    """Ask for every field, and return what was sent to the server for each."""
    owner = await asyncpg.connect(**server.connect_arguments())
    database = Database(server.login("ig_api"), ApiPolicy(pool_connections_max=1))
    planner = Planner(schema=load_schema())
    sent: dict[str, list[str]] = {}
    try:
        await owner.execute("create extension pg_stat_statements")
        await install_schema(owner, region="us-east", peers=[])
        await owner.execute("select ig.open('p', 1, 'us-east', '{us-east}', null, 'home', $1, false)", b"k" * 32)
        await database.start()

        operations = json.dumps([*(upsert(name) for name in "abc"), edge("ab"), edge("bc")])
        told = await database.call("select ig.append('p', 1, 't', 'key', 'r', $1)", operations.encode())
        assert b'"ok"' in told, told
        for field, text in queries():
            prepared = planner.prepare(planner.document(text, None), {})
            assert prepared.plan is not None
            statement = PostgresEngine().statement(prepared.plan)
            # Preparing a statement is no part of running it: what comes first is forgotten.
            for _ in range(2):
                await owner.execute("select pg_stat_statements_reset()")
                readable, data = await database.query(statement.text, "t", "p", None, *prepared.values)
            assert b'"ok"' in readable
            assert data, field
            sent[field] = [row["query"] for row in await owner.fetch(SENT) for _ in range(row["calls"])]
    finally:
        await database.stop()
        await owner.close()
    return sent


def test_every_field_of_the_schema_is_answered_by_one_statement() -> None:
    with start_scratch(name="us-east", settings={"shared_preload_libraries": "pg_stat_statements"}) as server:
        sent = asyncio.run(_count(server))
    assert len(sent) > 60
    for field, statements in sent.items():
        assert len(statements) == 1, (field, statements)
        assert statements[0].count("select set_config(") == 1, field
