"""Shapes of attack are refused for their size, before anything is executed."""

from __future__ import annotations

from random import Random

import pytest
from graphql import Lexer, Source, TokenKind
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.graph.query.cost import estimate
from intelgraph.graph.query.document import QueryRefused, tokens_at_least
from intelgraph.graph.query.limits import QueryLimits
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from tests.graph.documents import Maker

DEEP = "{ entity(id: 1) " + "{ edges { items { neighbor " * 20_000 + "{ id }" + " } } }" * 20_000 + " }"
ALIASES = "{" + " ".join(f"a{n}: entity(id: {n}) {{ id }}" for n in range(7_000)) + "}"
TOKENS = "{" + " a" * 500_000 + "}"
DIRECTIVES = "{ entity(id: 1) { id " + "@include(if: true) " * 10_000 + "} }"
CIRCULAR = "{ entity(id: 1) { ...A } } fragment A on Entity { ...B } fragment B on Entity { ...A }"
BOMB = "{ entity(id: 1) { ...F0 } } " + " ".join(
    f"fragment F{n} on Entity {{ edges {{ items {{ a: neighbor {{ ...F{n + 1} }} b: neighbor {{ ...F{n + 1} }} }} }} }}"
    for n in range(60)
) + " fragment F60 on Entity { id }"  # fmt: skip
MANY_ALIASES = "{" + " ".join(f"a{n}: entity(id: {n}) {{ id }}" for n in range(101)) + "}"
MANY_DIRECTIVES = "{ entity(id: 1) { id " + "@include(if: true) " * 51 + "} }"
FAN_OUT = "{ entity(id: 1) { " + "edges(first: 10) { items { neighbor { " * 4 + "id" + " } } }" * 4 + " } }"
SAME_FIELDS = "{ " + "stats { entities } " * 450 + "}"
FRAGMENT_PAIRS = "{ entity(id: 1) { " + "...F " * 900 + "} } fragment F on Entity { id }"
CIRCLE_OF_FIELDS = "{ entity(id: 1) { ...A } } fragment A on Entity { edges { items { neighbor { ...A } } } }"
DEFINITIONS = "{ __typename } " + " ".join(f"fragment F{n} on Entity {{ id }}" for n in range(100))
SCHEMAS = "{ " + " ".join(f"a{n}: __schema {{ types {{ name }} }}" for n in range(3)) + " }"


def planner() -> Planner:
    return Planner(schema=load_schema())


BARE_EDGES = "{ entities(first: 1000) { items { edges(first: 1000) { items { direction } } } } }"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (DEEP, "bad_document"),
        (ALIASES, "bad_document"),
        (TOKENS, "bad_document"),
        (DIRECTIVES, "bad_document"),
        (CIRCULAR, "bad_document"),
        (BOMB, "document_too_large"),
        (MANY_ALIASES, "document_too_large"),
        (MANY_DIRECTIVES, "document_too_large"),
        (SAME_FIELDS, "document_too_large"),
        (FRAGMENT_PAIRS, "document_too_large"),
        (CIRCLE_OF_FIELDS, "document_too_large"),
        (DEFINITIONS, "document_too_large"),
        (SCHEMAS, "query_too_expensive"),
        (FAN_OUT.replace("first: 10", "first: 100"), "query_too_expensive"),
        (BARE_EDGES, "query_too_expensive"),
    ],
    ids=[
        "deep",
        "aliases",
        "tokens",
        "directives",
        "circular",
        "bomb",
        "101 aliases",
        "51 directives",
        "same fields",
        "fragments",
        "circle of fields",
        "definitions",
        "schemas",
        "fan-out",
        "bare",
    ],
)
def test_a_shape_of_attack_is_refused(text: str, code: str) -> None:
    plan = planner()
    with pytest.raises(QueryRefused) as refused:
        plan.prepare(plan.document(text, None), {})
    assert refused.value.code == code
    assert all(error.message for error in refused.value.errors)


