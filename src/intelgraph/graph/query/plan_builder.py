"""From a selection and its arguments to a plan.

Only what decides the form of the question is read from the arguments: which are given, and enumerated values. The
others become values of the plan, in the order in which they are met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from intelgraph.graph.query import arguments as take
from intelgraph.graph.query.plan import (
    AsOf,
    Condition,
    Created,
    Edges,
    Entities,
    EntityById,
    History,
    Kind,
    Member,
    Neighborhood,
    NodeById,
    Order,
    Plan,
    Question,
    RelationshipById,
    Shape,
    ShortestPaths,
    Stats,
    Value,
)
from intelgraph.graph.query.selection import Args, Selected, Selection

OUTSIDE = frozenset({"__schema", "__type"})
"""Fields that no engine answers."""


def build_plan(selection: Selection, arguments: list[Args]) -> Plan | None:
    """Plan the roots that are data; nothing if none is."""
    roots = tuple(root for root in selection.roots if root.name not in OUTSIDE)
    if not roots:
        return None
    builder = _Builder(arguments)
    answer = Shape("Query", tuple(builder.member(root) for root in roots))
    return Plan(answer=answer, values=tuple(builder.values))


class _Builder:
    def __init__(self, arguments: list[Args]) -> None:
        self.values: list[Value] = []
        self._arguments = arguments

    def args(self, field: Selected) -> Args:
        return self._arguments[field.number]

    def value(self, field: Selected, kind: Kind, taken: Callable[[Args], Any]) -> Value:
        value = Value(len(self.values), kind, field.number, taken)
        self.values.append(value)
        return value

    def member(self, field: Selected) -> Member:
        ask = _QUESTIONS.get((field.parent, field.name))
        if ask is not None:
            return Member(field.key, field.name, ask(self, field))
        if not field.fields:
            return Member(field.key, field.name)
        return Member(field.key, field.name, self.below(field))

    def below(self, field: Selected) -> Shape:
        """Return the shape of a field that has one object type."""
        ((type_name, fields),) = field.fields.items()
        return Shape(type_name, tuple(self.member(each) for each in fields))

    def of_type(self, field: Selected, type_name: str) -> Shape:
        return Shape(type_name, tuple(self.member(each) for each in field.fields[type_name]))


def _id(builder: _Builder, field: Selected) -> Value:
    return builder.value(field, Kind.TEXT, lambda args: take.text(args, "id"))


def _entity(builder: _Builder, field: Selected) -> Question:
    return EntityById(_id(builder, field), builder.below(field))


def _relationship(builder: _Builder, field: Selected) -> Question:
    return RelationshipById(_id(builder, field), builder.below(field))


def _node(builder: _Builder, field: Selected) -> Question:
    return NodeById(_id(builder, field), builder.of_type(field, "Entity"), builder.of_type(field, "Relationship"))


def _types(builder: _Builder, field: Selected) -> Value | None:
    if builder.args(field).get("types") is None:
        return None
    return builder.value(field, Kind.TEXTS, lambda args: take.texts(args, "types"))


def _edges(builder: _Builder, field: Selected) -> Question:
    args = builder.args(field)
    first = builder.value(field, Kind.NUMBER, take.first)
    types, after = _types(builder, field), None
    if args.get("after") is not None:
        after = builder.value(field, Kind.TEXT, lambda args: take.place(args, take.EDGES))
    return Edges(args["direction"], first, types, after, builder.below(field))


_CONDITIONS: Mapping[str, tuple[Kind, Callable[[Mapping[str, Any]], Any]]] = {
    "ids": (Kind.TEXTS, lambda given: take.texts(dict(given), "ids")),
    "types": (Kind.TEXTS, lambda given: take.texts(dict(given), "types")),
    "text": (Kind.TEXT, take.searched_text),
    "properties": (Kind.OBJECT, take.properties),
    "confidenceMin": (Kind.NUMBER, lambda given: given["confidenceMin"]),
    "confidenceMax": (Kind.NUMBER, lambda given: given["confidenceMax"]),
    "updatedFrom": (Kind.TIME, lambda given: given["updatedFrom"]),
    "updatedBefore": (Kind.TIME, lambda given: given["updatedBefore"]),
    "validAt": (Kind.TIME, lambda given: given["validAt"]),
}


def _condition(builder: _Builder, field: Selected, name: str) -> Condition:
    kind, taken = _CONDITIONS[name]
    return Condition(name, builder.value(field, kind, lambda args: taken(args["filter"])))


def _entities(builder: _Builder, field: Selected) -> Question:
    args = builder.args(field)
    order = Order[args["orderBy"]]
    first = builder.value(field, Kind.NUMBER, take.first)
    given = args.get("filter") or {}
    filter_ = tuple(_condition(builder, field, name) for name in _CONDITIONS if given.get(name) is not None)
    after: tuple[Value, ...] = ()
    if args.get("after") is not None and order.by_time:
        after = (
            builder.value(field, Kind.TIME, lambda args: take.place_in_time(args)[0]),
            builder.value(field, Kind.TEXT, lambda args: take.place_in_time(args)[1]),
        )
    elif args.get("after") is not None:
        after = (builder.value(field, Kind.TEXT, lambda args: take.place(args, args["orderBy"])),)
    return Entities(order, first, filter_, after, builder.below(field))


def _neighborhood(builder: _Builder, field: Selected) -> Question:
    starts = builder.value(field, Kind.TEXTS, take.starts)
    hops = builder.value(field, Kind.NUMBER, lambda args: take.within(args, "hops", 0, take.HOPS_MAX))
    nodes = builder.value(field, Kind.NUMBER, lambda args: take.within(args, "nodes", 1, take.NODES_MAX))
    types = _types(builder, field)
    return Neighborhood(starts, hops, nodes, builder.args(field)["direction"], types, builder.below(field))


def _shortest_paths(builder: _Builder, field: Selected) -> Question:
    start = builder.value(field, Kind.TEXT, lambda args: take.text(args, "from"))
    end = builder.value(field, Kind.TEXT, lambda args: take.text(args, "to"))
    hops = builder.value(field, Kind.NUMBER, lambda args: take.within(args, "hops", 1, take.HOPS_MAX))
    first = builder.value(field, Kind.NUMBER, lambda args: take.within(args, "first", 1, take.PATHS_MAX))
    types = _types(builder, field)
    return ShortestPaths(start, end, hops, first, builder.args(field)["direction"], types, builder.below(field))


def _stats(builder: _Builder, field: Selected) -> Question:
    return Stats(builder.below(field))


def _created(builder: _Builder, field: Selected) -> Question:
    first = builder.value(field, Kind.NUMBER, take.first)
    return Created(builder.args(field)["unit"], first, builder.below(field))


def _history(builder: _Builder, field: Selected) -> Question:
    id_ = _id(builder, field)
    first, after = builder.value(field, Kind.NUMBER, take.first), None
    if builder.args(field).get("after") is not None:
        after = builder.value(
            field, Kind.TEXT, lambda args: take.checked_bookmark(take.place(args, take.HISTORY), "after")
        )
    return History(id_, first, after, builder.below(field))


def _as_of(builder: _Builder, field: Selected) -> Question:
    bookmark = builder.value(field, Kind.TEXT, take.past_bookmark)
    time = builder.value(field, Kind.TIME, take.past_time)
    lists = any(below.name in ("entities", "stats") or _has_edges(below) for below in field.only())
    return AsOf(bookmark, time, builder.below(field), lists)


def _has_edges(field: Selected) -> bool:
    return field.name == "edges" or any(_has_edges(below) for some in field.fields.values() for below in some)


_Ask = Callable[[_Builder, Selected], Question]
_AT_ANY_TIME: Mapping[str, _Ask] = {
    "entity": _entity,
    "relationship": _relationship,
    "node": _node,
    "entities": _entities,
    "stats": _stats,
}
_QUESTIONS: Mapping[tuple[str, str], _Ask] = {
    **{("Query", name): ask for name, ask in _AT_ANY_TIME.items()},
    **{("Past", name): ask for name, ask in _AT_ANY_TIME.items()},
    ("Query", "neighborhood"): _neighborhood,
    ("Query", "shortestPaths"): _shortest_paths,
    ("Query", "history"): _history,
    ("Query", "asOf"): _as_of,
    ("Entity", "edges"): _edges,
    ("Stats", "entitiesCreated"): _created,
}
