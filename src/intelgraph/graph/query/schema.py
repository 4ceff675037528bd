"""The schema as graphql-core knows it, made from ``schema.graphql``, and what the custom scalars accept."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema, build_schema
from graphql.language import ValueNode
from graphql.utilities import value_from_ast_untyped

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
JSON_DEPTH_MAX = 32
CURSOR_LENGTH_MAX = 1_024
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
    def literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
        return parse(value_from_ast_untyped(node, variables))

    scalar.parse_value = parse  # type: ignore[method-assign]
    scalar.parse_literal = literal  # type: ignore[method-assign]
    scalar.coerce_input_value = parse
    scalar.coerce_input_literal = lambda node: parse(value_from_ast_untyped(node))


def parse_time(value: object) -> datetime:
    """Return the point in time that a text names, in UTC; raises ``GraphQLError``."""
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise GraphQLError('a DateTime is a text like "2026-01-31T08:00:00Z", with an offset')
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise GraphQLError("a DateTime must exist in the calendar") from None


def parse_object(value: object) -> dict[str, Any]:
    """Return a JSON object that PostgreSQL can hold; raises ``GraphQLError``."""
    if not isinstance(value, dict):
        raise GraphQLError("a JSONObject is a JSON object")
    _check_content(value, JSON_DEPTH_MAX)
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


def _check_content(value: object, depth_left: int) -> None:
    if depth_left == 0:
        raise GraphQLError(f"a JSONObject is nested {JSON_DEPTH_MAX} levels at most")
    if isinstance(value, str) and "\x00" in value:
        raise GraphQLError("a text contains the character NUL")
    if isinstance(value, int | float) and not isinstance(value, bool) and value and not 1e-64 < abs(value) < 1e64:
        raise GraphQLError("a number has more than 64 digits before or after the point")
    if isinstance(value, dict):
        for name, part in value.items():
            _check_content(name, depth_left)
            _check_content(part, depth_left - 1)
    elif isinstance(value, list):
        for part in value:
            _check_content(part, depth_left - 1)
