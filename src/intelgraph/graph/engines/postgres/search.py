"""What a text finds among a tenant's entities.

Words are found by their index, unless more than ``HITS_MAX`` entities have them: then any page is soon full, and the
tenant's entities are looked through in the page's order instead. Where only the first by id are asked for, and small
columns of them, whether there are more is told by an end mark: a last row behind all that is found, which the limit
cuts off when there are too many. Its empty id, which no entity has, sorts it first. So what is found is read once and
kept nowhere. Everywhere else what is found is kept in a common table expression, ``hits``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from msgspec.structs import replace

from intelgraph.graph.engines.postgres.builder import TENANT
from intelgraph.graph.engines.postgres.nodes import (
    EVERY,
    NULL,
    TRUE,
    All,
    ArrayOf,
    As,
    Cast,
    Column,
    Derived,
    Element,
    Expression,
    Infix,
    IsNull,
    Join,
    Number,
    Order,
    Query,
    Scalar,
    Select,
    Table,
    Text,
    Union,
    With,
    columns_of,
    equal,
    plus,
    when,
)
from intelgraph.graph.engines.postgres.objects import Tables
from intelgraph.graph.engines.postgres.pages import COUNT, Read, Source
from intelgraph.graph.query.plan import Shape

HITS_MAX = 5_000
HITS = "hits"
_SMALL: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "id": ("id", "text"),
        "type": ("type", "text"),
        "name": ("name", "text"),
        "confidence": ("confidence", "int"),
        "revision": ("revision", "bigint"),
        "created": ("created", "timestamptz"),
        "updated": ("updated", "timestamptz"),
        "validFrom": ("valid_from", "timestamptz"),
        "validUntil": ("valid_until", "timestamptz"),
    }
)
"""Properties of an entity whose columns are so small that they are read of all that is found, and their types."""
_COLUMNS: Mapping[str, str] = MappingProxyType(dict(_SMALL.values()))
"""Those columns, and their types."""


def is_small(shape: Shape) -> bool:
    """Whether all that is asked of each entity is small."""
    return all(member.name in _SMALL or member.name == "__typename" for member in shape.members)


def columns(used: set[str]) -> tuple[Column, ...]:
    """Return what is read of an entity of which these columns are used."""
    return tuple(Column("e", name) for name in sorted(used))


def first_found(
    item: Expression,
    alias: str,
    *,
    used: set[str],
    found: Select,
    in_order: Query,
    limit: Expression,
) -> Expression:
    """Return an array of texts: ``item`` of the first entities by id, at most ``limit``.

    ``found`` finds them, as ``e``, by their index; ``in_order`` by the order's index. The statement as a whole is not
    run in parallel (``set_config`` forbids it), so the end mark comes last.
    """
    end = Select(tuple(Cast(Text(""), "text") if name == "id" else Cast(NULL, _COLUMNS[name]) for name in sorted(used)))
    every = Union((replace(found, columns=columns(used)), end), limit=plus(Number(HITS_MAX), 1))
    first = Select((EVERY,), (Derived(every, "e"),), order_by=(Order(Column("e", "id")),), limit=plus(limit, 1))
    is_entity = Infix(Column(alias, "id"), "<>", Text(""))
    texts = ArrayOf(Select((when(is_entity, item),), (Derived(first, alias),)))
    others = ArrayOf(Select((item,), (Derived(in_order, alias),)))
    response = Column("t", "found")
    return Scalar(
        Select(
            (when(IsNull(Element(response, Number(1))), response, others),),
            (Derived(Select((texts,), offset=Number(0)), "t", ("found",)),),
        )
    )


class Hits:
    """All that a text finds, kept once beside the page of it. Small columns are kept; if others are read, the rows that
    are shown are looked up again.
    """

    def __init__(self, tables: Tables, *, found: Select, after: Sequence[Expression], order: tuple[Order, ...]) -> None:
        self._tables, self._found, self._after, self._order = tables, found, after, order
        self._used = {"id"} | columns_of(order, "e")

    def sources(self, in_order: Callable[[Expression, tuple[Column, ...] | None], Query]) -> list[Source]:
        """Return where the page has its rows: from the hits, or in the page's order if these are too many."""
        count = Scalar(Select((COUNT,), (Table(HITS),)))

        def too_many(most: Expression, read: Read) -> Query:
            return in_order(most, columns(self._used) if self._are_kept(read) else None)

        return [
            Source(self._first, Infix(count, "<=", Number(HITS_MAX))),
            Source(too_many, Infix(count, ">", Number(HITS_MAX))),
        ]

    def beside(self, page: Expression) -> Expression:
        """Return the page, of whose rows these sources were, with what it looks at."""
        kept: tuple[Column | As, ...] = columns(self._used)
        if not self._used <= _COLUMNS.keys():
            kept = (As(Column("e", self._tables.key), "key"), *columns({"id", "updated"} & self._used))
        hits = replace(self._found, columns=kept, limit=plus(Number(HITS_MAX), 1))
        return Scalar(Select((page,), tables=(With(HITS, hits),)))

    def _are_kept(self, read: Read) -> bool:
        self._used |= read()
        return self._used <= _COLUMNS.keys()

    def _first(self, most: Expression, read: Read) -> Query:
        first = Select((), (Table(HITS, "e"),), where=All((TRUE, *self._after)), order_by=self._order, limit=most)
        if self._are_kept(read):
            return replace(first, columns=columns(self._used))
        keys = replace(first, columns=(Column("e", "key"),))
        again = All((equal(Column("e", "tenant"), TENANT), equal(Column("e", self._tables.key), Column("h", "key"))))
        rows = Join(Derived(keys, "h"), self._tables.of("entity", "e"), again)
        return Select((Column("e", "*"),), (rows,), order_by=self._order)
