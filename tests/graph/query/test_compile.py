"""What is compiled: one statement whose text holds nothing of a request but the names of the answer's members."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.graph.query.document import QueryRefused
from intelgraph.graph.query.planning import Planner, Prepared
from intelgraph.graph.query.schema import load_schema
from intelgraph.graph.query.statement import json_object
from tests.graph.cursors import cursor

PLANNER = Planner(schema=load_schema())


def prepared(text: str, variables: dict[str, Any] | None = None) -> Prepared:
    return PLANNER.prepare(PLANNER.document(text, None), variables or {})


def sql(text: str, variables: dict[str, Any] | None = None) -> str:
    statement = prepared(text, variables).statement
    assert statement is not None
    return statement.text


@given(st.text(min_size=1).filter(lambda t: "\x00" not in t))
def test_values_are_parameters_and_never_text(value: str) -> None:
    text = "query ($id: ID!, $w: String!) { entity(id: $id) { id } entities(filter: {types: [$w]}) { items { id } } }"
    ready = prepared(text, {"id": value, "w": value})
    assert ready.statement is not None
    assert ready.statement.text == sql(text, {"id": "x", "w": "y"})
    assert value in ready.values


def test_a_literal_is_a_parameter_too() -> None:
    ready = prepared('{ entity(id: "x\'; drop table ig.entity; --") { id } }')
    assert ready.statement is not None
    assert "drop" not in ready.statement.text
    assert ready.values == ["x'; drop table ig.entity; --"]


def test_the_same_shape_shares_a_statement_and_another_does_not() -> None:
    text = "query ($f: EntityFilter) { entities(filter: $f) { items { id } } }"
    one = prepared(text, {"f": {"types": ["a"], "confidenceMin": 1}}).statement
    same = prepared(text, {"f": {"confidenceMin": 2, "types": []}}).statement
    assert one is same
    other = prepared(text, {"f": {"types": ["a"]}}).statement
    assert other is not None
    assert one is not other
    assert "e.confidence" not in other.text
    # What is null is as if it were not there.
    assert prepared(text, {"f": {"types": ["a"], "confidenceMin": None}}).statement.text == other.text  # type: ignore[union-attr]


def test_conditions_decide_which_fields_there_are() -> None:
    text = "query ($w: Boolean!) { entity(id: 1) { id name @include(if: $w) type @skip(if: $w) } }"
    assert '"name":' in sql(text, {"w": True})
    assert '"name":' not in sql(text, {"w": False})
    assert '"type":' in sql(text, {"w": False})


def test_every_table_is_asked_for_one_tenant_only() -> None:
    text = sql(
        "{ entity(id: 1) { edges { items { neighbor { id } relationship { source { id } } } } } "
        'entities(filter: {text: "x"}) { items { id } total { count } } stats { entities relationshipTypes { type } } '
        "neighborhood(of: 1) { items { entity { id } } relationships { id } } "
        "shortestPaths(from: 1, to: 2) { items { entities { id } relationships { id } } } relationship(id: 3) { id } }"
    )
    tables = re.findall(r"(?:from|join) ig\.(?:entity|relationship) (\w+)", text)
    assert len(tables) > 10
    for alias in set(tables):
        assert text.count(f"{alias}.tenant = $1::text") >= tables.count(alias), alias
    for call in re.findall(r"ig\.(?:reach|among|paths)\(([^,]*),", text):
        assert call == "$1::text"


def test_an_answer_may_have_more_members_than_a_function_takes_arguments() -> None:
    text = json_object([(f"m{n}", str(n)) for n in range(120)])
    assert text.count("concat(") == 4


def test_a_member_whose_name_is_none_is_a_bug_that_stops() -> None:
    with pytest.raises(ValueError, match="no name"):
        json_object([("a' , secret", "1")])


GOOD = cursor("ID_ASC", "e1")
WRONG_CURSORS = (
    'entities(after: "garbage!!") { next }',
    'entities(after: "e1") { next }',
    f'entities(after: "{GOOD[:-1]}") {{ next }}',
    f'entities(after: "{GOOD}x") {{ next }}',
    f'entities(after: "{GOOD}", orderBy: ID_DESC) {{ next }}',
    f'entities(after: "{GOOD}", orderBy: UPDATED_ASC) {{ next }}',
    'entities(after: "nope", orderBy: UPDATED_ASC) { next }',
    f'entities(after: "{cursor("UPDATED_ASC", "no place")}", orderBy: UPDATED_ASC) {{ next }}',
    'entity(id: 1) { edges(after: "zz") { next } }',
    f'entity(id: 1) {{ edges(after: "{GOOD}") {{ next }} }}',
    'history(id: 1, after: "us-east/1/1/1") { next }',
    'asOf(bookmark: "us-east/1/1/1") { entities(after: "garbage!!") { next } }',
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{ entities(first: 1001) { next } }", "first is refused: it must be from 0 to 1000, not 1001"),
        ("{ entities(first: -1) { next } }", "first is refused: it must be from 0 to 1000, not -1"),
        ("{ neighborhood(of: []) { completeness } }", "of is refused: it must name at least one entity"),
        (
            "{ shortestPaths(from: 1, to: 2, hops: 7) { completeness } }",
            "hops is refused: it must be from 1 to 6, not 7",
        ),
        ('{ entities(filter: {text: "  "}) { next } }', "text is refused"),
        *((f"{{ {text} }}", "after is refused: it is not what such a list") for text in WRONG_CURSORS),
        ('{ entity(id: "\\u0000") { id } }', "id is refused: it contains the character NUL"),
    ],
)
def test_an_argument_out_of_its_bounds_is_refused_with_its_path(text: str, reason: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        prepared(text)
    (error,) = refused.value.errors
    assert reason in error.message
    assert error.path
    assert refused.value.code == "bad_argument"
