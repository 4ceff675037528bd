"""The form of a compiled statement that answers many requests at once: its parameters become columns of a table.

Each request is a row; a list that is a parameter travels as PostgreSQL's text form of it, because a column of lists
would have to be rectangular.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from intelgraph.graph.query.weight import ASKED

_PARAMETER = re.compile(r"\$(\d+)::([a-z]+)(\[\])?")
_FIXED = 3
_SPECIAL = re.compile(r'(["\\])')


@dataclass(frozen=True, kw_only=True)
class ForMany:
    """``text`` takes the tenant, the placement, the bookmark, then a list for each parameter in ``types``."""

    text: str
    types: tuple[str, ...]

    def columns(self, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Turn the requests' values into the statement's parameters."""
        found = [list(column) for column in zip(*rows, strict=True)]
        return [
            [None if value is None else _list(value) for value in column] if type_.endswith("[]") else column
            for type_, column in zip(self.types, found, strict=True)
        ]


def _list(texts: Sequence[str]) -> str:
    return "{" + ",".join('"' + _SPECIAL.sub(r"\\\1", text) + '"' for text in texts) + "}"


def for_many(readable: str, data: str, types: Sequence[str]) -> ForMany | None:
    """Build it from the SQL of a statement's first sub-select and of its data; nothing if it has no parameters."""
    if not types or any(type_.endswith("[]") and type_ != "text[]" for type_ in types):
        return None

    def column(found: re.Match[str]) -> str:
        number, type_ = int(found[1]), found[2] + (found[3] or "")
        if number <= _FIXED:
            return found[0]
        return f"many.v{number}::{type_}" if type_.endswith("[]") else f"many.v{number}"

    names = ", ".join(f"v{_FIXED + 1 + n}" for n in range(len(types)))
    lists = ", ".join(
        f"${_FIXED + 1 + n}::{'text[]' if type_.endswith('[]') else type_ + '[]'}" for n, type_ in enumerate(types)
    )
    rows = f"unnest({lists}) with ordinality as many({names}, n)"
    one = f"(select {_PARAMETER.sub(column, data)})::text"
    return ForMany(
        text=f"select it.r, case when it.r {ASKED} "
        f"array(select {one} from {rows} order by many.n) end from ({readable}) it",
        types=tuple(types),
    )
