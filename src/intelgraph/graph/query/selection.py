"""Which fields an operation asks for, fragments and conditions resolved: a tree in the order of the answer.

The arguments of a field are values, coerced by graphql-core; literals once, variables for each request. Two requests
of one document whose arguments have the same ``shape`` can share a plan: what differs are its values.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_composite_type,
)
from graphql.execution.collect_fields import FieldDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values
from graphql.language import FieldNode, ListValueNode, ObjectValueNode, ValueNode, VariableNode

from intelgraph.graph.query.document import Document

Args = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Selected:
    """One field of the answer. ``fields`` has the sub-selection for each object type that may be there."""

    key: str
    """Its name in the answer."""
    parent: str
    name: str
    path: tuple[str, ...]
    definition: GraphQLField | None
    """None: ``__typename``, ``__schema`` or ``__type``."""
    node: FieldNode
    number: int
    """Its place among the fields with arguments, or -1."""
    fields: dict[str, tuple[Selected, ...]] = field(default_factory=dict)

    def only(self) -> tuple[Selected, ...]:
        """Return the sub-selection of a field that has one object type."""
        (fields,) = self.fields.values()
        return fields

    @property
    def type_name(self) -> str:
        """The field's named type."""
        assert self.definition is not None
        return str(get_named_type(self.definition.type))


@dataclass(frozen=True, kw_only=True)
class Selection:
    """An operation's fields, and those among them that take arguments."""

    roots: tuple[Selected, ...]
    with_arguments: tuple[Selected, ...]
    constant: dict[int, Args]
    """The arguments that name no variable."""

    def arguments(self, variables: VariableValues) -> list[Args]:
        """Coerce every field's arguments, by the fields' numbers; raises ``GraphQLError``."""
        found = []
        for selected in self.with_arguments:
            args = self.constant.get(selected.number)
            if args is None:
                assert selected.definition is not None
                args = get_argument_values(selected.definition, selected.node, variables)
            found.append(args)
        return found

    def shapes(self, arguments: list[Args]) -> Hashable:
        """Return what of the arguments a plan of this selection depends on: constants never differ."""
        return tuple(
            tuple(
                (name, shape(definition.args[name].type, value))
                for name, value in args.items()
                if (definition := selected.definition) is not None
            )
            for selected, args in zip(self.with_arguments, arguments, strict=True)
            if selected.number not in self.constant
        )


def shape(type_: Any, value: Any) -> Hashable:
    """Return an argument's shape: whether it is null, which fields an input object has, and enumerated values."""
    if value is None:
        return None
    inner = get_nullable_type(type_)
    if isinstance(inner, GraphQLEnumType):
        return str(value)
    if isinstance(inner, GraphQLInputObjectType):
        return tuple(sorted((name, shape(inner.fields[name].type, part)) for name, part in value.items()))
    return True


def select(document: Document, schema: GraphQLSchema, variables: VariableValues) -> Selection:
    """Collect the fields of an operation."""
    root = schema.get_root_type(document.operation.operation)
    assert root is not None
    collector = _Collector(document, schema, variables)
    grouped = collect_fields(schema, document.fragments, variables, root, document.operation).grouped_field_set
    roots = collector.tree(root, grouped, ())
    return Selection(roots=roots, with_arguments=tuple(collector.with_arguments), constant=collector.constant)


class _Collector:
    def __init__(self, document: Document, schema: GraphQLSchema, variables: VariableValues) -> None:
        self._document, self._schema, self._variables = document, schema, variables
        self.with_arguments: list[Selected] = []
        self.constant: dict[int, Args] = {}

    def tree(
        self, parent: GraphQLObjectType, grouped: dict[str, list[FieldDetails]], path: tuple[str, ...]
    ) -> tuple[Selected, ...]:
        return tuple(self._one(parent, key, details, path) for key, details in grouped.items())

    def _one(self, parent: GraphQLObjectType, key: str, details: list[FieldDetails], path: tuple[str, ...]) -> Selected:
        node = details[0].node
        definition = parent.fields.get(node.name.value)
        here = (*path, key)
        number = -1
        if definition is not None and definition.args:
            number = len(self.with_arguments)
            # Its own place is taken before those of the fields below it.
            self.with_arguments.append(None)  # type: ignore[arg-type]
            if not _names_variables(node):
                self.constant[number] = get_argument_values(definition, node)
        fields: dict[str, tuple[Selected, ...]] = {}
        if definition is not None and is_composite_type(get_named_type(definition.type)):
            for possible in self._possible(get_named_type(definition.type)):
                below = collect_subfields(
                    self._schema, self._document.fragments, self._variables, self._document.operation, possible, details
                ).grouped_field_set
                fields[possible.name] = self.tree(possible, below, here)
        selected = Selected(
            key=key, parent=parent.name, name=node.name.value, path=here, definition=definition, node=node,
            number=number, fields=fields,
        )  # fmt: skip
        if number >= 0:
            self.with_arguments[number] = selected
        return selected

    def _possible(self, type_: Any) -> Iterator[GraphQLObjectType]:
        if is_abstract_type(type_):
            yield from self._schema.get_possible_types(type_)
        else:
            yield type_


def _names_variables(node: FieldNode) -> bool:
    waiting: list[ValueNode] = [argument.value for argument in node.arguments or ()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, VariableNode):
            return True
        if isinstance(value, ListValueNode):
            waiting.extend(value.values)
        elif isinstance(value, ObjectValueNode):
            waiting.extend(member.value for member in value.fields)
    return False
