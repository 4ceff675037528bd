"""From a selection to one SQL statement that returns the whole answer.

The statement names the tenant in every sub-select; it also sets the tenant for row-level security, in the same round
trip, so that a predicate that was forgotten finds nothing. Its two columns: what ``ig.readable`` says of the placement
here (as JSON), and the data as JSON text, null when the region may not answer.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

from intelgraph.graph.query.counts import stats
from intelgraph.graph.query.many import ForMany, for_many
from intelgraph.graph.query.objects import Field, Objects
from intelgraph.graph.query.pages import edges, entities, text
from intelgraph.graph.query.past import Member, as_of, history
from intelgraph.graph.query.selection import Args, Selected, Selection
from intelgraph.graph.query.statement import (
    BOOKMARK,
    PLACEMENT,
    TENANT,
    ArgumentRefused,
    Binding,
    Builder,
    json_object,
)
from intelgraph.graph.query.traversal import neighborhood, shortest_paths
from intelgraph.graph.query.weight import ASKED

OUTSIDE = frozenset({"__schema", "__type"})
"""Fields that no statement answers."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A compiled selection. ``text`` takes the tenant, the placement, the bookmark, then ``values``."""

    text: str
    bindings: tuple[Binding, ...]
    of_the_past: bool = False
    """Whether it asks for places in the log, which may have to settle first."""
    for_many: ForMany | None = None
    """The same for many requests at once, where it can be."""
    weigh: Callable[[], str] | None = None
    """Makes the text of the same that counts the bytes of its answer."""

    def values(self, selection: Selection, arguments: list[Args]) -> list[Any]:
        """Take the parameters out of a request's arguments; raises ``GraphQLError`` with the field's path."""
        values = []
        for binding in self.bindings:
            try:
                values.append(binding.value(arguments[binding.field]))
            except ArgumentRefused as error:
                field = selection.with_arguments[binding.field]
                raise GraphQLError(
                    error.reason, nodes=field.node, path=list(field.path), extensions={"code": "bad_argument"}
                ) from None
        return values


def compile_selection(selection: Selection, arguments: list[Args]) -> Statement | None:
    """Compile the roots that are data; nothing if none is."""
    plain = _compiled(selection, arguments, Builder())
    if plain is None:
        return None

    @functools.cache
    def weigh() -> str:
        weighed = _compiled(selection, arguments, Builder(weighs=True))
        assert weighed is not None
        assert [(b.field, b.type) for b in weighed.bindings] == [(b.field, b.type) for b in plain.bindings]
        return weighed.text

    return dataclasses.replace(plain, weigh=weigh)


def _compiled(selection: Selection, arguments: list[Args], builder: Builder) -> Statement | None:

    def edges_of(objects: Objects, field: Selected, row: str) -> str:
        return edges(objects, field, row, arguments[field.number])

    extra: Mapping[str, Mapping[str, Field]] = {"Entity": {"edges": edges_of}}
    objects = Objects(builder, extra)
    members = []
    for root in selection.roots:
        if root.name == "__typename":
            members.append((root.key, "'\"Query\"'"))
        elif root.name not in OUTSIDE:
            members.append((root.key, _ROOTS[root.name](objects, root, arguments)))
    if not members:
        return None
    data = json_object(members)
    many = None if builder.tables else for_many(_IT, data, [binding.type for binding in builder.bindings])
    return Statement(
        text=_whole(builder, data),
        bindings=tuple(builder.bindings),
        of_the_past=bool(builder.points),
        for_many=many,
    )


READABLE = (
    "coalesce((select case when p.told ? 'token_ns' then p.told else p.told || ig.heard(p.told ->> 'home') end "
    f"from ig.placement p where p.id = {PLACEMENT} and {BOOKMARK} is null), ig.readable({PLACEMENT}, {BOOKMARK}))"
)
"""The SQL of what `ig.readable` says: from the placement's row where that is enough."""
_IT = f"select set_config('ig.tenant', {TENANT}, true), {READABLE} as r"


def _whole(builder: Builder, data: str) -> str:
    answer = "it"
    tables = [f"it as materialized ({_IT})", *builder.tables]
    if builder.points:
        refused = " || ".join(
            f"coalesce((select p.refused || jsonb '{{\"field\": \"{key}\"}}' from {at} p), '{{}}')"
            for at, key in builder.points
        )
        tables.append(f"answer as materialized (select it.r || {refused} as r from it)")
        answer = "answer"
    told = f"select {answer}.r, case when {answer}.r {ASKED} (select {data})::text end from "
    # A common table expression costs a little more than a sub-select.
    return f"with {', '.join(tables)} {told}{answer}" if builder.tables else f"{told}({_IT}) it"


Root = Callable[[Objects, Selected, list[Args]], str]


def _id(objects: Objects, field: Selected) -> str:
    return objects.builder.parameter(field.number, "text", lambda args: text(args, "id"))


def _node(objects: Objects, field: Selected, _arguments: list[Args]) -> str:
    return objects.node_by_id(field, _id(objects, field))


_ROOTS: Mapping[str, Root] = {
    "entity": lambda objects, field, _: objects.entity_by_id(field, _id(objects, field)),
    "relationship": lambda objects, field, _: objects.relationship_by_id(field, _id(objects, field)),
    "node": _node,
    "entities": lambda objects, field, arguments: entities(objects, field, arguments[field.number]),
    "neighborhood": lambda objects, field, arguments: neighborhood(objects, field, arguments[field.number]),
    "shortestPaths": lambda objects, field, arguments: shortest_paths(objects, field, arguments[field.number]),
    "stats": stats,
    "history": lambda objects, field, arguments: history(objects, field, arguments[field.number]),
    "asOf": lambda objects, field, arguments: as_of(objects, field, _members(arguments)),
}
_OF_THE_PAST = ("entity", "relationship", "node", "entities", "stats")


def _members(arguments: list[Args]) -> Mapping[str, Member]:
    def member(name: str) -> Member:
        return lambda objects, field: _ROOTS[name](objects, field, arguments)

    return {name: member(name) for name in _OF_THE_PAST}
