"""Entities and relationships as JSON: which column or sub-select each of their properties is.

A property is one line of a table. What takes arguments or holds lists is in modules of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from intelgraph.graph.engines.postgres.builder import TENANT, Builder
from intelgraph.graph.engines.postgres.json_text import json_name, json_object, json_scalar, or_null
from intelgraph.graph.engines.postgres.nodes import (
    All,
    Cast,
    Column,
    Expression,
    Not,
    Scalar,
    Select,
    Source,
    Table,
    Text,
    call,
    equal,
)
from intelgraph.graph.query.plan import Edges, EntityById, Member, NodeById, RelationshipById, Shape

EdgesOf = Callable[["Objects", Edges, str], Expression]
"""Writes a page of the edges of the entity that is a row, by the row's alias."""
_Property = Callable[[Builder, str], Expression]
"""Takes the alias of an object's row; returns a JSON text, which is never null."""
_NONE = Text("{}")


def _column(name: str) -> _Property:
    return lambda _, row: json_scalar(Column(row, name))


def _always(name: str) -> _Property:
    return lambda _, row: call("json_scalar", Column(row, name))


def _time(name: str) -> _Property:
    return lambda _, row: json_scalar(call("ig.stamp", Column(row, name)))


def _large(value: Callable[[str], Expression]) -> _Property:
    """A property that may be nearly as large as its object."""

    def counted(builder: Builder, row: str) -> Expression:
        made = value(row)
        return builder.weighed(Cast(made, "text")) if builder.weighs else made

    return counted


_NODE: Mapping[str, _Property] = {
    "id": _always("id"),
    "type": _column("type"),
    "properties": _large(lambda row: call("coalesce", Column(row, "properties"), _NONE)),
    "confidence": _column("confidence"),
    "validFrom": _time("valid_from"),
    "validUntil": _time("valid_until"),
    "sources": _large(lambda row: call("to_json", call("coalesce", Column(row, "sources"), _NONE))),
    "created": _time("created"),
    "updated": _time("updated"),
    "revision": _always("revision"),
}
_PROPERTIES: Mapping[str, Mapping[str, _Property]] = {
    "Entity": {**_NODE, "name": _large(lambda row: json_scalar(Column(row, "name")))},
    "Relationship": {**_NODE, "sourceId": _column("source"), "targetId": _column("target")},
}


class Tables:
    """Where rows are read from: the tables themselves, which have the present."""

    key = "ctid"
    """The column by which a row that this statement has seen is found again."""

    def of(self, table: str, alias: str) -> Source:
        """Return the tenant's rows of ``entity`` or ``relationship``; their tenant is still compared."""
        return Table(f"ig.{table}", alias)

    def one(self, table: str, id_: Expression, alias: str) -> Source:
        """Return the same when only the row with one id is wanted; the id is still compared."""
        return Table(f"ig.{table}", alias)


class Objects:
    """Writes objects into one statement. ``edges`` writes those of an entity."""

    def __init__(self, builder: Builder, edges: EdgesOf, tables: Tables | None = None) -> None:
        self.builder = builder
        self.tables = tables or Tables()
        self._edges = edges

    def at(self, tables: Tables) -> Objects:
        """Return what writes into the same statement from other rows."""
        return Objects(self.builder, self._edges, tables)

    def json(self, shape: Shape, row: str) -> Expression:
        """Return the object that ``row`` is an alias of."""
        type_name = shape.type_name
        made = json_object([(member.key, self._member(type_name, member, row)) for member in shape.members])
        return self.builder.weighed_object(made)

    def _member(self, type_name: str, member: Member, row: str) -> Expression:
        if isinstance(member.of, Shape):
            return self.entity_with(member.of, Column(row, member.name))
        if isinstance(member.of, Edges):
            return self._edges(self, member.of, row)
        if member.name == "__typename":
            return json_name(type_name)
        return _PROPERTIES[type_name][member.name](self.builder, row)

    def entity_with(self, shape: Shape, id_: Expression) -> Expression:
        """Return the live entity with an id, or ``null``."""
        return or_null(self._by_id("entity", shape, id_))

    def by_id(self, question: EntityById | RelationshipById | NodeById) -> Expression:
        """Return the live object with the id that is asked for, or ``null``."""
        id_ = self.builder.value(question.id)
        match question:
            case EntityById():
                return self.entity_with(question.entity, id_)
            case RelationshipById():
                return or_null(self._by_id("relationship", question.relationship, id_))
            case NodeById():
                entity = self._by_id("entity", question.entity, id_)
                return or_null(entity, self._by_id("relationship", question.relationship, id_))

    def _by_id(self, table: str, shape: Shape, id_: Expression) -> Expression:
        row = self.builder.alias("o")
        made = self.json(shape, row)
        return Scalar(
            Select(
                (made,),
                (self.tables.one(table, id_, row),),
                where=All(
                    (
                        equal(Column(row, "tenant"), TENANT),
                        equal(Column(row, "id"), id_),
                        Not(Column(row, "deleted")),
                    )
                ),
            )
        )