def test_a_refusal_says_the_fact_and_the_limit() -> None:
    with pytest.raises(QueryRefused) as refused:
        planner().document(MANY_ALIASES, None)
    (error,) = refused.value.errors
    assert "101 aliases; the limit is 100" in error.message
    assert error.extensions == {"code": "document_too_large", "what": "aliases", "found": 101, "limit": 100}


def test_what_client_libraries_ask_is_within_the_limits() -> None:
    from graphql import get_introspection_query

    plan = planner()
    text = get_introspection_query(descriptions=True, input_value_deprecation=True, specified_by_url=True)
    assert plan.prepare(plan.document(text, "IntrospectionQuery"), {}).plan is None


def test_what_is_refused_is_not_kept() -> None:
    plan = planner()
    for _ in range(3):
        with pytest.raises(QueryRefused):
            plan.document("{ nope }", None)
    assert plan.document("{ stats { entities } }", None) is plan.document("{ stats { entities } }", None)


def test_introspection_can_be_switched_off() -> None:
    plan = Planner(schema=load_schema(), introspection=False)
    with pytest.raises(QueryRefused) as refused:
        plan.document("{ __schema { queryType { name } } }", None)
    assert refused.value.code == "introspection_off"
    assert plan.document("{ __typename }", None)


def test_a_limit_can_be_set() -> None:
    plan = Planner(schema=load_schema(), limits=QueryLimits(depth_max=2))
    assert plan.document("{ entity(id: 1) { id } }", None)
    with pytest.raises(QueryRefused):
        plan.document("{ entity(id: 1) { edges { next } } }", None)


def test_a_kept_estimate_is_that_of_the_sizes_that_are_asked_for() -> None:
    one = planner()
    text = "query($n: Int!) { entities(first: $n) { items { id edges(first: 3) { items { direction } } } } }"
    document = one.document(text, None)
    for size in (5, 50, 5):
        prepared = one.prepare(document, {"n": size})
        assert prepared.estimate == estimate(prepared.selection, prepared.arguments)
        assert prepared.arguments[0]["first"] == size


@given(st.integers(0, 2**32))
def test_tokens_are_never_counted_too_high_and_nearly_never_too_low(seed: int) -> None:
    text, _ = Maker(random=Random(seed)).document()
    text = f'# a comment "of" {{ words }}\n{text}, # another\n\n# the last'
    text = text.replace("{", '{ # "\n', 1)
    tokens = _tokens(text)
    assert not tokens_at_least(text, tokens + 1)
    assert tokens_at_least(text, tokens - 1)


STRINGS = (
    '{ a(b: """block "quoted" \\""" # no comment\n{ } """, c: "x # \\" {", d: -1.5e+3, e: [1, 2], f: $g) ...F }',
    '{ a(b: "", c: """""", d: "\\\\") }',
    "query($a: [ID!]! = 1 @x) { ... on Y @include(if: true) { z } }",
)


@pytest.mark.parametrize("text", STRINGS)
def test_strings_and_numbers_are_one_token_each(text: str) -> None:
    assert not tokens_at_least(text, _tokens(text) + 1)
    assert tokens_at_least(text, _tokens(text) - 1)


def _tokens(text: str) -> int:
    lexer, count = Lexer(Source(text)), 0
    while lexer.advance().kind is not TokenKind.EOF:
        count += 1
    return count


def test_a_refused_document_is_refused_again_with_the_same_words() -> None:
    plan = planner()
    asked = [(BOMB, None), (SAME_FIELDS, None), ("{ nothing }", None), ("{ a: __typename } x", None)]
    for text, name in [*asked, ("{ __typename }", "No")]:
        told = []
        assert not plan.refuses(text, name)
        for _ in range(3):
            with pytest.raises(QueryRefused) as refused:
                plan.document(text, name)
            told.append([(e.message, e.locations, e.path, e.extensions) for e in refused.value.errors])
            assert plan.refuses(text, name)
        assert told[0] == told[1] == told[2]
