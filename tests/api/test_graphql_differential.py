"""Every answer is the one that graphql-core's executor gives over the same objects: 2,000 documents made by chance."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from tests.graph.documents import Maker
from tests.graph.reference import Graph, execute

from .site import US, Client, Site, entity, relationship

pytestmark = pytest.mark.postgres

DOCUMENTS, DOCUMENTS_OF_A_PROOF = 150, 4_000
_BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
REFUSED_BEFORE = re.compile(r"must be from \d+ to \d+, not (-1|5001)$|^after is refused: it is not what such a list")
VARIABLE = re.compile(r"Variable '\$(\w+)' (?:has|got) invalid value(?: at ([^:]+))?")
TOO_LARGE = {"document_too_large", "query_too_expensive"}


def a_graph(random: Random) -> tuple[Graph, list[dict[str, Any]]]:
    """A small graph with loops, parallel relationships and entities alone, and the operations that write it."""
    graph, operations = Graph(), []
    for number in range(14):
        at = _BEGAN + timedelta(days=random.randint(0, 500), microseconds=random.randint(0, 10**6))
        given = {
            "type": random.choice(["malware", "tool"]),
            "name": f"Name e{number} {'even' if number % 2 == 0 else 'odd'}/Number-{number % 3}.é{number}",
            # In the order that PostgreSQL keeps: shorter names first.
            "properties": {"os": random.choice(["linux", "windows"]), "level": random.randint(1, 2)},
            "confidence": random.choice([None, 0, 50, 100]),
            "sources": random.choice([[], ["one"], ["two", "one"]]),
        }
        made = _BEGAN - timedelta(days=random.randint(0, 400), minutes=random.randint(0, 3000))
        times = {"created": made, "updated": at, "valid_from": random.choice([None, _BEGAN, at])}
        told = {**given, **{name: t.isoformat() for name, t in times.items() if t is not None}}
        operations.append(entity(f"e{number}", **{k: v for k, v in told.items() if v is not None}))
        graph.entities[f"e{number}"] = _node(f"e{number}", given, times)
    for number in range(30):
        source, target = (f"e{random.randint(0, 12)}" for _ in range(2))
        given = {"type": random.choice(["uses", "targets"]), "properties": {}, "confidence": None, "sources": []}
        times = {"created": _BEGAN, "updated": _BEGAN, "valid_from": None}
        told = {"type": given["type"], "created": _BEGAN.isoformat(), "updated": _BEGAN.isoformat()}
        operations.append(relationship(source, target, f"r{number}", **told))
        graph.relationships[f"r{number}"] = {**_node(f"r{number}", given, times), "source": source, "target": target}
    return graph, operations


def _node(id_: str, given: dict[str, Any], times: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": id_, **given, "validFrom": times["valid_from"], "validUntil": None, "created": times["created"],
        "updated": times["updated"], "revision": 1,
    }  # fmt: skip


def ask(client: Client, text: str, variables: dict[str, Any], bookmark: str) -> Any:
    answer = client.http.post(
        client.url + "/graphql",
        json={"query": text, "variables": variables},
        headers={"ig-bookmark": bookmark, "accept": "application/graphql-response+json"},
        timeout=20,
    )
    assert answer.headers["content-type"].startswith("application/graphql-response+json"), answer.text
    assert answer.status_code in (200, 400), answer.text
    return answer.json()


def is_one_of(told: str, messages: list[str]) -> bool:
    """Whether it says what one of them says; of a variable's value both name the same place, in words of their own."""
    places = [f"${found[1]}{found[2] or ''} is refused: " for each in messages if (found := VARIABLE.match(each))]
    nulls = any(each.startswith("Expected value of non-null type") for each in messages)
    return (
        told in messages or any(told.startswith(place) for place in places) or (nulls and " must not be null: " in told)
    )


@pytest.mark.parametrize(
    ("tenant", "documents"),
    [("tyrell", DOCUMENTS), pytest.param("weyland", DOCUMENTS_OF_A_PROOF, marks=pytest.mark.prove)],
)
def test_every_answer_is_that_of_a_plain_executor(site: Site, tenant: str, documents: int) -> None:
    graph, operations = a_graph(Random(1))
    client = site.client(US, tenant=tenant)
    bookmark = client.write(*operations).json()["bookmark"]
    compared = failed = unreached = 0
    for seed in range(documents):
        text, variables = Maker(random=Random(seed)).document()
        told = ask(client, text, variables, bookmark)
        if "data" not in told and told["errors"][0]["extensions"]["code"] in TOO_LARGE:
            continue
        wanted = execute(graph, text, variables)
        if not wanted.errors and "errors" in told:
            # Arguments are looked at before anything is executed: also those of a field that is never reached.
            assert "data" not in told
            assert REFUSED_BEFORE.search(told["errors"][0]["message"]), (seed, told)
            unreached += 1
            continue
        if wanted.errors:
            failed += 1
            assert "data" not in told, (seed, text, variables)
            messages = [error.message for error in wanted.errors]
            assert is_one_of(told["errors"][0]["message"], messages), (seed, text, variables, told, messages)
            continue
        assert "errors" not in told, (seed, text, variables, told)
        # As text: the members' order counts.
        assert json.dumps(told["data"]) == json.dumps(wanted.data), (seed, text, variables)
        compared += 1
    assert compared > documents * 0.8
    assert failed > unreached
