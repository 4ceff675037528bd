"""What an operation asks for, as frozen values that no engine has a part in.

A plan is the shape of the answer. Where the answer needs more than a column of an object, the shape holds a *question*:
an entity by its id, a page of entities, a neighborhood. What each request brings, its texts and numbers, is not in the
plan: a ``Value`` says where it comes from. So one plan, and what an engine makes of it, serves all requests that differ
in their values alone. Questions and shapes are trees, which the garbage collector need not look at.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from graphql import GraphQLError
from msgspec import Struct

from intelgraph.graph.query.arguments import ArgumentRefused
from intelgraph.graph.query.selection import Args, Selection


class Kind(Enum):
    """What type a value has."""

    TEXT = "text"
    TEXTS = "list of texts"
    NUMBER = "whole number of 32 bits"
    TIME = "point in time"
    OBJECT = "JSON object, as its text in UTF-8"


class Value(Struct, frozen=True, gc=False):
    """A value that each request brings. ``number`` is its place among those of the plan."""

    number: int
    kind: Kind
    field: int
    """The field with arguments that it comes from, by its number."""
    take: Callable[[Args], Any]
    """Takes it out of the field's arguments; raises ``ArgumentRefused``."""


class Shape(Struct, frozen=True, gc=False):
    """An object of the answer: its members in order."""

    type_name: str
    members: tuple[Member, ...]

    def asks_only(self, name: str) -> Member | None:
        """Return the one member beside ``__typename`` if it is the one of this name."""
        asked = [member for member in self.members if member.name != "__typename"]
        return asked[0] if [member.name for member in asked] == [name] else None


class EntityById(Struct, frozen=True, gc=False):
    """The live entity with an id, or null."""

    id: Value
    entity: Shape


class RelationshipById(Struct, frozen=True, gc=False):
    """The live relationship with an id, or null."""

    id: Value
    relationship: Shape


class NodeById(Struct, frozen=True, gc=False):
    """The live entity with an id, or else the relationship, or null."""

    id: Value
    entity: Shape
    relationship: Shape


class Edges(Struct, frozen=True, gc=False):
    """A page of an entity's relationships, by their ids."""

    direction: str
    """``OUT``, ``IN`` or ``ANY``."""
    first: Value
    types: Value | None
    after: Value | None
    page: Shape


class Condition(Struct, frozen=True, gc=False):
    """What an entity must be like; ``name`` is the filter's member."""

    name: str
    value: Value


class Order(Enum):
    """The order of a page of entities; the name is that of the schema and of the page's cursors."""

    ID_ASC = "by id"
    ID_DESC = "by id, backwards"
    UPDATED_ASC = "by the time of the last change, then by id"
    UPDATED_DESC = "by the time of the last change, then by id, backwards"

    @property
    def by_time(self) -> bool:
        """Whether entities are ordered by the time of their last change, and only then by id."""
        return self in (Order.UPDATED_ASC, Order.UPDATED_DESC)

    @property
    def descending(self) -> bool:
        """Whether the last comes first."""
        return self in (Order.ID_DESC, Order.UPDATED_DESC)


class Entities(Struct, frozen=True, gc=False):
    """A page of the tenant's entities."""

    order: Order
    first: Value
    filter: tuple[Condition, ...]
    after: tuple[Value, ...]
    """The place behind which the page goes on: an id, or a time and an id; empty: at the beginning."""
    page: Shape


class Neighborhood(Struct, frozen=True, gc=False):
    """What can be reached from some entities within some hops, bounded in nodes."""

    starts: Value
    hops: Value
    nodes: Value
    direction: str
    types: Value | None
    found: Shape


class ShortestPaths(Struct, frozen=True, gc=False):
    """The shortest paths between two entities."""

    start: Value
    end: Value
    hops: Value
    first: Value
    direction: str
    types: Value | None
    found: Shape


class Stats(Struct, frozen=True, gc=False):
    """How many entities and relationships there are, by type and by time."""

    counts: Shape


class Created(Struct, frozen=True, gc=False):
    """How many entities were created in each hour, day, …, the latest first."""

    unit: str
    first: Value
    counts: Shape


class History(Struct, frozen=True, gc=False):
    """A page of the versions of one object, the latest first."""

    id: Value
    first: Value
    after: Value | None
    page: Shape


class AsOf(Struct, frozen=True, gc=False):
    """The answers to other questions at an earlier place in the log: that of a bookmark or of a time."""

    bookmark: Value
    time: Value
    then: Shape
    lists: bool
    """Whether more is asked for than objects by their ids."""


Question = (
    EntityById
    | RelationshipById
    | NodeById
    | Edges
    | Entities
    | Neighborhood
    | ShortestPaths
    | Stats
    | Created
    | History
    | AsOf
)


class Member(Struct, frozen=True, gc=False):
    """A member of an object: a property (``name`` is the schema's), an object within, or the answer to a question."""

    key: str
    """Its name in the answer."""
    name: str
    of: Shape | Question | None = None

    @property
    def shape(self) -> Shape:
        """The object within."""
        assert isinstance(self.of, Shape)
        return self.of


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A planned operation: what is asked for, and which values each request brings for it."""

    answer: Shape
    values: tuple[Value, ...]
    made: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    """What engines have made of it, by the engine: it goes when the plan does."""

    def values_of(self, selection: Selection, arguments: list[Args]) -> list[Any]:
        """Take the values out of a request's arguments; raises ``GraphQLError`` with the field's path."""
        found = []
        for value in self.values:
            try:
                found.append(value.take(arguments[value.field]))
            except ArgumentRefused as error:
                refused = selection.with_arguments[value.field]
                raise GraphQLError(
                    error.reason, nodes=refused.node, path=list(refused.path), extensions={"code": "bad_argument"}
                ) from None
        return found

    def questions(self) -> Iterator[Question]:
        """Yield every question that is asked, those within others too."""
        yield from _questions(self.answer)


def shapes_of(question: Question) -> tuple[Shape, ...]:
    """Return the shapes of what a question's answer holds."""
    match question:
        case EntityById(entity=shape) | RelationshipById(relationship=shape):
            return (shape,)
        case NodeById():
            return (question.entity, question.relationship)
        case Edges(page=shape) | Entities(page=shape) | History(page=shape):
            return (shape,)
        case Neighborhood(found=shape) | ShortestPaths(found=shape):
            return (shape,)
        case Stats(counts=shape) | Created(counts=shape):
            return (shape,)
        case AsOf():
            return (question.then,)


def _questions(shape: Shape) -> Iterator[Question]:
    for member in shape.members:
        if isinstance(member.of, Shape):
            yield from _questions(member.of)
        elif member.of is not None:
            yield member.of
            for within in shapes_of(member.of):
                yield from _questions(within)
