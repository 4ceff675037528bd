"""What is planned: frozen values that say what is asked, one for all requests that differ in their values alone."""

from __future__ import annotations

from typing import Any

import pytest

from intelgraph.graph.query.plan import (
    AsOf,
    Edges,
    Entities,
    EntityById,
    Kind,
    Neighborhood,
    NodeById,
    Order,
    Plan,
    Shape,
)
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.prepared import Prepared
from intelgraph.graph.query.schema import load_schema

PLANNER = Planner(schema=load_schema())


def prepared(text: str, variables: dict[str, Any] | None = None) -> Prepared:
    return PLANNER.prepare(PLANNER.document(text, None), variables or {})


def plan_of(text: str, variables: dict[str, Any] | None = None) -> Plan:
    plan = prepared(text, variables).plan
    assert plan is not None
    return plan


def only(text: str) -> Any:
    (member,) = plan_of(text).answer.members
    return member.of


def test_values_are_in_the_order_in_which_they_are_met() -> None:
    text = (
        '{ entity(id: "a") { edges(types: ["t"], first: 3) { items { neighbor { id } } } } '
        'neighborhood(of: ["b"], hops: 2, nodes: 9) { completeness } }'
    )
    plan = plan_of(text)
    assert [value.number for value in plan.values] == list(range(6))
    assert [value.kind for value in plan.values] == [
        Kind.TEXT, Kind.NUMBER, Kind.TEXTS, Kind.TEXTS, Kind.NUMBER, Kind.NUMBER
    ]  # fmt: skip
    assert prepared(text).values == ["a", 3, ["t"], ["b"], 2, 9]


def test_an_entity_and_its_edges() -> None:
    asked = only("{ entity(id: 1) { n: name edges(direction: IN) { items { neighbor { id } } next } } }")
    assert isinstance(asked, EntityById)
    assert [(member.key, member.name) for member in asked.entity.members] == [("n", "name"), ("edges", "edges")]
    edges = asked.entity.members[1].of
    assert isinstance(edges, Edges)
    assert (edges.direction, edges.types, edges.after) == ("IN", None, None)
    assert edges.page.type_name == "EdgePage"
    assert edges.page.asks_only("items") is None


def test_a_node_has_a_shape_for_each_of_its_types() -> None:
    asked = only("{ node(id: 1) { id ... on Entity { name } ... on Relationship { sourceId } } }")
    assert isinstance(asked, NodeById)
    assert [member.name for member in asked.entity.members] == ["id", "name"]
    assert [member.name for member in asked.relationship.members] == ["id", "sourceId"]


def test_a_filter_is_its_conditions_and_what_is_null_is_none() -> None:
    asked = only('{ entities(filter: {text: "x", types: ["t"], confidenceMin: null}, orderBy: UPDATED_DESC) { next } }')
    assert isinstance(asked, Entities)
    assert [condition.name for condition in asked.filter] == ["types", "text"]
    assert asked.order is Order.UPDATED_DESC
    assert asked.order.by_time
    assert asked.order.descending


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        ("entity(id: 1) { id }", False),
        ("bookmark", False),
        ("entity(id: 1) { edges { next } }", True),
        ("relationship(id: 1) { source { edges { next } } }", True),
        ("stats { entities }", True),
        ("entities { next }", True),
    ],
)
def test_the_past_says_whether_more_is_asked_for_than_objects_by_their_ids(text: str, lists: bool) -> None:
    asked = only(f'{{ asOf(time: "2024-01-01T00:00:00Z") {{ {text} }} }}')
    assert isinstance(asked, AsOf)
    assert asked.lists is lists


def test_requests_that_differ_in_values_alone_share_a_plan() -> None:
    text = "query ($of: [ID!]!, $d: Direction!) { neighborhood(of: $of, direction: $d) { completeness } }"
    one = plan_of(text, {"of": ["a"], "d": "IN"})
    assert plan_of(text, {"of": ["b", "c"], "d": "IN"}) is one
    other = plan_of(text, {"of": ["a"], "d": "OUT"})
    (member,) = other.answer.members
    assert isinstance(member.of, Neighborhood)
    assert member.of.direction == "OUT"


def test_what_is_planned_cannot_be_changed() -> None:
    plan = plan_of("{ entity(id: 1) { id } }")
    (member,) = plan.answer.members
    for node, name in ((plan, "answer"), (plan.answer, "members"), (member, "of"), (member.of, "id")):
        with pytest.raises(AttributeError):
            setattr(node, name, Shape("Query", ()))


def test_what_the_schema_says_of_itself_is_not_planned() -> None:
    assert prepared("{ __schema { types { name } } }").plan is None
    assert [m.name for m in plan_of("{ __typename __schema { types { name } } }").answer.members] == ["__typename"]
