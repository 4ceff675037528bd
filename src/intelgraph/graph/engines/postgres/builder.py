"""What the parts of one statement share while it is built: its parameters, its aliases, its common table expressions.

Every value of a request is a parameter. Which one, the plan's values say: their order is the parameters'.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from intelgraph.graph.engines.postgres.nodes import Cast, Column, Expression, Parameter, Select, With, call
from intelgraph.graph.query.plan import Kind, Value

TENANT, PLACEMENT, BOOKMARK = Parameter(1, "text"), Parameter(2, "text"), Parameter(3, "text")
FIXED = 3
"""So many parameters stand before the plan's values."""
MANY = "many"
"""The table of which each row holds one request's values."""
TYPES: Mapping[Kind, str] = {
    Kind.TEXT: "text",
    Kind.TEXTS: "text[]",
    Kind.NUMBER: "int",
    Kind.TIME: "timestamptz",
    Kind.OBJECT: "jsonb",
}


def column_of(value: Value) -> str:
    """Return the name of a value's column in the table of many requests."""
    return f"v{FIXED + 1 + value.number}"


@dataclass(kw_only=True)
class Builder:
    """Hands out what is the whole statement's."""

    weighs: bool = False
    """Whether the statement counts the bytes of what it makes: pages end when they are full, and what is too large in
    all is refused (``ig.weigh``)."""
    for_many: bool = False
    """Whether the values of a request are a row's columns, since the statement answers many requests."""
    tables: list[With] = field(default_factory=list)
    """Common table expressions of the whole statement."""
    points: list[tuple[str, str]] = field(default_factory=list)
    """Those among them that may refuse the request, by a column ``refused``, and the name of the field that asks."""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def alias(self, prefix: str) -> str:
        """Return a name for a table that no other part of the statement uses."""
        return f"{prefix}{next(self._numbers)}"

    def page(self) -> int:
        """Return a number by which a page's bytes are counted."""
        return next(self._numbers)

    def value(self, value: Value) -> Expression:
        """Return a value of the request."""
        type_ = TYPES[value.kind]
        if not self.for_many:
            return Parameter(FIXED + 1 + value.number, type_)
        column = Column(MANY, column_of(value))
        # A list travels as its text: a column of lists would have to be rectangular.
        return Cast(column, type_) if value.kind is Kind.TEXTS else column

    def weighed(self, text: Expression) -> Expression:
        """Return a text that becomes part of the answer, counted where the statement counts."""
        return call("ig.weigh", text) if self.weighs else text

    def weighed_object(self, text: Expression) -> Expression:
        """Return the same of an object whose fields may be counted already."""
        return call("ig.weigh_object", text) if self.weighs else text

    def table(self, name: str, query: Select) -> None:
        """Add a common table expression."""
        self.tables.append(With(name, query))
