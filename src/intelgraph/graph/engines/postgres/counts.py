"""How much there is, by type and by time."""

from __future__ import annotations

from msgspec.structs import replace

from intelgraph.graph.engines.postgres.builder import TENANT
from intelgraph.graph.engines.postgres.json_text import json_array, json_list, json_name, json_object, json_value
from intelgraph.graph.engines.postgres.nodes import (
    All,
    As,
    Call,
    Column,
    Derived,
    Expression,
    Infix,
    Not,
    Number,
    Order,
    Scalar,
    Select,
    Text,
    call,
    equal,
    plus,
    when,
)
from intelgraph.graph.engines.postgres.objects import Objects
from intelgraph.graph.engines.postgres.pages import COUNT, completeness, members, one_row
from intelgraph.graph.query.plan import Created, Member, Shape, Stats

TYPES_MAX = 10_000
"""More types than this are not listed."""
_TYPE, _N, _K = Column("c", "type"), Column("c", "n"), Column("c", "k")


def stats(objects: Objects, question: Stats) -> Expression:
    """Return what is counted: both tables are counted by type, once each."""
    return json_object([(member.key, _count(objects, member)) for member in question.counts.members])


def _count(objects: Objects, member: Member) -> Expression:
    if member.name == "__typename":
        return json_name("Stats")
    live = _live(objects, "entity" if member.name.startswith("entit") else "relationship")
    if isinstance(member.of, Created):
        return _created(objects, member.of, live)
    type_ = Column("o", "type")
    number = As(Call("row_number", over=()), "k")
    counted = Derived(replace(live, columns=(type_, As(COUNT, "n"), number), group_by=(type_,)), "c")
    if not isinstance(member.of, Shape):
        return Scalar(Select((call("coalesce", call("sum", _N), Number(0)),), (counted,)))
    item = members(member.of, {"type": json_value(_TYPE), "count": _N})
    listed = when(Infix(_K, ">", Number(TYPES_MAX)), call("ig.too_large"), item)
    return json_list(listed, [Order(_N, descending=True), Order(_TYPE)], counted)


def _live(objects: Objects, table: str) -> Select:
    where = All((equal(Column("o", "tenant"), TENANT), Not(Column("o", "deleted"))))
    return Select((), (objects.tables.of(table, "o"),), where=where)


def _created(objects: Objects, question: Created, live: Select) -> Expression:
    limit = objects.builder.value(question.first)
    span = call("date_trunc", Text(question.unit.lower()), Column("o", "created"), Text("UTC"))
    at = Number(1)
    spans = replace(
        live,
        columns=(As(span, "at"), As(COUNT, "n")),
        group_by=(at,),
        order_by=(Order(at, descending=True),),
        limit=plus(limit, 1),
    )

    def items(member: Member) -> Expression:
        from_ = json_value(call("ig.stamp", Column("c", "at")))
        item = members(member.shape, {"from": from_, "count": _N})
        return json_array(when(Infix(_K, "<=", limit), item), Order(_K))

    parts = {"items": items, "completeness": completeness(Infix(COUNT, ">", limit))}
    number = As(Call("row_number", over=(Order(Column("s", "at"), descending=True),)), "k")
    numbered = Select((Column("s", "*"), number), (Derived(spans, "s"),))
    return one_row(members(question.counts, parts), Derived(numbered, "c"))
