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
from intelgraph.graph.engines.postgres.pages import COUNT, Source
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
    every = Union((found._replace(columns=columns(used)), end), limit=plus(Number(HITS_MAX), 1))
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


def sources(
    tables: Tables, *, after: Sequence[Expression], order: tuple[Order, ...], in_order: Callable[..., Query]
) -> list[Source]:
    """Return where a page has its rows: from ``hits``, or in the page's order if these are too many."""
    hits = Scalar(Select((COUNT,), (Table(HITS),)))

    def from_hits(most: Expression, used: set[str]) -> Query:
        used = used | _always_used(order)
        where = All((TRUE, *after))
        if _are_kept(used):
            return Select(columns(used), (Table(HITS, "e"),), where=where, order_by=order, limit=most)
        first = Select((Column("e", "key"),), (Table(HITS, "e"),), where=where, order_by=order, limit=most)
        again = All((equal(Column("e", "tenant"), TENANT), equal(Column("e", tables.key), Column("h", "key"))))
        rows = Join(Derived(first, "h"), tables.of("entity", "e"), again)
        return Select((Column("e", "*"),), (rows,), order_by=order)

    def all_in_order(most: Expression, used: set[str]) -> Query:
        used = used | _always_used(order)
        return in_order(most, columns(used) if _are_kept(used) else None)

    return [
        Source(from_hits, Infix(hits, "<=", Number(HITS_MAX))),
        Source(all_in_order, Infix(hits, ">", Number(HITS_MAX))),
    ]


def with_hits(page: Expression, tables: Tables, *, found: Select, order: tuple[Order, ...], alias: str) -> Expression:
    """Return a page beside what its text finds. Small columns are kept; if others are used, the rows that are shown are
    looked up again."""
    used = columns_of(page, alias) | _always_used(order)
    kept: tuple[Column | As, ...] = columns(used)
    if not _are_kept(used):
        kept = (As(Column("e", tables.key), "key"), *columns({"id", "updated"} & used))
    hits = found._replace(columns=kept, limit=plus(Number(HITS_MAX), 1))
    return Scalar(Select((page,), tables=(With(HITS, hits),)))


def _always_used(order: tuple[Order, ...]) -> set[str]:
    return {"id"} | columns_of(order, "e")


def _are_kept(used: set[str]) -> bool:
    return used <= _COLUMNS.keys()
