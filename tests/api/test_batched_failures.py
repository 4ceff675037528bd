"""Reads that wait together when their statement fails: each is answered, and none waits for the others' failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from intelgraph.api.database.errors import timed_out, unavailable
from intelgraph.api.database.query_batching import QueryBatcher, Read
from intelgraph.graph.engines.postgres.engine import PostgresEngine
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from intelgraph.model.errors import IntelGraphError
from tests.machine import WAIT_S

_MANY = 8
_PLANNER = Planner(schema=load_schema())


class Failing:
    """A database that fails all that is asked of it, after a while; ``asked`` counts."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error
        self.asked = 0

    async def query(self, *_: Any, heavy: bool = False) -> Any:
        self.asked += 1
        await asyncio.sleep(0.01)
        raise self._error()

    query_many = query


def read(number: int) -> Read:
    query = "query ($id: ID!) { entity(id: $id) { id } }"
    prepared = _PLANNER.prepare(_PLANNER.document(query, None), {"id": f"e{number}"})
    assert prepared.plan is not None
    statement = PostgresEngine().statement(prepared.plan)
    return Read(statement, "acme", "both", None, prepared.values, prepared.estimate.cost)


def told(database: Failing) -> list[Any]:
    async def story() -> list[Any]:
        reads = QueryBatcher(database, batch_max=_MANY, waiting_max=100, on_batch=lambda _: None)  # type: ignore[arg-type]
        asking: list[Awaitable[Any]] = [reads.ask(read(number)) for number in range(1 + _MANY)]
        async with asyncio.timeout(WAIT_S):
            return await asyncio.gather(*asking, return_exceptions=True)

    return asyncio.run(story())


def test_a_failure_that_is_none_of_ours_is_told_to_all_that_wait() -> None:
    answers = told(Failing(lambda: RuntimeError("the database refuses a statement of ours")))
    assert [type(answer) for answer in answers] == [RuntimeError] * (1 + _MANY)


@pytest.mark.parametrize("error", [lambda: unavailable(OSError()), lambda: timed_out(10.0, writes=False)])
def test_a_database_that_is_away_is_asked_once_for_all_that_wait(error: Callable[[], Exception]) -> None:
    database = Failing(error)
    answers = told(database)
    assert all(isinstance(answer, IntelGraphError) for answer in answers), answers
    assert database.asked == 2
