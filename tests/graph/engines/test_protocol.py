"""What an engine must provide, held against PostgreSQL's and against a second one that answers from memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import pytest

from intelgraph.graph.engines.postgres.engine import PostgresEngine
from intelgraph.graph.engines.protocol import Engine, can_answer
from intelgraph.graph.query.plan import EntityById, Plan, Question
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.prepared import Prepared
from intelgraph.graph.query.schema import load_schema
from tests.graph.every_field import queries

PLANNER = Planner(schema=load_schema())
ENTITIES: Mapping[str, Mapping[str, Any]] = {"e1": {"id": "e1", "name": "One"}}


@dataclass
class InMemory:
    """An engine that knows entities by their ids alone. Its statement is a function of the values."""

    answers: frozenset[type[Question]] = frozenset({EntityById})

    def statement(self, plan: Plan) -> Any:
        def answer(values: list[Any]) -> str:
            told = {}
            for member in plan.answer.members:
                asked = member.of
                assert isinstance(asked, EntityById)
                found = ENTITIES.get(values[asked.id.number])
                told[member.key] = found and {each.key: found[each.name] for each in asked.entity.members}
            return json.dumps(told)

        return answer


def prepared(text: str, variables: dict[str, Any] | None = None) -> Prepared:
    return PLANNER.prepare(PLANNER.document(text, None), variables or {})


def plan_of(text: str) -> Plan:
    plan = prepared(text).plan
    assert plan is not None
    return plan


def test_postgresql_answers_every_kind_of_question_and_every_field() -> None:
    engine: Engine[object] = PostgresEngine()
    assert engine.answers == set(get_args(Question))
    asked: set[type[Question]] = set()
    for field, text in queries():
        plan = prepared(text).plan
        if plan is not None:
            assert can_answer(engine, plan), field
            engine.statement(plan)
            asked |= {type(question) for question in plan.questions()}
    assert asked == engine.answers


@pytest.mark.parametrize(
    ("text", "is_for_it"),
    [
        ("{ entity(id: 1) { id } b: entity(id: 2) { name } }", True),
        ("{ entity(id: 1) { edges { next } } }", False),
        ("{ entity(id: 1) { id } stats { entities } }", False),
        ('{ asOf(time: "2024-01-01T00:00:00Z") { entity(id: 1) { id } } }', False),
    ],
)
def test_an_engine_is_asked_only_what_it_answers(text: str, is_for_it: bool) -> None:
    assert can_answer(InMemory(), plan_of(text)) is is_for_it


def test_a_second_engine_answers_from_the_plan_and_its_values_alone() -> None:
    text = "query ($a: ID!, $b: ID!) { one: entity(id: $a) { name again: name } none: entity(id: $b) { id } }"
    asked = prepared(text, {"a": "e1", "b": "e2"})
    assert asked.plan is not None
    told = InMemory().statement(asked.plan)(asked.values)
    assert json.loads(told) == {"one": {"name": "One", "again": "One"}, "none": None}


def test_a_plan_names_no_engine_and_its_statement_is_made_once() -> None:
    plan = plan_of("{ entity(id: 1) { id } }")
    assert plan.made == {}
    statement = PostgresEngine().statement(plan)
    assert PostgresEngine().statement(plan) is statement
