"""What has to be done once for a document is kept: its validation, its selection and its statements.

A statement is kept by everything that it depends on: the document, the operation, the conditions of its fields and the
shape of its arguments; an estimate by the document and the sizes that are asked for. A request that has been seen costs
the coercion of its variables and look-ups.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graphql import GraphQLError, GraphQLSchema, OperationType
from graphql.execution.values import VariableValues, get_variable_values

from intelgraph.graph.query.compile import Statement, compile_selection
from intelgraph.graph.query.cost import Estimate, estimate, over_budget, sizes
from intelgraph.graph.query.document import Document, QueryRefused, read_document
from intelgraph.graph.query.limits import QueryLimits
from intelgraph.graph.query.selection import Args, Selection, select

_VARIABLE_ERRORS_MAX = 10
V = TypeVar("V")


class Kept:
    """A bounded table: what was used least lately goes first.

    Two threads may use it: each step is atomic, and what vanished between two steps is made again.
    """

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Return the value of a key, made if it is not there."""
        try:
            found: V = self._values[key]
            self._values.move_to_end(key)
        except KeyError:
            found = self._values[key] = make()
            if len(self._values) > self._size_max:
                with contextlib.suppress(KeyError):
                    self._values.popitem(last=False)
        return found


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request that may be executed. ``statement`` is none when no field of it is data."""

    document: Document
    given: Mapping[str, Any]
    variables: VariableValues
    selection: Selection
    arguments: list[Args]
    estimate: Estimate
    statement: Statement | None
    values: list[Any]


@dataclass(kw_only=True)
class Planner:
    """Prepares requests; one for each worker."""

    schema: GraphQLSchema
    limits: QueryLimits = field(default_factory=QueryLimits)
    introspection: bool = True
    _documents: Kept = field(default_factory=lambda: Kept(1_000))
    _selections: Kept = field(default_factory=lambda: Kept(1_000))
    _estimates: Kept = field(default_factory=lambda: Kept(1_000))
    _statements: Kept = field(default_factory=lambda: Kept(1_000))

    def knows(self, text: str, operation_name: str | None) -> bool:
        """Whether a document was read before and is kept: then it costs next to nothing."""
        return (text, operation_name) in self._documents

    def document(self, text: str, operation_name: str | None) -> Document:
        """Return the operation that is asked for; raises ``QueryRefused``."""
        return self._documents.get(
            (text, operation_name),
            lambda: read_document(
                text, operation_name, schema=self.schema, limits=self.limits, introspection=self.introspection
            ),
        )

    def prepare(self, document: Document, given: Mapping[str, Any]) -> Prepared:
        """Make a document with its variables ready; raises ``QueryRefused``."""
        definitions = document.operation.variable_definitions or ()
        coerced = get_variable_values(self.schema, definitions, dict(given), max_errors=_VARIABLE_ERRORS_MAX)
        if not isinstance(coerced, VariableValues):
            raise QueryRefused(coerced, "bad_variables")
        conditions = tuple(coerced.coerced.get(name) for name in document.condition_variables)
        name = document.operation.name
        key = (document.hash, name.value if name is not None else None, conditions)
        selection = self._selections.get(key, lambda: select(document, self.schema, coerced))
        try:
            arguments = selection.arguments(coerced)
        except GraphQLError as error:
            raise QueryRefused([error], "bad_argument") from None
        size = self._estimates.get((key, sizes(arguments)), lambda: estimate(selection, arguments))
        denied = over_budget(size, self.limits)
        if denied is not None:
            raise QueryRefused([GraphQLError(denied.reason, extensions=dict(denied.facts))], denied.code)
        statement, values = None, []
        if document.kind is OperationType.QUERY:
            statement = self._statements.get(
                (key, selection.shapes(arguments)), lambda: compile_selection(selection, arguments)
            )
            if statement is not None:
                try:
                    values = statement.values(selection, arguments)
                except GraphQLError as error:
                    raise QueryRefused([error], "bad_argument") from None
        return Prepared(
            document=document, given=given, variables=coerced, selection=selection, arguments=arguments, estimate=size,
            statement=statement, values=values,
        )  # fmt: skip
