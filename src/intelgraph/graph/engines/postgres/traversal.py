"""Searches over several relationships: the neighborhood of some entities, and the shortest paths between two.

The search itself is a function of the database (``ig.reach``, ``ig.paths``), bounded by the budget it is given; here
its result is turned into the objects that were asked for.
"""

from __future__ import annotations

from intelgraph.graph.engines.postgres.builder import TENANT
from intelgraph.graph.engines.postgres.json_text import json_list, json_name, json_object
from intelgraph.graph.engines.postgres.nodes import (
    NULL,
    All,
    Cast,
    Column,
    Expression,
    Infix,
    Join,
    Not,
    Order,
    Rows,
    Scalar,
    Select,
    Table,
    Text,
    call,
    equal,
    when,
)
from intelgraph.graph.engines.postgres.objects import Objects
from intelgraph.graph.engines.postgres.pages import COMPLETE, TRUNCATED, Part, members
from intelgraph.graph.query.plan import Member, Neighborhood, Shape, ShortestPaths


def _edge_filter(objects: Objects, question: Neighborhood | ShortestPaths) -> tuple[Expression, Expression]:
    """Return the direction and the types of the relationships to go along."""
    types = Cast(NULL, "text[]") if question.types is None else objects.builder.value(question.types)
    return Text(question.direction), types


def _completeness(found: str) -> Expression:
    return when(Column(found, "truncated"), TRUNCATED, COMPLETE)


def neighborhood(objects: Objects, question: Neighborhood) -> Expression:
    """Return what can be reached from some entities."""
    builder = objects.builder
    starts, hops, nodes = builder.value(question.starts), builder.value(question.hops), builder.value(question.nodes)
    direction, types = _edge_filter(objects, question)
    found = builder.alias("found")

    def relationships(member: Member) -> Expression:
        row = builder.alias("r")
        among = call("ig.among", TENANT, Column(found, "ids"), Column(found, "hops"), hops, direction, types)
        return json_list(objects.json(member.shape, row), [Order(Column(row, "id"))], Rows(among, row))

    parts: dict[str, Part] = {
        "items": lambda member: _reached(objects, member.shape, found),
        "relationships": relationships,
        "completeness": _completeness(found),
    }
    reach = call("ig.reach", TENANT, starts, hops, direction, types, nodes)
    return Scalar(Select((members(question.found, parts),), (Rows(reach, found),)))


def _reached(objects: Objects, shape: Shape, found: str) -> Expression:
    reached, row = objects.builder.alias("n"), objects.builder.alias("e")
    made: list[tuple[str, Expression]] = []
    for member in shape.members:
        value: Expression
        if member.name == "hops":
            value = Column(reached, "hops")
        elif member.name == "entity":
            value = objects.json(member.shape, row)
        else:
            value = json_name("Reached")
        made.append((member.key, value))
    nodes = Rows(call("unnest", Column(found, "ids"), Column(found, "hops")), reached, ("id", "hops"))
    order = [Order(Column(reached, "hops")), Order(Column(row, "id"))]
    return json_list(json_object(made), order, _live("entity", row, nodes))


def _live(table: str, row: str, ids: Rows) -> Join:
    """Return live rows by their ids, which a function tells."""
    on = All(
        (
            equal(Column(row, "tenant"), TENANT),
            equal(Column(row, "id"), Column(ids.alias, "id")),
            Not(Column(row, "deleted")),
        )
    )
    return Join(ids, Table(f"ig.{table}", row), on)


def shortest_paths(objects: Objects, question: ShortestPaths) -> Expression:
    """Return the shortest paths between two entities."""
    builder = objects.builder
    start, end = builder.value(question.start), builder.value(question.end)
    hops, first = builder.value(question.hops), builder.value(question.first)
    direction, types = _edge_filter(objects, question)
    found = builder.alias("found")
    parts: dict[str, Part] = {
        "items": lambda member: _paths(objects, member.shape, found),
        "completeness": _completeness(found),
    }
    paths = call("ig.paths", TENANT, start, end, hops, direction, types, first)
    return Scalar(Select((members(question.found, parts),), (Rows(paths, found),)))


_TABLES = {"entities": "entity", "relationships": "relationship"}


def _paths(objects: Objects, shape: Shape, found: str) -> Expression:
    path = objects.builder.alias("p")
    made: list[tuple[str, Expression]] = []
    for member in shape.members:
        value: Expression
        if member.name == "__typename":
            value = json_name("Path")
        else:
            row, step = objects.builder.alias("o"), objects.builder.alias("s")
            ids = call("ig.ids", Infix(Column(path, "path"), "->", Text(member.name)))
            steps = Rows(call("unnest", ids), step, ("id", "n"), ordinality=True)
            rows = _live(_TABLES[member.name], row, steps)
            value = json_list(objects.json(member.shape, row), [Order(Column(step, "n"))], rows)
        made.append((member.key, value))
    paths = Rows(call("jsonb_array_elements", Column(found, "paths")), path, ("path", "n"), ordinality=True)
    return json_list(json_object(made), [Order(Column(path, "n"))], paths)
