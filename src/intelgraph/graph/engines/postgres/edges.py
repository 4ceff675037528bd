"""The edges of an entity, a page at a time."""

from __future__ import annotations

from msgspec.structs import replace

from intelgraph.graph.engines.postgres.builder import TENANT
from intelgraph.graph.engines.postgres.json_text import json_name, json_object
from intelgraph.graph.engines.postgres.nodes import (
    All,
    AnyOf,
    As,
    Case,
    Column,
    Expression,
    Infix,
    Name,
    Not,
    Order,
    Query,
    Select,
    Text,
    Union,
    call,
    equal,
    when,
)
from intelgraph.graph.engines.postgres.objects import Objects
from intelgraph.graph.engines.postgres.pages import Page, Source
from intelgraph.graph.query.arguments import EDGES
from intelgraph.graph.query.plan import Edges, Shape

_ID = Order(Column("r", "id"))


def edges(objects: Objects, question: Edges, row: str) -> Expression:
    """Return a page of the edges of the entity that ``row`` is an alias of."""
    builder = objects.builder
    conditions: list[Expression] = [Not(Column("r", "deleted")), equal(Column("r", "tenant"), TENANT)]
    if question.types is not None:
        conditions.append(AnyOf(Column("r", "type"), builder.value(question.types)))
    if question.after is not None:
        conditions.append(Infix(Column("r", "id"), ">", builder.value(question.after)))
    alias = builder.alias("r")
    return Page(
        builder=builder,
        alias=alias,
        item=lambda shape: _edge(objects, shape, alias, question.direction),
        sources=[Source(lambda most, _: _rows(objects, question.direction, row, conditions, most))],
        order=(Order(Column(alias, "id")),),
        place=Column(alias, "id"),
        list_name=EDGES,
    ).json(question.page, builder.value(question.first))


def _rows(objects: Objects, direction: str, row: str, conditions: list[Expression], most: Expression) -> Query:
    table, id_ = objects.tables.of("relationship", "r"), Column(row, "id")
    starts_here, ends_here = equal(Column("r", "source"), id_), equal(Column("r", "target"), id_)
    out = Select(
        (Column("r", "*"), As(Text("OUT"), "way")), (table,), where=All((starts_here, *conditions)), order_by=(_ID,),
        limit=most,
    )  # fmt: skip
    # A relationship of an entity with itself is told once, as OUT: also when only IN is asked for.
    is_loop = equal(Column("r", "source"), Column("r", "target"))
    into = Select(
        (Column("r", "*"), As(when(is_loop, Text("OUT"), Text("IN")), "way")), (table,),
        where=All((ends_here, *conditions)), order_by=(_ID,), limit=most,
    )  # fmt: skip
    if direction == "OUT":
        return out
    if direction == "IN":
        return into
    no_loop = Infix(Column("r", "source"), "<>", Column("r", "target"))
    others = replace(into, where=All((ends_here, *conditions, no_loop)))
    return Union((out, others), order_by=(Order(Name("id")),), limit=most)


def _edge(objects: Objects, shape: Shape, row: str, direction: str) -> Expression:
    source, target, way = Column(row, "source"), Column(row, "target"), Column(row, "way")
    ends: dict[str, Expression] = {"OUT": target, "IN": source}
    neighbor = ends.get(direction) or Case(((Text("OUT"), target),), source, way)
    members: list[tuple[str, Expression]] = []
    for member in shape.members:
        made: Expression
        if member.name == "__typename":
            made = json_name("Edge")
        elif member.name == "direction":
            made = call("json_scalar", way)
        elif member.name == "neighborId":
            made = call("json_scalar", neighbor)
        elif member.name == "neighbor":
            made = objects.entity_with(member.shape, neighbor)
        else:
            made = objects.json(member.shape, row)
        members.append((member.key, made))
    return json_object(members)
