"""Requests that differ from an earlier one in texts alone: nothing is coerced, shaped or estimated again.

Variables of type ``ID`` and ``String`` that hold a text are taken as they are given, which is what graphql-core does
with them. Everything else that a request's variables say (which are given, which are null, numbers, conditions,
enumerated values) makes its *variable shape*; requests of one document and shape have the same plan, the same
estimate and the same arguments but for the texts in them. A request with any other kind of value has no shape and
takes the long way, and so does the first one of each shape, so that errors are always those of the long way.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLSchema,
    OperationDefinitionNode,
    get_nullable_type,
    type_from_ast,
)
from graphql.pyutils import Undefined

from intelgraph.graph.query.arguments import ArgumentRefused
from intelgraph.graph.query.cost import Estimate
from intelgraph.graph.query.plan import Plan
from intelgraph.graph.query.prepared import Prepared
from intelgraph.graph.query.selection import Args

_TEXTS = frozenset({"ID", "String"})
_PLAIN = frozenset({"Int", "Float", "Boolean"})
_SHAPES_MAX = 50
Path = tuple[str | int, ...]
Get = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class PreparedPlan:
    """What requests of one variable shape share: their plan, their estimate, and how to take its values from them."""

    plan: Plan
    estimate: Estimate
    values: tuple[Get, ...]


class VariableShapes:
    """The variable shapes of one document that were seen."""

    __slots__ = ("_names", "_plain", "_ready", "_seen", "_texts")

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> None:
        types: dict[str, Any] = {
            definition.variable.name.value: type_from_ast(schema, definition.type)
            for definition in operation.variable_definitions or ()
        }
        scalars = {name: get_nullable_type(type_) for name, type_ in types.items() if type_ is not None}
        self._names = tuple(types)
        self._texts = frozenset(name for name, type_ in scalars.items() if getattr(type_, "name", "") in _TEXTS)
        self._plain = frozenset(
            name
            for name, type_ in scalars.items()
            if isinstance(type_, GraphQLEnumType) or getattr(type_, "name", "") in _PLAIN
        )
        self._ready: dict[Hashable, PreparedPlan] = {}
        self._seen: set[Hashable] = set()

    def shape_of(self, given: Mapping[str, Any]) -> Hashable | None:
        """Return what a request's variables say beside their texts; nothing if they say too much."""
        shape: list[Hashable] = []
        for name in self._names:
            value = given.get(name, Undefined)
            kind = type(value)
            if kind is str and name in self._texts:
                shape.append(True)
            elif value is None or value is Undefined or (kind in (bool, int, str) and name in self._plain):
                shape.append((kind, value))
            elif kind is float and name in self._plain:
                shape.append((kind, repr(value)))  # 0.0 and -0.0 are equal and not the same
            else:
                return None
        return tuple(shape)

    def find(self, shape: Hashable) -> PreparedPlan | None:
        """Return what is ready for a shape."""
        return self._ready.get(shape)

    def wanted(self, shape: Hashable) -> bool:
        """Whether to make it ready: when it is seen again, since a shape of numbers may never be."""
        if shape in self._seen:
            return True
        if len(self._seen) >= _SHAPES_MAX:
            self._seen.clear()
        self._seen.add(shape)
        return False

    def keep(self, shape: Hashable, ready: PreparedPlan) -> None:
        """Keep it; a document with very many begins anew."""
        if len(self._ready) >= _SHAPES_MAX:
            self._ready.clear()
        self._ready[shape] = ready

    def marks(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Make a mark for each text of a request, by the variable's name."""
        return {
            name: secrets.token_hex(16) for name, value in given.items() if name in self._texts and type(value) is str
        }


def make_ready(prepared: Prepared, arguments: list[Args], marks: Mapping[str, str]) -> PreparedPlan | None:
    """Find where the marks have got to: ``arguments`` are coerced from variables that hold them.

    Values of the plan stay as they are where no text is. Nothing if a mark is lost, or has got to where texts are
    looked into before they are taken.
    """
    assert prepared.plan is not None
    names = {mark: name for name, mark in marks.items()}
    places: list[list[tuple[Path, str]]] = []
    for selected, args in zip(prepared.selection.with_arguments, arguments, strict=True):
        assert selected.definition is not None
        types = selected.definition.args
        found = [place for name, value in args.items() for place in _texts(value, types[name].type, (name,))]
        if any(path is None and any(mark in text for mark in names) for path, text in found):
            return None
        places.append([(path, names[text]) for path, text in found if path is not None and text in names])
    if {name for some in places for _, name in some} != set(marks):
        return None
    getters = tuple(
        _taker(arguments[value.field], places[value.field], value.take) if places[value.field] else _constant(taken)
        for value, taken in zip(prepared.plan.values, prepared.values, strict=True)
    )
    return PreparedPlan(prepared.plan, prepared.estimate, getters)


def _constant(value: Any) -> Get:
    return lambda _given: value


def _taker(args: Args, places: list[tuple[Path, str]], value: Callable[[Args], Any]) -> Get:
    if len(places) == 1 and len(places[0][0]) == 1:
        ((key,), name), others = places[0], args
        return lambda given: value({**others, key: given[name]})  # type: ignore[dict-item]
    return lambda given: value(_filled(args, places, given))


def _filled(args: Args, places: list[tuple[Path, str]], given: Mapping[str, Any]) -> Args:
    whole = args.copy()
    for path, name in places:
        at: Any = whole
        for key in path[:-1]:
            at[key] = at[key].copy()
            at = at[key]
        at[path[-1]] = given[name]
    return whole


def _texts(value: Any, type_: Any, path: Path) -> Iterator[tuple[Path | None, str]]:
    """Every text in an argument and where it is; without a place, what a scalar of ours was made of."""
    inner = get_nullable_type(type_)
    if isinstance(inner, GraphQLList) and isinstance(value, list):
        for at, part in enumerate(value):
            yield from _texts(part, inner.of_type, (*path, at))
    elif isinstance(inner, GraphQLInputObjectType) and isinstance(value, dict):
        for name, part in value.items():
            yield from _texts(part, inner.fields[name].type, (*path, name))
    elif getattr(inner, "name", "") in _TEXTS:
        if isinstance(value, str):
            yield path, value
    else:
        yield None, repr(value)


def take(ready: PreparedPlan, given: Mapping[str, Any]) -> list[Any] | None:
    """Return a request's values; nothing if one is refused: the long way says how."""
    try:
        return [value(given) for value in ready.values]
    except (ArgumentRefused, GraphQLError):
        return None
