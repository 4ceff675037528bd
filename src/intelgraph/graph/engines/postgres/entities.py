"""The entities of a tenant, filtered and in an order, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from intelgraph.graph.engines.postgres import search
from intelgraph.graph.engines.postgres.builder import TENANT
from intelgraph.graph.engines.postgres.json_text import json_array_of, json_value
from intelgraph.graph.engines.postgres.nodes import (
    TRUE,
    All,
    AnyOf,
    As,
    Cast,
    Column,
    Derived,
    Expression,
    Infix,
    Join,
    Name,
    Not,
    Number,
    Order,
    Query,
    Row,
    Scalar,
    Select,
    Table,
    call,
    columns_of,
    equal,
    plus,
)
from intelgraph.graph.engines.postgres.nodes import (
    Source as From,
)
from intelgraph.graph.engines.postgres.objects import Objects
from intelgraph.graph.engines.postgres.pages import COUNT, Page, Part, Source, members, one_row
from intelgraph.graph.query import plan
from intelgraph.graph.query.plan import Condition, Entities, Member, Shape

COUNT_MAX = 10_000
"""More rows than this are not counted."""
_TEXT, _TYPES, _IDS = "text", "types", "ids"


def _e(name: str) -> Column:
    return Column("e", name)


_CONDITIONS: Mapping[str, Callable[[Expression], Expression]] = {
    _IDS: lambda value: AnyOf(_e("id"), value),
    _TYPES: lambda value: AnyOf(_e("type"), value),
    _TEXT: lambda value: Infix(_e("words"), "@@", Scalar(Select((call("ig.word_query", TENANT, value),)))),
    "properties": lambda value: Infix(_e("properties"), "@>", value),
    "confidenceMin": lambda value: Infix(_e("confidence"), ">=", value),
    "confidenceMax": lambda value: Infix(_e("confidence"), "<=", value),
    "updatedFrom": lambda value: Infix(_e("updated"), ">=", value),
    "updatedBefore": lambda value: Infix(_e("updated"), "<", value),
    "validAt": lambda value: All(
        (
            call("coalesce", Infix(_e("valid_from"), "<=", value), TRUE),
            call("coalesce", Infix(_e("valid_until"), ">=", value), TRUE),
        )
    ),
}


class _Entities:
    """One question under construction; ``e`` is an entity's row wherever it is looked for."""

    def __init__(self, objects: Objects, question: Entities) -> None:
        self.objects, self.question = objects, question
        builder = objects.builder
        self.limit = builder.value(question.first)
        self.order = _order(question, "e")
        self.after = self._after()
        self.live: tuple[Expression, ...] = (Not(_e("deleted")), equal(_e("tenant"), TENANT))
        self.conditions = {each.name: self._condition(each) for each in question.filter}

    def _condition(self, condition: Condition) -> Expression:
        return _CONDITIONS[condition.name](self.objects.builder.value(condition.value))

    def _after(self) -> tuple[Expression, ...]:
        at = [self.objects.builder.value(value) for value in self.question.after]
        beyond = "<" if self.question.order.descending else ">"
        if len(at) == 2:
            return (Infix(Row((_e("updated"), _e("id"))), beyond, Row(tuple(at))),)
        return tuple(Infix(_e("id"), beyond, id_) for id_ in at)

    @property
    def table(self) -> From:
        return self.objects.tables.of("entity", "e")

    def found(self, *further: Expression) -> Select:
        """Return the query of all entities that meet the conditions, without any order and without columns."""
        return Select((), (self.table,), where=All((*self.live, *self.conditions.values(), *further)))

    def in_order(self, most: Expression, columns: tuple[Column, ...] | None = None) -> Query:
        """Return the query of the page's rows by the order's index; of all columns, if none are named."""
        read = columns if columns is not None else (_e("*"),)
        conditions = dict(self.conditions)
        if _TEXT in conditions:
            # Words that very many have: in this form no index is for them, so that the one of the order is taken.
            conditions[_TEXT] = call("coalesce", conditions[_TEXT], Name("false"))
        if _TYPES in conditions and _IDS not in conditions and not self.question.order.by_time:
            return self._of_types(conditions, read, most)
        where = All((*self.live, *conditions.values(), *self.after))
        return Select(read, (self.table,), where=where, order_by=self.order, limit=most)

    def _of_types(self, conditions: dict[str, Expression], read: tuple[Column, ...], most: Expression) -> Query:
        """Return the query of some types' entities: each type's first, by the index that has them in order."""
        types = conditions.pop(_TYPES)
        assert isinstance(types, AnyOf)
        is_type = equal(_e("type"), Column("k", "type"))
        one = Select(
            read, (self.table,), where=All((*self.live, *conditions.values(), is_type, *self.after)),
            order_by=self.order, limit=most,
        )  # fmt: skip
        each = Select((As(call("unnest", types.array), "type"),), distinct=True)
        rows = Join(Derived(each, "k"), Derived(one, "e"))
        return Select((_e("*"),), (rows,), order_by=self.order, limit=most)


def entities(objects: Objects, question: Entities) -> Expression:
    """Return a page of entities."""
    this, builder = _Entities(objects, question), objects.builder
    if _TEXT in this.conditions and not builder.weighs and question.order is plan.Order.ID_ASC:
        items = question.page.asks_only("items")
        if items is not None and search.is_small(items.shape):
            return _first_found(this, items.shape)
    alias = builder.alias("e")
    sources, counted, most = [Source(lambda most, _: this.in_order(most))], this.found(), COUNT_MAX
    hits: search.Hits | None = None
    if _TEXT in this.conditions:
        hits = search.Hits(objects.tables, found=counted, after=this.after, order=this.order)
        sources = hits.sources(this.in_order)
        # A word of very many entities is not looked up again to count on.
        counted, most = Select((), (Table(search.HITS),)), search.HITS_MAX
    page = Page(
        builder=builder,
        alias=alias,
        item=lambda shape: objects.json(shape, alias),
        sources=sources,
        order=_order(question, alias),
        place=_place(question, alias),
        list_name=question.order.name,
        others={"total": lambda member: _total(member, counted, most)},
    ).json(question.page, this.limit)
    return page if hits is None else hits.beside(page)


def _first_found(this: _Entities, items: Shape) -> Expression:
    alias = this.objects.builder.alias("e")
    item = this.objects.json(items, alias)
    used = {"id"} | columns_of(item, alias)
    texts = search.first_found(
        item,
        alias,
        used=used,
        found=this.found(*this.after),
        in_order=this.in_order(this.limit, search.columns(used)),
        limit=this.limit,
    )
    return members(this.question.page, {"items": json_array_of(texts)})


def _order(question: Entities, alias: str) -> tuple[Order, ...]:
    names = ("updated", "id") if question.order.by_time else ("id",)
    return tuple(Order(Column(alias, name), question.order.descending) for name in names)


def _place(question: Entities, alias: str) -> Expression:
    id_ = Column(alias, "id")
    if not question.order.by_time:
        return id_
    return Cast(call("json_build_array", call("ig.stamp", Column(alias, "updated")), id_), "text")


def _total(member: Member, rows: Select, most: int) -> Expression:
    parts: dict[str, Part] = {
        "count": call("least", COUNT, Number(most)),
        "exact": json_value(Infix(COUNT, "<=", Number(most))),
    }
    counted = replace(rows, limit=plus(Number(most), 1))
    return one_row(members(member.shape, parts), Derived(counted, "t"))
