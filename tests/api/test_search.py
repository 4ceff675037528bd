"""What a text finds is the same whether its words are few entities' or more than are looked at by their index."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from intelgraph.api.database.database import Database
from intelgraph.graph.engines.postgres import search
from intelgraph.graph.engines.postgres.engine import PostgresEngine
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from intelgraph.settings import ApiPolicy

from .site import US, Site, entity

pytestmark = pytest.mark.postgres
FOUND = 12
QUERIES = {
    "small": "query ($text: String!, $first: Int!) { entities(filter: {text: $text}, first: $first) "
    "{ items { __typename id type name confidence revision created validFrom } } }",
    "of a type": 'query ($text: String!, $first: Int!) { entities(filter: {text: $text, types: ["malware"]}, '
    "first: $first) { items { id } } }",
    "large": "query ($text: String!, $first: Int!) { entities(filter: {text: $text}, first: $first) "
    "{ items { id properties } } }",
    "page": "query ($text: String!, $first: Int!) { entities(filter: {text: $text}, first: $first) "
    "{ items { id } next completeness } }",
    "backwards": "query ($text: String!, $first: Int!) { entities(filter: {text: $text}, first: $first, "
    "orderBy: ID_DESC) { items { id } } }",
}


def answers(site: Site, query: str, variables: dict[str, Any]) -> list[Any]:
    """What is told alone, and what is told in a statement for three."""

    async def ask() -> list[Any]:
        planner = Planner(schema=load_schema())
        prepared = planner.prepare(planner.document(query, None), variables)
        assert prepared.plan is not None
        statement = PostgresEngine().statement(prepared.plan)
        assert statement.for_many is not None
        database = Database(site.us.config.database, ApiPolicy())
        await database.start()
        try:
            _, alone = await database.query(statement.text, "acme", "both", None, *prepared.values)
            columns = statement.for_many.columns([prepared.values] * 3)
            _, many = await database.query_many(statement.for_many.text, "acme", "both", None, *columns)
        finally:
            await database.stop()
        assert alone is not None and many is not None
        return [json.loads(each)["entities"] for each in (alone, *many)]

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def word(site: Site) -> str:
    """A word that ``FOUND`` entities have; its beginning, which is searched, is no other's."""
    word = f"w{uuid.uuid4().hex}"
    named = [entity(f"{word}-{number:02}", name=f"{word}{number} and more") for number in range(FOUND)]
    assert site.client(US).write(*named).json()["status"] == "ok"
    return word


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("first", [0, 5, FOUND, FOUND + 1])
@pytest.mark.parametrize("hits_max", [FOUND + 1, FOUND, FOUND - 1, 3, 1])
def test_however_many_have_the_word(
    site: Site, word: str, monkeypatch: pytest.MonkeyPatch, query: str, first: int, hits_max: int
) -> None:
    monkeypatch.setattr(search, "HITS_MAX", hits_max)
    told = answers(site, QUERIES[query], {"text": word, "first": first})
    ids = [f"{word}-{number:02}" for number in range(FOUND)]
    wanted = (ids[::-1] if query == "backwards" else ids)[:first]
    for each in told:
        assert [item["id"] for item in each["items"]] == wanted
        if query == "page":
            assert each["completeness"] == ("MORE" if first < FOUND else "COMPLETE")


def test_nothing_is_found_of_a_word_that_nobody_has(site: Site) -> None:
    told = answers(site, QUERIES["small"], {"text": f"n{uuid.uuid4().hex}", "first": 5})
    assert told == [{"items": []}] * 4
