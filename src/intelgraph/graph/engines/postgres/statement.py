"""One SQL statement that returns the whole answer of a plan, in each form in which it is asked.

The statement names the tenant in every sub-select; it also sets the tenant for row-level security, in the same round
trip, so that a predicate that was forgotten finds nothing. Its two columns: what ``ig.readable`` says of the placement
here (as JSON), and the data as JSON text, null when the region may not answer.

Each form is built from nodes: alone; for many requests at once, whose values are then rows of a table; and counting the
bytes of its answer. A form's data may be held to a size: that is one more condition before the data.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from intelgraph.graph.engines.postgres.builder import (
    BOOKMARK,
    FIXED,
    MANY,
    PLACEMENT,
    TENANT,
    TYPES,
    Builder,
    column_of,
)
from intelgraph.graph.engines.postgres.nodes import (
    TRUE,
    All,
    ArrayOf,
    As,
    Cast,
    Column,
    Derived,
    Expression,
    Infix,
    IsNull,
    Order,
    Parameter,
    Rendered,
    Rows,
    Scalar,
    Select,
    Source,
    Table,
    Text,
    Typed,
    With,
    call,
    equal,
    when,
)
from intelgraph.graph.engines.postgres.render import render
from intelgraph.graph.engines.postgres.weight import is_small_enough
from intelgraph.graph.query.plan import Kind, Value

Write = Callable[[Builder], Expression]
"""Writes the data of an answer, a JSON text, with what a builder hands out."""
_SPECIAL = re.compile(r'(["\\])')


def readable(placement: Expression, bookmark: Expression) -> Expression:
    """Return what `ig.readable` says: from the placement's row where that is enough."""
    told = Column("p", "told")
    heard = call("ig.heard", Infix(told, "->>", Text("home")))
    kept = Select(
        (when(Infix(told, "?", Text("token_ns")), told, Infix(told, "||", heard)),),
        (Table("ig.placement", "p"),),
        where=All((equal(Column("p", "id"), placement), IsNull(bookmark))),
    )
    return call("coalesce", Scalar(kept), call("ig.readable", placement, bookmark))


_IT = Rendered(
    render(
        Select((call("set_config", Text("ig.tenant"), TENANT, TRUE), As(readable(PLACEMENT, BOOKMARK), "r"))),
    )
)
"""The first thing that every statement does: the tenant is set, and the placement is looked at."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Form:
    """A statement but for the condition before its data. ``answer`` names the row that has what ``_IT`` says."""

    answer: str
    data: Rendered
    source: Source
    tables: tuple[With, ...] = ()
    _texts: dict[tuple[int | None, bool], str] = field(default_factory=dict)

    def text(self, bytes_max: int | None = None, *, by_tenant: bool = False) -> str:
        """Return the statement; with a size, it makes its data only if no object is larger.

        Sizes are powers of two, so there are few texts.
        """
        key = (bytes_max, by_tenant)
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = render(self._bounded(bytes_max, by_tenant))
        return text

    def _bounded(self, bytes_max: int | None, by_tenant: bool) -> Select:
        state = Column(self.answer, "r")
        may: Expression = equal(Infix(state, "->>", Text("status")), Text("ok"))
        if bytes_max is not None:
            may = All((may, is_small_enough(self.answer, bytes_max, by_tenant=by_tenant)))
        return Select((state, when(may, self.data)), (self.source,), tables=self.tables)


class ForMany:
    """A statement for many requests at once.

    It takes the tenant, the placement, the bookmark, then a list for each value. Its data is an array of texts.
    """

    def __init__(self, write: Write, values: tuple[Value, ...]) -> None:
        self._values = values
        lists = (
            Parameter(FIXED + 1 + value.number, "text[]" if value.kind is Kind.TEXTS else f"{TYPES[value.kind]}[]")
            for value in values
        )
        names = (*(column_of(value) for value in values), "n")
        rows = Rows(call("unnest", *lists), MANY, names, ordinality=True)
        each = Select((_text_of(write(Builder(for_many=True))),), (rows,), order_by=(Order(Column(MANY, "n")),))
        self._form = _Form(answer="it", data=Rendered(render(ArrayOf(each))), source=Derived(_IT, "it"))

    @property
    def text(self) -> str:
        """The statement."""
        return self._form.text()

    def bounded(self, bytes_max: int | None, *, by_tenant: bool = False) -> str:
        """Return the statement that makes its data only if no object of the placement, or tenant, is larger."""
        return self._form.text(bytes_max, by_tenant=by_tenant)

    def columns(self, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Turn the requests' values into the statement's parameters."""
        found = [list(column) for column in zip(*rows, strict=True)]
        return [
            [None if given is None else _list(given) for given in column] if value.kind is Kind.TEXTS else column
            for value, column in zip(self._values, found, strict=True)
        ]


def _list(texts: Sequence[str]) -> str:
    """Return PostgreSQL's text form of a list of texts."""
    return "{" + ",".join('"' + _SPECIAL.sub(r"\\\1", text) + '"' for text in texts) + "}"


def _text_of(data: Expression) -> Expression:
    return Cast(Scalar(Select((data,))), "text")


class Statement:
    """What answers every request of a plan: with the tenant, the placement, the bookmark, then the plan's values.

    ``write`` is asked for the data of each form that is wanted; the values are those that it writes in.
    """

    def __init__(self, write: Write, values: tuple[Value, ...]) -> None:
        self._write, self._values = write, values
        builder = Builder()
        self._form = _alone(builder, write(builder))
        self.can_be_many = bool(values) and not builder.tables
        """Whether there is a form for many requests at once."""
        self.of_the_past = bool(builder.points)
        """Whether it asks for places in the log, which may have to settle first."""

    @functools.cached_property
    def text(self) -> str:
        """The statement for one request."""
        return self._form.text()

    def bounded(self, bytes_max: int | None, *, by_tenant: bool = False) -> str:
        """Return the statement that makes its data only if no object of the placement, or tenant, is larger."""
        return self._form.text(bytes_max, by_tenant=by_tenant)

    @functools.cached_property
    def for_many(self) -> ForMany | None:
        """The same for many requests at once, where it can be; written when it is asked for first."""
        return ForMany(self._write, self._values) if self.can_be_many else None

    @functools.cached_property
    def weighing(self) -> str:
        """The text of the same that counts the bytes of its answer."""
        builder = Builder(weighs=True)
        return _alone(builder, self._write(builder)).text()


def _alone(builder: Builder, data: Expression) -> _Form:
    made = Rendered(render(_text_of(data)))
    if not builder.tables:
        # A common table expression costs a little more than a sub-select.
        return _Form(answer="it", data=made, source=Derived(_IT, "it"))
    tables = [With("it", _IT), *(With(table.name, Rendered(render(table.query))) for table in builder.tables)]
    answer = "it"
    if builder.points:
        answer = "answer"
        tables.append(With(answer, _refusing(builder.points)))
    return _Form(answer=answer, data=made, source=Table(answer), tables=tuple(tables))


def _refusing(points: Sequence[tuple[str, str]]) -> Select:
    """Return what is said of the placement, and of the places in the log that cannot be read."""
    said: Expression = Column("it", "r")
    for at, key in points:
        refused = Infix(Column("p", "refused"), "||", Typed("jsonb", f'{{"field": "{key}"}}'))
        found = Scalar(Select((refused,), (Table(at, "p"),)))
        said = Infix(said, "||", call("coalesce", found, Text("{}")))
    return Select((As(said, "r"),), (Table("it"),))
