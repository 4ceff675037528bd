"""SQL as nodes: the few forms that the compiled statements are made of.

A node is an immutable value, and nodes are trees, which the garbage collector need not look at. Nothing is written
before the whole is known: what has to be known of a part, such as the columns that it reads, is looked up in its nodes
(``columns_of``). ``render`` alone turns nodes into text.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import astuple


class Node(Struct, frozen=True, gc=False):
    """Any of them."""


class Column(Node, frozen=True, gc=False):
    """``table.name``; ``*`` is every column."""

    table: str
    name: str


class Name(Node, frozen=True, gc=False):
    """A name or a keyword that stands alone: a column of the only table, ``true``, ``null``, ``*``."""

    name: str


class Text(Node, frozen=True, gc=False):
    """A text literal."""

    value: str


class Typed(Node, frozen=True, gc=False):
    """A literal of a type: ``jsonb '{}'``."""

    type: str
    value: str


class Number(Node, frozen=True, gc=False):
    """A whole number."""

    value: int


class Parameter(Node, frozen=True, gc=False):
    """A parameter of the statement, from 1."""

    number: int
    type: str


class Order(Node, frozen=True, gc=False):
    """A place in ``order by``."""

    by: Expression
    descending: bool = False


class Call(Node, frozen=True, gc=False):
    """A function's call; with ``order_by`` and ``where`` (a filter) of an aggregate, with ``over`` of a window."""

    name: str
    arguments: tuple[Expression, ...] = ()
    order_by: tuple[Order, ...] = ()
    where: Expression | None = None
    over: tuple[Order, ...] | None = None


class Case(Node, frozen=True, gc=False):
    """``case``; with a subject, it is compared to each of the first parts."""

    whens: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None = None
    subject: Expression | None = None


class Infix(Node, frozen=True, gc=False):
    """Two operands with an operator between them."""

    left: Expression
    operator: str
    right: Expression


class All(Node, frozen=True, gc=False):
    """Conditions that must all hold."""

    conditions: tuple[Expression, ...]


class Not(Node, frozen=True, gc=False):
    """A condition that must not hold."""

    condition: Expression


class IsNull(Node, frozen=True, gc=False):
    """Whether a value is null."""

    value: Expression


class AnyOf(Node, frozen=True, gc=False):
    """Whether a value is one of an array's."""

    value: Expression
    array: Expression


class Cast(Node, frozen=True, gc=False):
    """A value as one of another type."""

    value: Expression
    type: str


class Row(Node, frozen=True, gc=False):
    """Values that are compared as one."""

    values: tuple[Expression, ...]


class Element(Node, frozen=True, gc=False):
    """An element of an array, from 1."""

    array: Expression
    index: Expression


class Scalar(Node, frozen=True, gc=False):
    """The one value of a query."""

    query: Query


class ArrayOf(Node, frozen=True, gc=False):
    """The values of a query's one column, as an array."""

    query: Query


class Concat(Node, frozen=True, gc=False):
    """Texts put together; made by ``concat``."""

    parts: tuple[Expression, ...]


class Rendered(Node, frozen=True, gc=False):
    """What the renderer has made of an expression or a query before: written as it is."""

    text: str


class As(Node, frozen=True, gc=False):
    """An expression with the name of its column."""

    value: Expression
    name: str


class Table(Node, frozen=True, gc=False):
    """A table, or a common table expression, with the name that its rows have here."""

    name: str
    alias: str | None = None


class Derived(Node, frozen=True, gc=False):
    """A query in ``from``."""

    query: Query
    alias: str
    columns: tuple[str, ...] = ()


class Rows(Node, frozen=True, gc=False):
    """The rows of a function."""

    call: Call
    alias: str
    columns: tuple[str, ...] = ()
    ordinality: bool = False


class Join(Node, frozen=True, gc=False):
    """Two sources joined; without ``on``, each row of the one with each of the other, which may look at the one."""

    left: Source
    right: Source
    on: Expression | None = None


class With(Node, frozen=True, gc=False):
    """A common table expression, made once."""

    name: str
    query: Query


class Select(Node, frozen=True, gc=False):
    """A query of rows."""

    columns: tuple[Expression | As, ...]
    source: tuple[Source, ...] = ()
    where: Expression | None = None
    group_by: tuple[Expression, ...] = ()
    having: Expression | None = None
    order_by: tuple[Order, ...] = ()
    limit: Expression | None = None
    offset: Expression | None = None
    tables: tuple[With, ...] = ()
    distinct: bool = False


class Nested(Node, frozen=True, gc=False):
    """A query in parentheses."""

    query: Query


class Union(Node, frozen=True, gc=False):
    """The rows of all queries, one query after the other."""

    queries: tuple[Query, ...]
    order_by: tuple[Order, ...] = ()
    limit: Expression | None = None


Expression: TypeAlias = (
    Column
    | Name
    | Text
    | Typed
    | Number
    | Parameter
    | Call
    | Case
    | Infix
    | All
    | Not
    | IsNull
    | AnyOf
    | Cast
    | Row
    | Element
    | Scalar
    | ArrayOf
    | Concat
    | Rendered
)
Query: TypeAlias = Select | Union | Nested | Rendered
Source: TypeAlias = Table | Derived | Rows | Join

NULL, TRUE, EVERY = Name("null"), Name("true"), Name("*")


def call(name: str, *arguments: Expression) -> Call:
    """Return a function's call."""
    return Call(name, arguments)


def plus(value: Expression, number: int) -> Infix:
    """Return so much more."""
    return Infix(value, "+", Number(number))


def equal(left: Expression, right: Expression) -> Infix:
    """Return whether two values are equal."""
    return Infix(left, "=", right)


def when(condition: Expression, then: Expression, otherwise: Expression | None = None) -> Case:
    """Return a value under one condition."""
    return Case(((condition, then),), otherwise)


def concat(*parts: Expression) -> Concat:
    """Put texts together: one inside another becomes one, and literals that follow each other too."""
    flat: list[Expression] = []
    for part in parts:
        for each in part.parts if type(part) is Concat else (part,):
            if flat and type(each) is Text and type(last := flat[-1]) is Text:
                flat[-1] = Text(last.value + each.value)
            else:
                flat.append(each)
    return Concat(tuple(flat))


def columns_of(node: object, table: str) -> set[str]:
    """Return the columns of a table, by its name here, that nodes read."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if type(each) is Column:
            if each.table == table:
                found.add(each.name)
        elif isinstance(each, Node):
            waiting.extend(astuple(each))
        elif isinstance(each, tuple):
            waiting.extend(each)
    return found
