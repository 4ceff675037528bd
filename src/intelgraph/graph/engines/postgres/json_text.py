"""JSON as text, put together by PostgreSQL.

Texts are put together because PostgreSQL's own functions look up the type of every argument anew for every object. The
only texts of a request that are written into a statement are names of the answer's members, which GraphQL's grammar
limits to letters, digits and ``_``; they are checked again here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from intelgraph.graph.engines.postgres.nodes import (
    Call,
    Concat,
    Expression,
    Order,
    Scalar,
    Select,
    Source,
    Text,
    call,
    concat,
)

_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*", re.ASCII)
_NULL = Text("null")


def json_value(value: Expression) -> Expression:
    """Return a value's JSON text; ``null`` for null."""
    return call("coalesce", call("to_json", value), _NULL)


def json_scalar(value: Expression) -> Expression:
    """Return the same of a text, a number or a boolean, at less cost."""
    return call("coalesce", call("json_scalar", value), _NULL)


def or_null(*texts: Expression) -> Expression:
    """Return the first JSON text that there is; ``null`` if there is none."""
    return call("coalesce", *texts, _NULL)


def json_name(name: str) -> Text:
    """Return the JSON text of a name of the schema."""
    return Text(f'"{name}"')


def json_object(members: Sequence[tuple[str, Expression]]) -> Concat:
    """Return a JSON object's text. ``members``, in order, are names and JSON texts that are never null."""
    parts: list[Expression] = [Text("{")]
    for number, (name, value) in enumerate(members):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an answer's member")
        parts += (Text(f'{"," if number else ""}"{name}":'), value)
    return concat(*parts, Text("}"))


def json_list(item: Expression, order: Sequence[Order], *rows: Source) -> Expression:
    """Return a JSON array's text of ``item`` over rows; empty, never null."""
    return Scalar(Select((json_array(item, *order),), rows))


def json_array(item: Expression, *order: Order) -> Concat:
    """Return the same as an aggregate: of the items that are not null."""
    return concat(Text("["), Call("string_agg", (item, Text(",")), order_by=order), Text("]"))


def json_array_of(texts: Expression) -> Concat:
    """Return the same of an array of texts."""
    return concat(Text("["), call("array_to_string", texts, Text(",")), Text("]"))
