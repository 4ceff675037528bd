"""What is ready is what the long way would have made, for every request: the same statement, values and estimate."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelgraph.graph.query.document import QueryRefused
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from tests.cases import cases
from tests.graph.documents import Maker

SCHEMA = load_schema()
DOCUMENTS = (
    "query ($id: ID!) { entity(id: $id) { id } }",
    'query ($id: ID! = "d", $w: Boolean!) { a: node(id: $id) { id } b: entity(id: $id) { id @include(if: $w) name } }',
    'query ($t: String!, $n: Int! = 3) { entities(filter: {text: $t, types: [$t, "x"]}, first: $n) { items { id } } }',
    "query ($t: String) { entities(filter: {text: $t, confidenceMin: 3}) { items { id } } }",
    """query ($id: ID!, $d: Direction!, $x: String) { entities(filter: {text: $x}) { items { id } }
        entity(id: $id) { edges(direction: $d, first: 2) { items { neighborId } } } }""",
    "query ($id: ID!) { entity(id: $id) { id } entities(filter: {properties: {k: [$id]}}) { items { id } } }",
    """query ($a: ID!, $b: ID!) { shortestPaths(from: $a, to: $b) { completeness }
        neighborhood(of: [$a, $b]) { completeness } }""",
    "query ($b: String) { asOf(bookmark: $b) { entity(id: 1) { id } } history(id: 2) { completeness } }",
    "query ($c: Cursor, $id: ID!) { entities(after: $c) { items { id } } entity(id: $id) { id } }",
    "query ($f: Int!, $id: ID!) { entity(id: $id) { edges(first: $f) { items { neighborId } } } }",
)
TEXT = st.text(max_size=12) | st.sampled_from(["", "\x00", "IN", "ANY", "a" * 300, "us-east:1:1:1", "0" * 32])
VALUE = (
    TEXT
    | st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.integers(0, 5)
    | st.floats(allow_nan=False)
    | st.lists(TEXT, max_size=2)
    | st.dictionaries(st.sampled_from(["a", "text"]), TEXT, max_size=1)
)
GIVEN = st.dictionaries(
    st.sampled_from(["id", "w", "t", "n", "d", "x", "a", "b", "c", "f", "unknown"]), TEXT | VALUE, max_size=8
)


def long_way(planner: Planner, text: str, variables: dict[str, Any]) -> Any:
    """What is refused, or what is asked; the request is also one of those that make the next ones ready."""
    try:
        prepared = planner.prepare(planner.document(text, None), variables)
    except QueryRefused as refused:
        return refused.code
    planner.make_ready(text, None, prepared)
    return prepared.plan, prepared.values, prepared.estimate


@settings(max_examples=cases(600), deadline=None)
@given(st.sampled_from(DOCUMENTS), st.lists(GIVEN, min_size=2, max_size=6), st.lists(TEXT, min_size=6, max_size=6))
def test_whatever_is_given_what_is_ready_is_equal(text: str, many: list[dict[str, Any]], texts: list[str]) -> None:
    planner = Planner(schema=SCHEMA)
    others = iter(texts * 10)
    for variables in many:
        # Each is asked three times, so that it is ready, and then with other texts.
        changed = {name: next(others) if isinstance(value, str) else value for name, value in variables.items()}
        for asked in (variables, variables, variables, changed):
            ready = planner.ready(text, None, asked)
            expected = long_way(planner, text, asked)
            if ready is not None:
                assert (ready[0].plan, ready[1], ready[0].estimate) == expected


def test_documents_made_by_chance_are_ready_with_the_same_values() -> None:
    planner = Planner(schema=SCHEMA)
    found = 0
    for seed in range(cases(1_000)):
        text, variables = Maker(random=Random(seed)).document()
        for turn in range(3):
            asked = {n: f"{v}{turn}" if v in ("none", "malware", "e1", "e2") else v for n, v in variables.items()}
            ready = planner.ready(text, "Made", asked)
            try:
                prepared = planner.prepare(planner.document(text, "Made"), asked)
            except QueryRefused:
                assert ready is None
                continue
            planner.make_ready(text, "Made", prepared)
            if ready is not None:
                found += 1
                assert (ready[0].plan, ready[1]) == (prepared.plan, prepared.values)
    assert found > cases(300)


@pytest.mark.parametrize("text", [DOCUMENTS[0], DOCUMENTS[3], DOCUMENTS[6]])
def test_the_third_request_of_a_kind_finds_everything_ready(text: str) -> None:
    planner = Planner(schema=SCHEMA)
    names = [name for name in ("id", "t", "a", "b") if f"${name}:" in text]
    ready = [
        (planner.ready(text, None, given), long_way(planner, text, given))[0]
        for given in [{name: f"{name}{turn}" for name in names} for turn in range(3)]
    ]
    assert ready[0] is ready[1] is None
    assert ready[2] is not None
    assert any("2" in str(value) for value in ready[2][1])


def test_a_text_in_a_json_object_is_looked_into_each_time() -> None:
    planner = Planner(schema=SCHEMA)
    for turn in range(3):
        long_way(planner, DOCUMENTS[5], {"id": f"x{turn}"})
    assert planner.ready(DOCUMENTS[5], None, {"id": "x"}) is None
