"""From a request's text to one operation: bounded, parsed, validated and chosen. What is refused is a ``QueryRefused``.

Nothing here depends on the variables, so an outcome can be kept by the text and the operation's name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, parse, validate
from graphql.execution.collect_fields import FragmentDetails
from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationType,
    VariableNode,
)

from intelgraph.graph.query.error_text import of_document, plain
from intelgraph.graph.query.limits import QueryLimits, over_limit

_ERRORS_SHOWN_MAX = 20
_KEPT_CHARS_MAX = 4_000
_TOKEN = re.compile(
    r"(?:#[^\r\n]*+[\s,]*+)*+"
    r'(?:[_A-Za-z][_0-9A-Za-z]*+|[!$&():=@\[\]{|}]|"""(?:[^"\\]|\\"""|\\|"(?!""))*+"""|"(?:[^"\\\r\n]|\\.)*+"'
    r"|\.\.\.|-?[0-9][0-9.eE+-]*+|\Z)"
)
"""A token with the comments before it, or the end."""


class QueryRefused(Exception):
    """A request that is not executed: the errors of its answer, each with a ``code`` in its extensions."""

    def __init__(self, errors: Sequence[GraphQLError], code: str) -> None:
        super().__init__(code)
        self.code = code
        self.errors = list(errors)
        for error in self.errors:
            error.message = plain(error.message)
            error.extensions = {"code": code, **(error.extensions or {})}

    def without_its_document(self) -> QueryRefused | None:
        """Return the same refusal without what it was made of, to be kept; nothing if it says too much."""
        if sum(len(error.message) for error in self.errors) > _KEPT_CHARS_MAX:
            return None
        kept = []
        for error in self.errors:
            bare = GraphQLError(error.message, path=error.path, extensions=error.extensions)
            bare.locations = error.locations
            kept.append(bare)
        return QueryRefused(kept, self.code)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A valid document and the operation of it that is asked for."""

    hash: str
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDetails]
    condition_variables: tuple[str, ...]
    """Variables that ``@skip`` and ``@include`` look at: they decide which fields there are."""
    made: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was made of it, by what it depends on besides: it goes when the document does."""

    @property
    def kind(self) -> OperationType:
        """Whether it reads, writes or follows."""
        return self.operation.operation


def read_document(
    text: str, operation_name: str | None, *, schema: GraphQLSchema, limits: QueryLimits, introspection: bool = True
) -> Document:
    """Return the operation that a request asks for; raises ``QueryRefused``."""
    if len(text) > limits.source_chars_max:
        # Before the parser sees it: the place of an error is looked for in the whole text.
        message = f"the document is refused: it has {len(text)} characters; the limit is {limits.source_chars_max}"
        raise QueryRefused([GraphQLError(message)], "bad_document")
    if tokens_at_least(text, limits.tokens_max + 1):
        message = f"the document is refused: it has more tokens than {limits.tokens_max}, the limit"
        raise QueryRefused([GraphQLError(message)], "bad_document")
    try:
        parsed = parse(text, max_tokens=limits.tokens_max)
    except GraphQLError as error:
        raise QueryRefused([error], "bad_document") from None
    except RecursionError:
        raise QueryRefused([GraphQLError("the document is nested too deeply")], "document_too_large") from None
    denied = over_limit(parsed, limits)
    if denied is not None:
        raise QueryRefused([GraphQLError(denied.reason, extensions=dict(denied.facts))], denied.code)
    errors = validate(schema, parsed, max_errors=_ERRORS_SHOWN_MAX)
    if errors:
        raise QueryRefused(of_document(errors, parsed), "bad_document")
    operation = _choose(
        [node for node in parsed.definitions if isinstance(node, OperationDefinitionNode)], operation_name
    )
    fragments = {
        node.name.value: FragmentDetails(node)
        for node in parsed.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    variables, introspects = _conditions(parsed)
    if introspects and not introspection:
        raise QueryRefused([GraphQLError("introspection is switched off here")], "introspection_off")
    return Document(
        hash=hashlib.sha256(text.encode()).hexdigest(),
        operation=operation,
        fragments=fragments,
        condition_variables=tuple(sorted(variables)),
    )


def tokens_at_least(text: str, count: int) -> bool:
    """Whether a document has so many tokens; a look in a fraction of the time that parsing them takes.

    A document that is well-formed is never counted too high.
    """
    # The end matches too, behind a comment twice.
    return _TOKEN.subn("", text, count + 2)[1] > count + 1


def _choose(operations: list[OperationDefinitionNode], name: str | None) -> OperationDefinitionNode:
    if name is None:
        if len(operations) == 1:
            return operations[0]
        message = f"the document has {len(operations)} operations: operationName must say which"
        raise QueryRefused([GraphQLError(message)], "bad_request")
    for operation in operations:
        if operation.name is not None and operation.name.value == name:
            return operation
    raise QueryRefused([GraphQLError(f'the document has no operation "{name}"')], "bad_request")


def _conditions(parsed: DocumentNode) -> tuple[set[str], bool]:
    """Return which variables decide about fields, and whether the schema itself is asked for.

    The walk goes where fields may be, which takes a tenth of the time of graphql-core's visitor.
    """
    variables: set[str] = set()
    introspects = False
    waiting: list[Any] = list(parsed.definitions)
    while waiting:
        node = waiting.pop()
        for directive in node.directives or ():
            for argument in directive.arguments or ():
                if isinstance(argument.value, VariableNode):
                    variables.add(argument.value.name.value)
        if isinstance(node, FieldNode):
            introspects = introspects or node.name.value in ("__schema", "__type")
            if node.selection_set is None:
                continue
        elif isinstance(node, FragmentSpreadNode):
            continue
        waiting.extend(node.selection_set.selections)
    return variables, introspects
