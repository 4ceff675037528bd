"""What is asked, in each contestant's words, and what every answer must come to.

A query has one document for servers that speak IntelGraph's schema and one for PostGraphile, whose answers are brought
into the same shape (``canonical``) before they are compared. Which object is asked for is chosen by chance, for every
request anew.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bench.read_data import ENTITIES, HUB_EVERY, TERMS, entity_id, properties, term

POOL = 4_000
"""Half of the writes change one of so many entities, the others make a new one."""
SUPERNODE_EVERY = 50


class Dialect(Enum):
    """Whose schema a contestant has."""

    INTELGRAPH = "intelgraph"
    POSTGRAPHILE = "postgraphile"


Choose = Callable[[random.Random], int]


@dataclass(frozen=True, kw_only=True)
class Query:
    """One row of the table. ``choose`` draws a number, ``variables`` are made of it; ``pgbench`` draws it in SQL."""

    name: str
    title: str
    documents: dict[Dialect, str]
    choose: Choose
    variables: Callable[[int], dict[str, Any]]
    pgbench: str
    parameter: str
    """The SQL text of the variable in pgbench, of its number ``:n``."""


def _any(chance: random.Random) -> int:
    return chance.randrange(ENTITIES)


def _hub(chance: random.Random) -> int:
    return 0 if chance.randrange(SUPERNODE_EVERY) == 0 else chance.randrange(0, ENTITIES, HUB_EVERY)


_ANY = f"\\set n {100_000_000_000} + random(0, {ENTITIES - 1})"
_HUB = (
    f"\\set n {100_000_000_000} + (case when random(1, {SUPERNODE_EVERY}) = 1 then 0 "
    f"else {HUB_EVERY} * random(0, {ENTITIES // HUB_EVERY - 1}) end)"
)
_ID = f"concat('{entity_id(0)[:-12]}', :n::text)"

READS = (
    Query(
        name="entity",
        title="one entity, five fields",
        documents={
            Dialect.INTELGRAPH: "query($id: ID!) { entity(id: $id) { id type name confidence properties } }",
            Dialect.POSTGRAPHILE: "query($id: String!) { entity: entityByRowId(rowId: $id) "
            "{ id: rowId type name confidence properties } }",
        },
        choose=_any,
        variables=lambda number: {"id": entity_id(number)},
        pgbench=_ANY,
        parameter=_ID,
    ),
    Query(
        name="edges",
        title="entity, 20 relationships, neighbors",
        documents={
            Dialect.INTELGRAPH: "query($id: ID!) { entity(id: $id) { id type name properties "
            "edges(direction: OUT, first: 20) { items { relationship { id type confidence } "
            "neighbor { id type name confidence } } } } }",
            Dialect.POSTGRAPHILE: "query($id: String!) { entity: entityByRowId(rowId: $id) "
            "{ id: rowId type name properties edges(first: 20) { items: nodes { id: rowId type confidence "
            "neighbor { id: rowId type name confidence } } } } }",
        },
        choose=_hub,
        variables=lambda number: {"id": entity_id(number)},
        pgbench=_HUB,
        parameter=_ID,
    ),
    Query(
        name="hops",
        title="two hops (10, then 5 each)",
        documents={
            Dialect.INTELGRAPH: "query($id: ID!) { entity(id: $id) { id name edges(direction: OUT, first: 10) { items "
            "{ relationship { id type } neighbor { id name edges(direction: OUT, first: 5) { items "
            "{ relationship { id type } neighbor { id name } } } } } } } }",
            Dialect.POSTGRAPHILE: "query($id: String!) { entity: entityByRowId(rowId: $id) "
            "{ id: rowId name edges(first: 10) { items: nodes { id: rowId type "
            "neighbor { id: rowId name edges(first: 5) { items: nodes { id: rowId type "
            "neighbor { id: rowId name } } } } } } } }",
        },
        choose=_hub,
        variables=lambda number: {"id": entity_id(number)},
        pgbench=_HUB,
        parameter=_ID,
    ),
    Query(
        name="search",
        title="search, first 20 of some 60",
        documents={
            Dialect.INTELGRAPH: "query($text: String!) { entities(filter: {text: $text}, first: 20) "
            "{ items { id type name confidence } } }",
            Dialect.POSTGRAPHILE: "query($text: String!) { entities: search(words: $text, first: 20) "
            "{ items: nodes { id: rowId type name confidence } } }",
        },
        choose=lambda chance: chance.randrange(TERMS),
        variables=lambda number: {"text": term(number)},
        pgbench=f"\\set n {TERMS} + random(0, {TERMS - 1})",
        parameter="concat('term', :n::text)",
    ),
)

WRITE, UNLOGGED = "write", "unlogged"
"""The write that is compared is an append to the log, for everybody; the others' ordinary upsert is a further row."""
WRITE_TITLE = "one write"
_WRITES = {
    (WRITE, Dialect.INTELGRAPH): "mutation($entities: [EntityInput!]!) { upsertEntities(entities: $entities) "
    "{ objects { id revision } } }",
    (WRITE, Dialect.POSTGRAPHILE): "mutation($input: AppendEntityInput!) { appendEntity(input: $input) { result } }",
    (UNLOGGED, Dialect.INTELGRAPH): "mutation($entities: [EntityInput!]!) { upsertUnlogged(entities: $entities) "
    "{ objects { id revision } } }",
    (UNLOGGED, Dialect.POSTGRAPHILE): "mutation($input: UpsertEntityInput!) { upsertEntity(input: $input) { result } }",
}
BY_NAME = {query.name: query for query in READS}


