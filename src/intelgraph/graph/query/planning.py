"""What has to be done once for a document is kept: its validation, its selection and its statements.

A statement is kept by everything that it depends on: the document, the operation, the conditions of its fields and the
shape of its arguments; an estimate by the document and the sizes that are asked for. A request that has been seen costs
the coercion of its variables and look-ups.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graphql import GraphQLError, GraphQLSchema, OperationType
from graphql.execution.values import VariableValues, get_variable_values

from intelgraph.graph.query.compile import OUTSIDE, Statement, compile_selection
from intelgraph.graph.query.cost import Estimate, estimate, over_budget, sizes
from intelgraph.graph.query.document import Document, QueryRefused, read_document
from intelgraph.graph.query.limits import QueryLimits
from intelgraph.graph.query.ready import Forms, Ready, make_ready, take
from intelgraph.graph.query.selection import Args, Selection, select

_VARIABLE_ERRORS_MAX = 10
_FORMS_MAX = 1_000
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

    def find(self, key: Hashable) -> Any:
        """Return the value of a key, or ``None``."""
        return self._values.get(key)

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


def _digest(text: str, operation_name: str | None) -> bytes:
    return hashlib.sha256(f"{operation_name}\n{text}".encode(errors="surrogatepass")).digest()


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
    _refused: Kept = field(default_factory=lambda: Kept(1_000))
    _selections: Kept = field(default_factory=lambda: Kept(1_000))
    _estimates: Kept = field(default_factory=lambda: Kept(1_000))
    _statements: Kept = field(default_factory=lambda: Kept(1_000))
    _forms: dict[tuple[str, str | None], Forms] = field(default_factory=dict)

    def ready(self, text: str, operation_name: str | None, given: Mapping[str, Any]) -> tuple[Ready, list[Any]] | None:
        """Return what is ready for such a request, and its own values; nothing if it must take the long way."""
        forms = self._forms.get((text, operation_name))
        if forms is None:
            return None
        ready = forms.find(forms.signature(given))
        if ready is None:
            return None
        values = take(ready, given)
        return None if values is None else (ready, values)

    def make_ready(self, text: str, operation_name: str | None, prepared: Prepared) -> None:
        """Have the next request like this one find everything ready, if it can be."""
        document, statement = prepared.document, prepared.statement
        if statement is None or any(root.name in OUTSIDE for root in prepared.selection.roots):
            return
        key = (text, operation_name)
        forms = self._forms.get(key)
        if forms is None:
            if len(self._forms) >= _FORMS_MAX:
                self._forms.clear()
            forms = self._forms[key] = Forms(self.schema, document.operation)
        signature = forms.signature(prepared.given)
        if signature is None or not forms.wanted(signature):
            return
        marks = forms.marks(prepared.given)
        coerced = self._coerced(document, {**prepared.given, **marks})
        arguments = prepared.selection.arguments(coerced)
        if sizes(arguments) == sizes(prepared.arguments):
            ready = make_ready(prepared, arguments, marks)
            if ready is not None:
                forms.keep(signature, ready)

    def _coerced(self, document: Document, given: Mapping[str, Any]) -> VariableValues:
        definitions = document.operation.variable_definitions or ()
        coerced = get_variable_values(self.schema, definitions, dict(given), max_errors=_VARIABLE_ERRORS_MAX)
        if not isinstance(coerced, VariableValues):
            raise QueryRefused(coerced, "bad_variables")
        return coerced

    def knows(self, text: str, operation_name: str | None) -> bool:
        """Whether a document was read before and is kept: then it costs next to nothing."""
        return (text, operation_name) in self._documents

    def refuses(self, text: str, operation_name: str | None) -> bool:
        """Whether a document was refused before and that is kept: ``document`` refuses it again at once."""
        return _digest(text, operation_name) in self._refused

    def document(self, text: str, operation_name: str | None) -> Document:
        """Return the operation that is asked for; raises ``QueryRefused``."""
        return self._documents.get((text, operation_name), lambda: self._read(text, operation_name))

    def _read(self, text: str, operation_name: str | None) -> Document:
        digest = _digest(text, operation_name)
        refused = self._refused.find(digest)
        if refused is not None:
            raise QueryRefused(refused.errors, refused.code)
        try:
            return read_document(
                text, operation_name, schema=self.schema, limits=self.limits, introspection=self.introspection
            )
        except QueryRefused as error:
            kept = error.without_its_document()
            if kept is not None:
                self._refused.get(digest, lambda: kept)
            raise

    def prepare(self, document: Document, given: Mapping[str, Any]) -> Prepared:
        """Make a document with its variables ready; raises ``QueryRefused``."""
        coerced = self._coerced(document, given)
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
