"""Entities and relationships as JSON: which column or sub-select each of their fields is.

A field is one line of a table. What takes arguments or holds lists is in ``pages`` and ``traversal``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from intelgraph.graph.query.selection import Selected
from intelgraph.graph.query.statement import TENANT, Builder, json_object, json_scalar

Field = Callable[["Objects", Selected, str], str]
"""Takes a field and the alias of its object's row; returns the SQL of a JSON text, which is never null."""


def _column(name: str) -> Field:
    return lambda _objects, _field, row: json_scalar(f"{row}.{name}")


def _always(name: str) -> Field:
    return lambda _objects, _field, row: f"json_scalar({row}.{name})"


def _time(name: str) -> Field:
    return lambda _objects, _field, row: json_scalar(f"ig.stamp({row}.{name})")


def _large(value: Callable[[str], str]) -> Field:
    """A field that may be nearly as large as its object."""

    def sql(objects: Objects, _field: Selected, row: str) -> str:
        made = value(row)
        return objects.builder.weighed(f"({made})::text") if objects.builder.weighs else made

    return sql


_NODE: Mapping[str, Field] = {
    "id": _always("id"),
    "type": _column("type"),
    "properties": _large(lambda row: f"coalesce({row}.properties, '{{}}')"),
    "confidence": _column("confidence"),
    "validFrom": _time("valid_from"),
    "validUntil": _time("valid_until"),
    "sources": _large(lambda row: f"to_json(coalesce({row}.sources, '{{}}'))"),
    "created": _time("created"),
    "updated": _time("updated"),
    "revision": _always("revision"),
}


def _end(column: str) -> Field:
    return lambda objects, field, row: objects.entity_by_id(field, f"{row}.{column}")


_FIELDS: dict[str, dict[str, Field]] = {
    "Entity": {**_NODE, "name": _large(lambda row: json_scalar(f"{row}.name"))},
    "Relationship": {
        **_NODE,
        "sourceId": _column("source"),
        "targetId": _column("target"),
        "source": _end("source"),
        "target": _end("target"),
    },
}


class Rows:
    """Where rows are read from: the tables themselves, which have the present."""

    key = "ctid"
    """The column by which a row that this statement has seen is found again."""

    def of(self, table: str) -> str:
        """Return what stands in a FROM clause for the tenant's rows of ``entity`` or ``relationship``."""
        return f"ig.{table}"

    def one(self, table: str, _id_sql: str) -> str:
        """Return what stands there when only the row with one id is wanted; the id is still compared."""
        return f"ig.{table}"


class Objects:
    """Writes objects into one statement. ``extra`` holds the fields that other modules know, by type and name."""

    def __init__(self, builder: Builder, extra: Mapping[str, Mapping[str, Field]], rows: Rows | None = None) -> None:
        self.builder = builder
        self.rows = rows or Rows()
        self._extra = extra
        self._fields = {name: {**fields, **extra.get(name, {})} for name, fields in _FIELDS.items()}

    def at(self, rows: Rows) -> Objects:
        """Return what writes into the same statement from other rows."""
        return Objects(self.builder, self._extra, rows)

    def json(self, type_name: str, fields: tuple[Selected, ...], row: str) -> str:
        """Return the SQL of the object that ``row`` is an alias of."""
        table = self._fields[type_name]
        made = json_object(
            [
                (field.key, f"'\"{type_name}\"'" if field.name == "__typename" else table[field.name](self, field, row))
                for field in fields
            ]
        )
        return self.builder.weighed_object(made)

    def entity_by_id(self, field: Selected, id_sql: str) -> str:
        """Return the SQL of the live entity with an id, or of ``null``."""
        return f"coalesce({self._by_id('entity', 'Entity', field, id_sql)}, 'null')"

    def relationship_by_id(self, field: Selected, id_sql: str) -> str:
        """Return the SQL of the live relationship with an id, or of ``null``."""
        return f"coalesce({self._by_id('relationship', 'Relationship', field, id_sql)}, 'null')"

    def node_by_id(self, field: Selected, id_sql: str) -> str:
        """Return the SQL of the live entity with an id, or else of the relationship, or of ``null``."""
        entity = self._by_id("entity", "Entity", field, id_sql)
        return f"coalesce({entity}, {self._by_id('relationship', 'Relationship', field, id_sql)}, 'null')"

    def _by_id(self, table: str, type_name: str, field: Selected, id_sql: str) -> str:
        row = self.builder.alias("o")
        return (
            f"(select {self.json(type_name, field.fields[type_name], row)} from {self.rows.one(table, id_sql)} {row} "
            f"where {row}.tenant = {TENANT} and {row}.id = {id_sql} and not {row}.deleted)"
        )