def read_body(query: Query, dialect: Dialect, number: int) -> bytes:
    """The request of a query about the object with a number."""
    return json.dumps({"query": query.documents[dialect], "variables": query.variables(number)}).encode()


@dataclass(frozen=True, kw_only=True)
class Written:
    """One write: under which key, into which entity."""

    key: str
    id: str


def written_entity(id_: str, chance: random.Random) -> dict[str, Any]:
    """The entity that a write makes."""
    return {
        "id": id_,
        "type": "attack-pattern",
        "name": "Measured technique",
        "confidence": 80,
        "properties": properties(chance, chance.randrange(POOL)),
    }


def write_body(query: str, dialect: Dialect, written: Written, chance: random.Random) -> bytes:
    """The request that writes one entity. PostGraphile takes the key with its input: its functions see no header."""
    entity = written_entity(written.id, chance)
    keyed = {"key": written.key, **entity} if query == WRITE else entity
    variables = {"entities": [entity]} if dialect is Dialect.INTELGRAPH else {"input": keyed}
    return json.dumps({"query": _WRITES[query, dialect], "variables": variables}).encode()


def written_id(run: str, writer: int, number: int, chance: random.Random) -> str:
    """The id of a write: every other one is new."""
    return f"new-{run}-{writer}-{number}" if number % 2 else f"pool-{chance.randrange(POOL)}"


def canonical(dialect: Dialect, answer: Any) -> Any:
    """Bring an answer into the shape that IntelGraph's schema gives it; errors raise."""
    if answer.get("errors") or not answer.get("data"):
        raise ValueError(f"a query was refused: {json.dumps(answer)[:300]}")
    return answer["data"] if dialect is Dialect.INTELGRAPH else _reshaped(answer["data"])


def revision(answer: Any) -> int:
    """Which revision a write says that it has made; errors raise."""
    if answer.get("errors") or not answer.get("data"):
        raise ValueError(f"a write was refused: {json.dumps(answer)[:300]}")
    (told,) = answer["data"].values()
    return int(told["result"] if "result" in told else told["objects"][0]["revision"])


def _reshaped(part: Any) -> Any:
    """PostGraphile's rows of a relationship hold their neighbor; in IntelGraph's schema an edge holds both."""
    if isinstance(part, list):
        return [_reshaped(each) for each in part]
    if not isinstance(part, dict):
        return part
    members = {name: value if name == "properties" else _reshaped(value) for name, value in part.items()}
    if "neighbor" not in members:
        return members
    neighbor = members.pop("neighbor")
    return {"relationship": members, "neighbor": neighbor}
