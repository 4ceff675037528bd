"""What is known of a document before it is executed: which variables decide about its fields."""

from __future__ import annotations

import pytest

from intelgraph.graph.query.document import QueryRefused, read_document
from intelgraph.graph.query.limits import QueryLimits
from intelgraph.graph.query.schema import load_schema

LIMITS = QueryLimits()


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{ entity(id: 1) { id } }", ()),
        ("query ($i: ID!) { entity(id: $i) { id } }", ()),
        ("query ($a: Boolean!) { entity(id: 1) @skip(if: $a) { id } }", ("a",)),
        ("query ($b: Boolean!, $a: Boolean!) { entity(id: 1) { id @include(if: $b) name @skip(if: $a) } }", ("a", "b")),
        ("query ($a: Boolean!) { node(id: 1) { ... on Entity @include(if: $a) { name } id } }", ("a",)),
        ("query ($a: Boolean!) { node(id: 1) { ... on Entity { name @include(if: $a) } id } }", ("a",)),
        ("query ($a: Boolean!) { entity(id: 1) { id ...F @include(if: $a) } } fragment F on Entity { name }", ("a",)),
        ("query ($a: Boolean!) { entity(id: 1) { ...F } } fragment F on Entity { id name @skip(if: $a) }", ("a",)),
        ("{ entity(id: 1) { id @include(if: true) } }", ()),
    ],
)
def test_the_variables_of_conditions_are_found_wherever_fields_may_be(text: str, variables: tuple[str, ...]) -> None:
    assert read_document(text, None, schema=load_schema(), limits=LIMITS).condition_variables == variables


@pytest.mark.parametrize(
    "text",
    [
        "{ __schema { types { name } } }",
        '{ entity(id: 1) { id } __type(name: "Entity") { name } }',
        "{ ...F } fragment F on Query { __schema { types { name } } }",
        "{ ... on Query { s: __schema { types { name } } } }",
    ],
)
def test_introspection_is_seen_wherever_fields_may_be(text: str) -> None:
    assert read_document(text, None, schema=load_schema(), limits=LIMITS).operation
    with pytest.raises(QueryRefused) as refused:
        read_document(text, None, schema=load_schema(), limits=LIMITS, introspection=False)
    assert refused.value.code == "introspection_off"
