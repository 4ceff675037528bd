"""What has to be done once for a document is done once: its validation, its selection and its plans.

A plan is kept by everything that it depends on: the document, the operation, the conditions of its fields and the
shape of its arguments; an estimate by the document and the sizes that are asked for. A request that has been seen costs
the coercion of its variables and look-ups. All that was made of a document goes with it, and documents are bounded in
bytes, in all and for each tenant (``cache``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graphql import GraphQLError, GraphQLSchema, OperationType
from graphql.execution.values import VariableValues, get_variable_values

from intelgraph.graph.query.cache import Cache
from intelgraph.graph.query.cost import Estimate, estimate, over_budget, sizes
from intelgraph.graph.query.document import Document, QueryRefused, read_document
from intelgraph.graph.query.error_text import of_variables
from intelgraph.graph.query.limits import QueryLimits
from intelgraph.graph.query.plan import Plan
from intelgraph.graph.query.plan_builder import OUTSIDE, build_plan
from intelgraph.graph.query.prepared import Prepared
from intelgraph.graph.query.prepared_plan import PreparedPlan, VariableShapes, make_ready, take
from intelgraph.graph.query.selection import Selection, select

_VARIABLE_ERRORS_MAX = 10
_MADE_MAX = 100
"""So much is made of one document at most; then it begins anew."""
_DOCUMENTS_BYTES_MAX, _DOCUMENTS_BYTES_EACH = 64 * 1024 * 1024, 16 * 1024 * 1024
_REFUSED_BYTES_MAX, _REFUSED_BYTES_EACH = 8 * 1024 * 1024, 1024 * 1024
_BYTES_PER_CHARACTER = 200
"""What a character of a document takes in memory, with all that is made of it; as far as it can be a token."""
_TOKENS_CHARS_MAX = 20_000
V = TypeVar("V")


def _document_bytes(text: str) -> int:
    return 16_384 + 4 * len(text) + _BYTES_PER_CHARACTER * min(len(text), _TOKENS_CHARS_MAX)


def _refused_bytes(refused: QueryRefused) -> int:
    return 2_048 + sum(512 + 4 * len(error.message) for error in refused.errors)


def _digest(text: str, operation_name: str | None) -> bytes:
    return hashlib.sha256(f"{operation_name}\n{text}".encode(errors="surrogatepass")).digest()


def _made(document: Document, key: Hashable, make: Callable[[], V]) -> V:
    """Return what was made of a document, or make it."""
    found: V | None = document.made.get(key)
    if found is None:
        found = make()
        if len(document.made) >= _MADE_MAX:
            document.made.clear()
        document.made[key] = found
    return found


@dataclass(kw_only=True)
class Planner:
    """Prepares requests; one for each worker."""

    schema: GraphQLSchema
    limits: QueryLimits = field(default_factory=QueryLimits)
    introspection: bool = True
    documents: Cache = field(
        default_factory=lambda: Cache(bytes_max=_DOCUMENTS_BYTES_MAX, bytes_each=_DOCUMENTS_BYTES_EACH)
    )
    """By text and operation's name. Who asks with a document first pays for it; then it serves all."""
    refusals: Cache = field(default_factory=lambda: Cache(bytes_max=_REFUSED_BYTES_MAX, bytes_each=_REFUSED_BYTES_EACH))

    def ready(
        self, text: str, operation_name: str | None, given: Mapping[str, Any]
    ) -> tuple[PreparedPlan, list[Any]] | None:
        """Return what is ready for such a request, and its own values; nothing if it must take the long way."""
        document: Document | None = self.documents.find((text, operation_name))
        shapes: VariableShapes | None = document.made.get(VariableShapes) if document is not None else None
        if shapes is None:
            return None
        ready = shapes.find(shapes.shape_of(given))
        if ready is None:
            return None
        values = take(ready, given)
        return None if values is None else (ready, values)

    def make_ready(self, text: str, operation_name: str | None, prepared: Prepared) -> None:
        """Have the next request like this one find everything ready, if it can be."""
        document = prepared.document
        if (
            prepared.plan is None
            or not self.knows(text, operation_name)
            or any(root.name in OUTSIDE for root in prepared.selection.roots)
        ):
            return
        shapes = _made(document, VariableShapes, lambda: VariableShapes(self.schema, document.operation))
        shape = shapes.shape_of(prepared.given)
        if shape is None or not shapes.wanted(shape):
            return
        marks = shapes.marks(prepared.given)
        coerced = self._coerced(document, {**prepared.given, **marks})
        arguments = prepared.selection.arguments(coerced)
        if sizes(arguments) == sizes(prepared.arguments):
            ready = make_ready(prepared, arguments, marks)
            if ready is not None:
                shapes.keep(shape, ready)

    def _coerced(self, document: Document, given: Mapping[str, Any]) -> VariableValues:
        definitions = document.operation.variable_definitions or ()
        coerced = get_variable_values(self.schema, definitions, dict(given), max_errors=_VARIABLE_ERRORS_MAX)
        if not isinstance(coerced, VariableValues):
            told = of_variables(self.schema, definitions, given, errors_max=_VARIABLE_ERRORS_MAX)
            raise QueryRefused(told or coerced, "bad_variables")
        return coerced

    def knows(self, text: str, operation_name: str | None) -> bool:
        """Whether a document was read before and is kept: then it costs next to nothing."""
        return (text, operation_name) in self.documents

    def refuses(self, text: str, operation_name: str | None) -> bool:
        """Whether a document was refused before and that is kept: ``document`` refuses it again at once."""
        return _digest(text, operation_name) in self.refusals

    def document(self, text: str, operation_name: str | None, *, tenant: str = "") -> Document:
        """Return the operation that is asked for; raises ``QueryRefused``. ``tenant``: who asks."""
        return self.documents.get(
            (text, operation_name),
            lambda: self._read(text, operation_name, tenant),
            owner=tenant,
            size=lambda _: _document_bytes(text),
        )

    def _read(self, text: str, operation_name: str | None, tenant: str) -> Document:
        digest = _digest(text, operation_name)
        refused = self.refusals.find(digest)
        if refused is not None:
            raise QueryRefused(refused.errors, refused.code)
        try:
            return read_document(
                text, operation_name, schema=self.schema, limits=self.limits, introspection=self.introspection
            )
        except QueryRefused as error:
            kept = error.without_its_document()
            if kept is not None:
                self.refusals.get(digest, lambda: kept, owner=tenant, size=_refused_bytes)
            raise

    def prepare(self, document: Document, given: Mapping[str, Any]) -> Prepared:
        """Make a document with its variables ready; raises ``QueryRefused``."""
        coerced = self._coerced(document, given)
        conditions = tuple(coerced.coerced.get(name) for name in document.condition_variables)
        selection = _made(document, (Selection, conditions), lambda: select(document, self.schema, coerced))
        try:
            arguments = selection.arguments(coerced)
        except GraphQLError as error:
            raise QueryRefused([error], "bad_argument") from None
        asked = (Estimate, conditions, sizes(arguments))
        size = _made(document, asked, lambda: estimate(selection, arguments))
        denied = over_budget(size, self.limits)
        if denied is not None:
            raise QueryRefused([GraphQLError(denied.reason, extensions=dict(denied.facts))], denied.code)
        plan, values = None, []
        if document.kind is OperationType.QUERY:
            shapes = (Plan, conditions, selection.shapes(arguments))
            plan = _made(document, shapes, lambda: build_plan(selection, arguments))
            if plan is not None:
                try:
                    values = plan.values_of(selection, arguments)
                except GraphQLError as error:
                    raise QueryRefused([error], "bad_argument") from None
        return Prepared(
            document=document, given=given, variables=coerced, selection=selection, arguments=arguments, estimate=size,
            plan=plan, values=values,
        )  # fmt: skip
