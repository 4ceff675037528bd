"""A plan's statement: one, whose text holds nothing of a request but the names of the answer's members."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.graph.engines.postgres.engine import PostgresEngine
from intelgraph.graph.engines.postgres.json_text import json_object
from intelgraph.graph.engines.postgres.nodes import Number
from intelgraph.graph.engines.postgres.render import render
from intelgraph.graph.engines.postgres.statement import Statement
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.prepared import Prepared
from intelgraph.graph.query.schema import load_schema

PLANNER = Planner(schema=load_schema())


def prepared(text: str, variables: dict[str, Any] | None = None) -> Prepared:
    return PLANNER.prepare(PLANNER.document(text, None), variables or {})


def statement(text: str, variables: dict[str, Any] | None = None) -> Statement:
    plan = prepared(text, variables).plan
    assert plan is not None
    return PostgresEngine().statement(plan)


def sql(text: str, variables: dict[str, Any] | None = None) -> str:
    return statement(text, variables).text


@given(st.text(min_size=1).filter(lambda t: "\x00" not in t))
def test_values_are_parameters_and_never_text(value: str) -> None:
    text = "query ($id: ID!, $w: String!) { entity(id: $id) { id } entities(filter: {types: [$w]}) { items { id } } }"
    assert sql(text, {"id": value, "w": value}) == sql(text, {"id": "x", "w": "y"})
    assert value in prepared(text, {"id": value, "w": value}).values


def test_a_literal_is_a_parameter_too() -> None:
    text = '{ entity(id: "x\'; drop table ig.entity; --") { id } }'
    assert "drop" not in sql(text)
    assert prepared(text).values == ["x'; drop table ig.entity; --"]


def test_the_same_shape_shares_a_statement_and_another_does_not() -> None:
    text = "query ($f: EntityFilter) { entities(filter: $f) { items { id } } }"
    one = statement(text, {"f": {"types": ["a"], "confidenceMin": 1}})
    assert statement(text, {"f": {"confidenceMin": 2, "types": []}}) is one
    other = statement(text, {"f": {"types": ["a"]}})
    assert one is not other
    assert "e.confidence" not in other.text
    # What is null is as if it were not there.
    assert sql(text, {"f": {"types": ["a"], "confidenceMin": None}}) == other.text


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
    text = render(json_object([(f"m{n}", Number(n)) for n in range(120)]))
    assert text.count("concat(") == 4


def test_a_member_whose_name_is_none_is_a_bug_that_stops() -> None:
    with pytest.raises(ValueError, match="no name"):
        json_object([("a' , secret", Number(1))])


def test_a_statement_without_data_is_no_data_but_where_it_may_be_large() -> None:
    one = statement("{ entity(id: 1) { id } }")
    assert one.bounded(None) == one.text
    assert "case when it.r ->> 'status' = 'ok' then" in one.text
    assert "case when it.r ->> 'status' = 'ok' and (it.r -> 'largest')::int <= 512 then" in one.bounded(512)
    assert "ig.largest" in one.bounded(512, by_tenant=True)
    assert one.for_many is not None
    assert "'ok' and (it.r -> 'largest')::int <= 512 then array(select" in one.for_many.bounded(512)


def test_for_many_requests_each_value_is_a_column_and_a_list_travels_as_its_text() -> None:
    text = "query ($id: ID!, $t: [String!]) { entity(id: $id) { edges(types: $t, first: 3) { items { neighborId } } } }"
    asked = {"id": "a", "t": ["x", 'quo"te', "back\\slash", "{,}"]}
    many = statement(text, asked).for_many
    assert many is not None
    assert "$4::text[], $5::int[], $6::text[]) with ordinality as many(v4, v5, v6, n)" in many.text
    assert "o1.id = many.v4 " in many.text
    assert "r.type = any (many.v6::text[])" in many.text
    values = prepared(text, asked).values
    assert many.columns([values, values]) == [
        ["a", "a"],
        [3, 3],
        ['{"x","quo\\"te","back\\\\slash","{,}"}'] * 2,
    ]


@pytest.mark.parametrize(
    "text", ["{ stats { entities } }", '{ asOf(time: "2024-01-01T00:00:00Z") { entity(id: 1) { id } } }']
)
def test_what_has_no_values_or_looks_into_the_past_is_asked_alone(text: str) -> None:
    assert not statement(text).can_be_many
    assert statement(text).for_many is None


def test_only_the_form_that_is_wanted_counts_bytes() -> None:
    one = statement("{ entity(id: 1) { properties } }")
    assert "ig.weigh" not in one.text
    assert "ig.weigh(" in one.weighing
    assert "ig.weigh_object(" in one.weighing
