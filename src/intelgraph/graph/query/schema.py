"""The schema as graphql-core knows it, made from ``schema.graphql``, and what the custom scalars accept."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema, build_schema
from graphql.language import (
    BooleanValueNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    print_ast,
)

from intelgraph.model.content import problem_of, read_float, read_integer

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
INSIDE = "inside"
"""The extension of an error that says where in a JSON object it is; ``error_text`` makes it part of the sentence."""
CURSOR_LENGTH_MAX = 4_096
REVISION_MAX = 2**53


@cache
def load_schema() -> GraphQLSchema:
    """Build the schema; the file is part of the package."""
    text = resources.files(__package__).joinpath("schema.graphql").read_text(encoding="utf-8")
    schema = build_schema(text)
    for name, parse in _SCALARS.items():
        scalar = schema.type_map[name]
        assert isinstance(scalar, GraphQLScalarType)
        _accept(scalar, parse)
    return schema


def _accept(scalar: GraphQLScalarType, parse: Any) -> None:
    def literal(node: ValueNode, _variables: dict[str, Any] | None = None) -> Any:
        try:
            return parse(_from_literal(node))
        except GraphQLError as error:
            raise GraphQLError(error.message, nodes=node, extensions=error.extensions) from None

    scalar.parse_value = parse  # type: ignore[method-assign]
    scalar.parse_literal = literal  # type: ignore[method-assign, assignment]
    scalar.coerce_input_value = parse
    scalar.coerce_input_literal = literal


def parse_time(value: object) -> datetime:
    """Return the point in time that a text names, in UTC; raises ``GraphQLError``."""
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise GraphQLError('a DateTime is a text like "2026-01-31T08:00:00Z", with an offset')
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise GraphQLError("a DateTime must exist in the calendar") from None


def parse_object(value: object) -> dict[str, Any]:
    """Return a JSON object that may be stored (``model.content``); raises ``GraphQLError``."""
    if not isinstance(value, dict):
        raise GraphQLError("a JSONObject is a JSON object")
    problem = problem_of(value)
    if problem is not None:
        raise GraphQLError(problem.what, extensions={INSIDE: problem.path})
    return value


def parse_cursor(value: object) -> str:
    """Return a cursor's text as it was given; what it means is looked at where it is used."""
    if not isinstance(value, str) or not 1 <= len(value) <= CURSOR_LENGTH_MAX or "\x00" in value:
        raise GraphQLError("a Cursor is the text that a page gave as `next`")
    return value


def parse_revision(value: object) -> int:
    """Return a revision as it was given; raises ``GraphQLError``."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= REVISION_MAX:
        raise GraphQLError("a Revision is a whole number from 0 to 2^53")
    return value


_SCALARS = {
    "DateTime": parse_time,
    "JSONObject": parse_object,
    "Cursor": parse_cursor,
    "Revision": parse_revision,
}


def _from_literal(node: ValueNode) -> Any:
    """Return the JSON that a literal says; raises ``GraphQLError`` for what JSON has no word for."""
    if isinstance(node, ObjectValueNode):
        return {field.name.value: _from_literal(field.value) for field in node.fields}
    if isinstance(node, ListValueNode):
        return [_from_literal(value) for value in node.values]
    if isinstance(node, IntValueNode):
        return read_integer(node.value)
    if isinstance(node, FloatValueNode):
        return read_float(node.value)
    if isinstance(node, StringValueNode | BooleanValueNode):
        return node.value
    if isinstance(node, NullValueNode):
        return None
    raise GraphQLError(f"{print_ast(node)} is no JSON value: a text stands in quotation marks")
