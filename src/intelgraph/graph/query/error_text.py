"""What graphql-core refuses, said as the client wrote it: arguments and variables by name and path, values as JSON.

graphql-core finds out whether something is wrong; these functions say what, when something is. They are no second
validation: what they do not find is told in graphql-core's words, without Python's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    VariableDefinitionNode,
    is_required_input_field,
    type_from_ast,
)
from graphql.language import ListValueNode, Node, ObjectValueNode, ValueNode, Visitor, visit
from graphql.pyutils import Undefined

from intelgraph.graph.query.schema import INSIDE
from intelgraph.model.content import Problem, shown, step

_NOT_NULL = re.compile(r"Expected value of non-null type '([^']*)' not to be None\.")
_PYTHON_LIMIT = re.compile(r"but encountered error 'Exceeds the limit.*", re.DOTALL)
_NAMES_MAX = 20
_BUILT_IN = {"Int": "a whole number of 32 bits", "Float": "a number", "String": "a text", "Boolean": "true or false"}


def plain(message: str) -> str:
    """Return a message of graphql-core without words of Python."""
    message = _NOT_NULL.sub(r"it must not be null: it is of the type \1", message)
    return _PYTHON_LIMIT.sub("but it has too many digits.", message)


def of_document(errors: Sequence[GraphQLError], document: DocumentNode) -> list[GraphQLError]:
    """Return a document's errors, those about a value with the name of the argument that holds it."""
    places = _Places()
    visit(document, places)
    told = []
    for error in errors:
        extensions = dict(error.extensions or {})
        inside = extensions.pop(INSIDE, "")
        found = next((places.found[at] for node in error.nodes or () if (at := _place(node)) in places.found), None)
        message, nodes = error.message, error.nodes
        if found is not None:
            argument, node = found
            nodes = nodes if any(each.loc for each in nodes or ()) else [node]
            extensions["argument"] = shown(argument + inside)
            message = f"{extensions['argument']} is refused: {plain(message)}"
        told.append(GraphQLError(message, nodes=nodes, path=error.path, extensions=extensions))
    return told


def _place(node: Node) -> tuple[str, int]:
    """Where a value begins. graphql-core copies objects and lists, and leaves out where they stand: their first name or
    value that says it stands for them."""
    kind, first = node.kind, node
    while isinstance(first, ListValueNode) and first.values:
        first = first.values[0]
    if isinstance(first, ObjectValueNode) and first.fields:
        first = first.fields[0].name
    if node.kind == "object_field":
        first = node.name  # type: ignore[attr-defined]
    return (kind, first.loc.start if first.loc is not None else -1)


class _Places(Visitor):
    """Values of a document with their names, as ``argument.member[index]``, by where they begin."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[str, int], tuple[str, Node]] = {}

    def enter_argument(self, node: Any, *_: object) -> None:
        self._name(node.value, node.name.value)

    def enter_variable_definition(self, node: Any, *_: object) -> None:
        if node.default_value is not None:
            self._name(node.default_value, f"${node.variable.name.value}")

    def _name(self, top: ValueNode, name: str) -> None:
        stack: list[tuple[Node, str]] = [(top, name)]
        while stack:
            node, at = stack.pop()
            self.found.setdefault(_place(node), (at, node))
            if isinstance(node, ListValueNode):
                stack.extend((value, at + step(n)) for n, value in enumerate(node.values))
            elif isinstance(node, ObjectValueNode):
                for field in node.fields:
                    below = at + step(field.name.value)
                    self.found.setdefault(_place(field), (below, field))
                    stack.append((field.value, below))


def of_variables(
    schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode], given: Mapping[str, Any], *, errors_max: int
) -> list[GraphQLError]:
    """Return what is wrong with a request's variables; nothing if it cannot be found here."""
    told: list[GraphQLError] = []
    for definition in definitions:
        name, type_ = definition.variable.name.value, type_from_ast(schema, definition.type)
        if type_ is None or (name not in given and definition.default_value is not None):
            continue
        for problem in _problems(type_, given.get(name, Undefined)):
            argument = shown(f"${name}{problem.path}")
            if len(told) == errors_max:
                return told
            told.append(
                GraphQLError(
                    f"{argument} is refused: {problem.what}", nodes=definition, extensions={"argument": argument}
                )
            )
    return told


def _problems(type_: Any, value: Any) -> Iterator[Problem]:
    if isinstance(type_, GraphQLNonNull):
        if value is None or value is Undefined:
            given = "be null" if value is None else "be left out"
            yield Problem("", f"it must not {given}: it is of the type {type_}")
            return
        type_ = type_.of_type
    if value is None or value is Undefined:
        return
    if isinstance(type_, GraphQLList):
        if isinstance(value, list):
            for index, part in enumerate(value):
                yield from (problem.inside(index) for problem in _problems(type_.of_type, part))
        else:
            yield from _problems(type_.of_type, value)
    elif isinstance(type_, GraphQLInputObjectType):
        yield from _of_object(type_, value)
    elif isinstance(type_, GraphQLEnumType):
        if not isinstance(value, str) or value not in type_.values:
            names = ", ".join(list(type_.values)[:_NAMES_MAX])
            yield Problem("", f"it must be one of {names}")
    elif isinstance(type_, GraphQLScalarType):
        yield from _of_scalar(type_, value)


def _of_object(type_: GraphQLInputObjectType, value: Any) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem("", f"it must be an object of the type {type_}, not {_kind(value)}")
        return
    for name in value:
        if name not in type_.fields:
            yield Problem(step(name), f"the type {type_} has no such member")
    for name, field in type_.fields.items():
        if name in value:
            yield from (problem.inside(name) for problem in _problems(field.type, value[name]))
        elif is_required_input_field(field):
            yield Problem("", f"it lacks the member {name}")


def _of_scalar(type_: GraphQLScalarType, value: Any) -> Iterator[Problem]:
    try:
        type_.coerce_input_value(value)
    except GraphQLError as error:
        if type_.name == "ID":
            yield Problem("", f"it must be a text, not {_kind(value)}")
        elif type_.name in _BUILT_IN:
            yield Problem("", f"it must be {_BUILT_IN[type_.name]}, not {_kind(value)}")
        else:
            yield Problem((error.extensions or {}).get(INSIDE, ""), error.message)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return "a whole number" if abs(value) < 2**31 else "one of more bits"
    for kind, name in ((float, "a number with a point or an exponent"), (str, "a text"), (list, "a list")):
        if isinstance(value, kind):
            return name
    return "an object" if isinstance(value, dict) else "null"
