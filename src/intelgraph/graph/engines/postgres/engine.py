"""PostgreSQL as an engine: each question becomes a part of one statement."""

from __future__ import annotations

import functools
from typing import assert_never, get_args

from intelgraph.graph.engines.postgres.builder import Builder
from intelgraph.graph.engines.postgres.counts import stats
from intelgraph.graph.engines.postgres.edges import edges
from intelgraph.graph.engines.postgres.entities import entities
from intelgraph.graph.engines.postgres.json_text import json_name, json_object
from intelgraph.graph.engines.postgres.nodes import Expression
from intelgraph.graph.engines.postgres.objects import Objects
from intelgraph.graph.engines.postgres.past import as_of, history
from intelgraph.graph.engines.postgres.statement import Statement
from intelgraph.graph.engines.postgres.traversal import neighborhood, shortest_paths
from intelgraph.graph.query.plan import (
    AsOf,
    Created,
    Edges,
    Entities,
    EntityById,
    History,
    Member,
    Neighborhood,
    NodeById,
    Plan,
    Question,
    RelationshipById,
    Shape,
    ShortestPaths,
    Stats,
)


class PostgresEngine:
    """The engine of the changelog's own tables. It answers every question."""

    answers: frozenset[type[Question]] = frozenset(get_args(Question))

    def statement(self, plan: Plan) -> Statement:
        """Return the plan's statement."""
        statement: Statement | None = plan.made.get(PostgresEngine)
        if statement is None:
            statement = Statement(functools.partial(_write, plan.answer), plan.values)
            plan.made[PostgresEngine] = statement
        return statement


def _write(answer: Shape, builder: Builder) -> Expression:
    objects = Objects(builder, edges)
    return json_object([(member.key, _member(objects, member)) for member in answer.members])


def _member(objects: Objects, member: Member) -> Expression:
    """Return a member of the answer itself, or of the answer at an earlier place in the log."""
    match member.of:
        case EntityById() | RelationshipById() | NodeById() as question:
            return objects.by_id(question)
        case Entities() as question:
            return entities(objects, question)
        case Neighborhood() as question:
            return neighborhood(objects, question)
        case ShortestPaths() as question:
            return shortest_paths(objects, question)
        case Stats() as question:
            return stats(objects, question)
        case History() as question:
            return history(objects, question)
        case AsOf() as question:
            return as_of(objects, question, member.key, _member)
        case None:
            return json_name("Query")
        case Shape() | Edges() | Created():
            raise AssertionError(f"{member.name} is no member of the answer itself")
        case _:
            assert_never(member.of)
