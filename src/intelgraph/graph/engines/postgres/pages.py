"""Lists that are paged, whatever their rows are.

One row more than was asked for is looked up: it says whether there is more. A page goes on behind the last row's place
in the order, so that it costs the same wherever it is and repeats nothing when rows come and go.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from intelgraph.graph.engines.postgres.builder import Builder
from intelgraph.graph.engines.postgres.json_text import (
    json_array,
    json_array_of,
    json_name,
    json_object,
    json_value,
)
from intelgraph.graph.engines.postgres.nodes import (
    EVERY,
    TRUE,
    All,
    ArrayOf,
    As,
    Call,
    Case,
    Cast,
    Column,
    Derived,
    Element,
    Expression,
    Infix,
    Nested,
    Number,
    Order,
    Query,
    Scalar,
    Select,
    Text,
    Union,
    call,
    columns_of,
    plus,
    when,
)
from intelgraph.graph.query.plan import Member, Shape

Part = Expression | Callable[[Member], Expression]
"""A member's JSON, or what makes it: it may be asked for more than once, with other members below it."""
COUNT = call("count", EVERY)
COMPLETE, MORE, TRUNCATED = json_name("COMPLETE"), json_name("MORE"), json_name("TRUNCATED")


def members(shape: Shape, parts: Mapping[str, Part]) -> Expression:
    """Return an object from its members."""
    made: list[tuple[str, Expression]] = []
    for member in shape.members:
        if member.name == "__typename":
            made.append((member.key, json_name(shape.type_name)))
        else:
            part = parts[member.name]
            made.append((member.key, part(member) if callable(part) else part))
    return json_object(made)


def completeness(more: Expression) -> Expression:
    """Return what a page says of its end."""
    return when(more, MORE, COMPLETE)


def cursor_at(list_name: str, place: Expression) -> Expression:
    """Return a cursor's JSON, ``null`` where there is no place."""
    return json_value(call("ig.page_cursor", Text(list_name), place))


def one_row(answer: Expression, source: Derived) -> Expression:
    """Return what is made of all of a page's rows; one row even when no member that is asked for aggregates."""
    return Scalar(Select((answer,), (source,), having=TRUE))


Read = Callable[[], set[str]]
"""Looks up which columns of the rows are read."""


@dataclass(frozen=True)
class Source:
    """Where the rows of a page come from, and when. Of a page's sources there is one whose condition holds."""

    query: Callable[[Expression, Read], Query]
    """Takes how many rows there shall be at most and what tells which columns of them are read; returns the rows in
    order."""
    condition: Expression | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """The rows of a page. ``item`` makes what is told of one, ``alias`` being its name."""

    builder: Builder
    alias: str
    item: Callable[[Shape], Expression]
    sources: Sequence[Source]
    order: tuple[Order, ...]
    place: Expression
    """A row's place in the order."""
    list_name: str
    """What the list's cursors say that they are of."""
    others: Mapping[str, Part] = field(default_factory=dict)
    """Members that do not depend on the rows."""

    def json(self, shape: Shape, limit: Expression) -> Expression:
        """Return the page's object. Whether there is more is looked up only if that is asked for."""
        if self.builder.weighs:
            return self._weighed(shape, limit)
        of_rows = Shape(shape.type_name, tuple(m for m in shape.members if m.name not in self.others))
        if of_rows.asks_only("items"):
            return members(shape, {**self.others, "items": lambda items: self._items(items.shape, limit)})
        place = Call("row_number", over=self.order)
        columns = [As(place, "n"), As(self.place, "place")]

        def items(member: Member) -> Expression:
            name = self.builder.alias("item")
            # What is looked up only to know that there is more is not made.
            columns.append(As(when(Infix(place, "<=", limit), self.item(member.shape)), name))
            return json_array(Column("x", name), Order(Column("x", "n")))

        more = Infix(COUNT, ">", limit)
        is_last = Infix(Column("x", "n"), "=", limit)
        last = Call("max", (Column("x", "place"),), where=is_last)
        parts: dict[str, Part] = {
            **self.others,
            "items": items,
            "completeness": completeness(more),
            "next": cursor_at(self.list_name, when(more, last)),
        }
        return self._from(members(shape, parts), columns, limit)

    def _read(self, node: object) -> Read:
        return functools.cache(lambda: columns_of(node, self.alias))

    def _from(self, answer: Expression, columns: list[As], limit: Expression) -> Expression:
        read = self._read(tuple(columns))
        rows = [
            Nested(Select((EVERY,), (Derived(source.query(plus(limit, 1), read), "s"),), where=source.condition))
            for source in self.sources
        ]
        counted = Select(tuple(columns), (Derived(Union(tuple(rows)), self.alias),))
        return one_row(answer, Derived(counted, "x"))

    def _weighed(self, shape: Shape, limit: Expression) -> Expression:
        """Return a page that ends when it is full, and says so.

        Where nothing of the answer could say so, and where items are asked for twice, it is refused.
        """
        place = Call("row_number", over=self.order)
        columns = [As(place, "n"), As(self.place, "place")]
        lists: dict[str, str] = {}
        for member in shape.members:
            if member.name == "items":
                name, number = self.builder.alias("item"), Number(self.builder.page())
                fits = call("ig.room", number, Infix(place, "=", Number(1)))
                item = call("ig.put_on", number, self.item(member.shape))
                columns.append(As(when(All((Infix(place, "<=", limit), fits)), item), name))
                lists[member.key] = name
        shown = call("least", limit, *(call("count", Column("x", name)) for name in lists.values()))
        is_cut = Infix(shown, "<", call("least", limit, COUNT))
        says_so = len(lists) < 2 and any(member.name in ("completeness", "next") for member in shape.members)

        def items(member: Member) -> Expression:
            made = json_array(Column("x", lists[member.key]), Order(Column("x", "n")))
            return made if says_so else when(is_cut, call("ig.cut_unsaid"), made)

        places = Call("array_agg", (Column("x", "place"),), order_by=(Order(Column("x", "n")),))
        last = Element(places, Cast(shown, "int"))
        parts: dict[str, Part] = {
            **self.others,
            "items": items,
            "completeness": Case(((is_cut, TRUNCATED), (Infix(COUNT, ">", limit), MORE)), COMPLETE),
            "next": cursor_at(self.list_name, when(Infix(COUNT, ">", shown), last)),
        }
        return self._from(members(shape, parts), columns, limit)

    def _items(self, shape: Shape, limit: Expression) -> Expression:
        item = self.item(shape)
        read = self._read(item)
        lists = [
            (source.condition, ArrayOf(Select((item,), (Derived(source.query(limit, read), self.alias),))))
            for source in self.sources
        ]
        *others, (_, last) = lists
        whens = tuple((condition, list_) for condition, list_ in others if condition is not None)
        return json_array_of(Case(whens, last) if whens else last)
