"""One SQL statement under construction: its parameters, its aliases, and the JSON it builds.

Every value of a request is a parameter. The only texts of a request that are written into a statement are names of
the answer's members, which GraphQL's grammar limits to letters, digits and ``_``; they are checked again here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from intelgraph.graph.query.selection import Args

TENANT, PLACEMENT, BOOKMARK = "$1::text", "$2::text", "$3::text"
_FIXED = 3
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*", re.ASCII)
_LITERAL = re.compile(r"'[^']*'")
_ARGUMENTS_MAX = 90
"""PostgreSQL's functions take 100 arguments at most."""

Value = Callable[[Args], Any]
"""Takes a parameter's value out of a field's arguments; raises ``ArgumentRefused``."""


class ArgumentRefused(Exception):
    """An argument whose value cannot be used, though its type is right. ``reason`` is one sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Binding:
    """Where a parameter's value comes from: a field with arguments, by its number, and what to take from them."""

    field: int
    type: str
    value: Value


@dataclass(kw_only=True)
class Builder:
    """Collects parameters and hands out aliases."""

    bindings: list[Binding] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    """Common table expressions of the whole statement."""
    points: list[tuple[str, str]] = field(default_factory=list)
    """Those among them that may refuse the request, by a column ``refused``, and the name of the field that asks."""
    weighs: bool = False
    """Whether the statement counts the bytes of what it makes: pages end when they are full, and what is too large in
    all is refused (``ig.weigh``)."""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def alias(self, prefix: str) -> str:
        """Return a name for a table that no other part of the statement uses."""
        return f"{prefix}{next(self._numbers)}"

    def page(self) -> int:
        """Return a number by which a page's bytes are counted."""
        return next(self._numbers)

    def weighed(self, text: str) -> str:
        """Return the SQL of a text that becomes part of the answer, counted where the statement counts."""
        return f"ig.weigh({text})" if self.weighs else text

    def weighed_object(self, text: str) -> str:
        """Return the same of an object whose fields may be counted already."""
        return f"ig.weigh_object({text})" if self.weighs else text

    def parameter(self, number: int, type_: str, value: Value) -> str:
        """Return the SQL of a value of the field ``number``."""
        self.bindings.append(Binding(field=number, type=type_, value=value))
        return f"${_FIXED + len(self.bindings)}::{type_}"


def json_value(sql: str) -> str:
    """Build the SQL of a value's JSON text; ``null`` for null."""
    return f"coalesce(to_json({sql}), 'null')"


def json_scalar(sql: str) -> str:
    """Build the same of a text, a number or a boolean, at less cost."""
    return f"coalesce(json_scalar({sql}), 'null')"


class Concat(str):
    """The SQL of a text put together from ``parts``, each the SQL of a text. One inside another becomes one call."""

    parts: tuple[str, ...]

    def __new__(cls, parts: Sequence[str]) -> Concat:
        """Put literals that follow each other together."""
        flat: list[str] = []
        for part in itertools.chain.from_iterable(p.parts if isinstance(p, Concat) else (p,) for p in parts):
            if flat and _LITERAL.fullmatch(part) and _LITERAL.fullmatch(flat[-1]):
                flat[-1] = flat[-1][:-1] + part[1:]
            else:
                flat.append(part)
        calls = flat
        while len(calls) > _ARGUMENTS_MAX:
            calls = [_call(calls[n : n + _ARGUMENTS_MAX]) for n in range(0, len(calls), _ARGUMENTS_MAX)]
        made = super().__new__(cls, _call(calls))
        made.parts = tuple(flat)
        return made


def _call(parts: Sequence[str]) -> str:
    return f"concat({', '.join(parts)})"


def json_object(members: Sequence[tuple[str, str]]) -> Concat:
    """Build the SQL of a JSON object's text.

    ``members`` are names and SQL whose text is JSON and which is never null, in order. Texts are put together because
    PostgreSQL's own functions look up the type of every argument anew for every object.
    """
    for name, _ in members:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an answer's member")
    parts = [(f"'{',' if number else ''}\"{name}\":'", sql) for number, (name, sql) in enumerate(members)]
    return Concat(["'{'", *itertools.chain.from_iterable(parts), "'}'"])


def json_list(item: str, order: str, rows: str) -> str:
    """Build the SQL of a JSON array's text of ``item`` over a FROM clause; empty, never null."""
    return f"(select {json_array(item, order)} from {rows})"


def json_array(item: str, order: str) -> Concat:
    """Build the same as an aggregate: of the items that are not null."""
    return Concat(["'['", f"string_agg({item}, ',' order by {order})", "']'"])


def json_array_of(texts: str) -> Concat:
    """Build the same of a list of texts."""
    return Concat(["'['", f"array_to_string({texts}, ',')", "']'"])
