"""Reads that are put together get what they would get alone: their own answers, errors and tenant's data."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from intelgraph.api.database.database import Database
from intelgraph.api.database.query_batching import QueryBatcher, Read
from intelgraph.graph.engines.postgres.builder import Builder
from intelgraph.graph.engines.postgres.engine import PostgresEngine
from intelgraph.graph.engines.postgres.nodes import Column, Derived, Expression, Rows, Scalar, Select, call
from intelgraph.graph.engines.postgres.statement import Statement
from intelgraph.graph.query.document import QueryRefused
from intelgraph.graph.query.plan import Kind, Value
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from intelgraph.model.errors import IntelGraphError
from intelgraph.settings import ApiPolicy
from tests.cases import cases
from tests.graph.documents import Maker
from tests.graph.reference import Graph

from .site import US, Site, entity, relationship
from .test_graphql import post
from .test_graphql_differential import a_graph

pytestmark = pytest.mark.postgres
READ = (
    "query ($id: ID!, $types: [String!]) { entity(id: $id) { id name edges(types: $types) { items { neighborId } } } }"
)
planner = Planner(schema=load_schema())


def read(query: str, variables: dict[str, Any], *, tenant: str = "acme") -> Read:
    prepared = planner.prepare(planner.document(query, None), variables)
    assert prepared.plan is not None
    return Read(
        statement=PostgresEngine().statement(prepared.plan), tenant=tenant, placement="both", bookmark=None,
        values=prepared.values, cost=prepared.estimate.cost,
    )  # fmt: skip


def with_database(site: Site, story: Callable[[Database], Awaitable[None]], **policy: Any) -> None:
    async def run() -> None:
        database = Database(site.us.config.database, ApiPolicy(**policy))
        await database.start()
        try:
            await story(database)
        finally:
            await database.stop()

    asyncio.run(run())


def batcher(database: Database, batches: list[int], batch_max: int = 32) -> QueryBatcher:
    return QueryBatcher(database, batch_max=batch_max, waiting_max=1_000, on_batch=batches.append)


def named(told: tuple[bytes, str | None]) -> Any:
    assert told[1] is not None, told
    return json.loads(told[1])["entity"]


def test_each_of_many_gets_its_own_answer_and_few_statements_are_sent(site: Site) -> None:
    ids = [f"c-{uuid.uuid4()}" for _ in range(60)]
    ends = [relationship(ids[n], ids[n + 1], f"r-{ids[n]}") for n in range(0, 58)]
    site.client(US).write(*(entity(id_, name=f"n{id_}") for id_ in ids), *ends)

    async def story(database: Database) -> None:
        batches: list[int] = []
        reads = batcher(database, batches)
        kinds = [None, ["uses"], ["none", 'quo"te', "back\\slash", "{,}"]]
        asked = [(id_, types) for id_ in [*ids, "none"] for types in kinds]
        # By the first ones it learns how large the placement's objects are: other tests may have written large ones.
        await asyncio.gather(*(reads.ask(read(READ, {"id": id_, "types": None})) for id_ in ids))
        batches.clear()
        told = await asyncio.gather(*(reads.ask(read(READ, {"id": i, "types": t})) for i, t in asked))
        for (id_, types), answer in zip(asked, told, strict=True):
            alone = await database.query(*_statement(read(READ, {"id": id_, "types": types})))
            assert answer == alone
            assert named(answer) is None if id_ == "none" else named(answer)["name"] == f"n{id_}"
        assert sum(batches) > len(asked) - 10
        assert len(batches) < 12

    with_database(site, story)


def _statement(asked: Read) -> tuple[Any, ...]:
    return (asked.statement.text, asked.tenant, asked.placement, asked.bookmark, *asked.values)


def test_documents_made_by_chance_are_answered_together_as_alone(site: Site) -> None:
    _graph: Graph
    _graph, operations = a_graph(Random(1))
    site.client(US, tenant="globex").write(*operations)

    async def story(database: Database) -> None:
        compared = 0
        for seed in range(cases(400)):
            text, variables = Maker(random=Random(seed)).document()
            try:
                asked = read(text, variables, tenant="globex")
            except (QueryRefused, AssertionError):
                continue
            if asked.statement.for_many is None:
                continue
            many = asked.statement.for_many
            columns = many.columns([asked.values] * 3)
            _, told = await database.query_many(many.text, "globex", "both", None, *columns)
            alone = await database.query(*_statement(asked))
            assert told == [alone[1]] * 3, (seed, text)
            compared += 1
        assert compared > cases(200)

    with_database(site, story)


def test_an_error_is_that_of_the_read_that_caused_it_alone(site: Site) -> None:
    one = entity(name="Fine")
    site.client(US).write(one)
    query = "query ($p: JSONObject!) { entities(filter: {properties: $p}, first: 1) { items { id } } }"

    async def story(database: Database) -> None:
        reads = batcher(database, [])
        asked = [read(query, {"p": {"a": str(n)}}) for n in range(12)]
        # Nothing that a request can say makes PostgreSQL fail here; so one says what no request can.
        spoilt = [b"no JSON" if isinstance(value, bytes) else value for value in asked[4].values]
        asked[4] = asked[4]._replace(values=spoilt)
        told = await asyncio.gather(*(reads.ask(each) for each in asked), return_exceptions=True)
        for n, answer in enumerate(told):
            if n == 4:
                assert isinstance(answer, IntelGraphError)
                assert answer.denied.code == "bad_request"
            else:
                assert isinstance(answer, tuple), answer
                assert json.loads(answer[1] or "") == {"entities": {"items": []}}

    with_database(site, story)


def test_who_goes_away_takes_nobody_along(site: Site) -> None:
    one = entity(name="Here")
    site.client(US).write(one)

    async def story(database: Database) -> None:
        reads = batcher(database, [])
        tasks = [asyncio.create_task(reads.ask(read(READ, {"id": one["entity"]["id"]}))) for _ in range(30)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, asyncio.CancelledError) for answer in told[::2])
        assert all(named(answer)["name"] == "Here" for answer in told[1::2])  # type: ignore[arg-type]
        assert named(await reads.ask(read(READ, {"id": one["entity"]["id"]})))["name"] == "Here"

    with_database(site, story)


def test_too_many_that_wait_are_refused_and_the_rest_is_answered(site: Site) -> None:
    async def story(database: Database) -> None:
        reads = QueryBatcher(database, batch_max=4, waiting_max=10, on_batch=lambda _: None)
        asked = (reads.ask(read(READ, {"id": "none"})) for _ in range(40))
        told = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in told if isinstance(answer, IntelGraphError)]
        assert {error.denied.code for error in refused} == {"overloaded"}
        assert len(refused) == 40 - 10 - 1

    with_database(site, story)


def test_nobody_waits_behind_one_that_is_slow(site: Site) -> None:
    """Reads of one kind of which one sleeps in PostgreSQL: those that come later are told first."""
    seconds, named_ = Value(0, Kind.NUMBER, 0, lambda args: args), Value(1, Kind.TEXT, 0, lambda args: args)

    def sleeping(builder: Builder) -> Expression:
        slept = Rows(call("pg_sleep", builder.value(seconds)), "s")
        name = Derived(Select((builder.value(named_),)), "n", ("x",))
        return Scalar(Select((Column("n", "x"),), (slept, name)))

    statement = Statement(sleeping, (seconds, named_))
    told: list[str] = []

    async def story(database: Database) -> None:
        reads = batcher(database, [], batch_max=4)

        async def ask(name: str, sleep_s: int) -> None:
            _, answer = await reads.ask(Read(statement, "acme", "both", None, [sleep_s, name], 1))
            assert answer is not None
            told.append(answer)

        slow = asyncio.create_task(ask("slow", 3))
        await asyncio.sleep(0.1)
        quick = [str(n) for n in range(20)]
        await asyncio.gather(*(ask(name, 0) for name in quick))
        assert sorted(told) == sorted(quick)
        await slow

    with_database(site, story)
    assert told[-1] == "slow"


def test_tenants_are_never_put_together(site: Site) -> None:
    id_ = f"t-{uuid.uuid4()}"
    tenants = ["acme", "globex", "initech"]
    for tenant in tenants:
        site.client(US, tenant=tenant).write(entity(id_, name=tenant))

    def ask(tenant: str) -> bool:
        told = post(site.client(US, tenant=tenant), READ, {"id": id_}).json()
        return bool(told["data"]["entity"]["name"] == tenant)

    # Whether reads wait for each other is up to the machine: ask until some have.
    before, until_s = _coalesced(site), time.monotonic() + 60
    with ThreadPoolExecutor(30) as threads:
        while _coalesced(site) == before:
            assert time.monotonic() < until_s, "nothing was put together: this shows nothing"
            assert all(threads.map(ask, tenants * 200))


def _coalesced(site: Site) -> float:
    found = re.search(r"^ig_reads_coalesced_total (\S+)", site.us.metrics(), re.MULTILINE)
    return float(found[1]) if found else 0.0
