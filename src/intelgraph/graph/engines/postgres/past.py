"""The past: the same questions over what the objects were, and one object's versions.

What was not written since a place in the log is as it was: the tables have it. The rest is undone from the log, in a
common table expression that only lists of objects look at; one object is looked up by itself.
"""

from __future__ import annotations

from collections.abc import Callable

from intelgraph.graph.engines.postgres.builder import PLACEMENT, TENANT
from intelgraph.graph.engines.postgres.json_text import json_array, json_name, json_object, json_value
from intelgraph.graph.engines.postgres.nodes import (
    NULL,
    TRUE,
    All,
    As,
    Call,
    Case,
    Cast,
    Column,
    Derived,
    Expression,
    Infix,
    Name,
    Order,
    Row,
    Rows,
    Scalar,
    Select,
    Source,
    Table,
    Text,
    Typed,
    Union,
    call,
    equal,
    plus,
    when,
)
from intelgraph.graph.engines.postgres.objects import Objects, Tables
from intelgraph.graph.engines.postgres.pages import COMPLETE, COUNT, MORE, TRUNCATED, Part, cursor_at, members, one_row
from intelgraph.graph.engines.postgres.weight import FULL_OF_LARGEST
from intelgraph.graph.query.arguments import HISTORY
from intelgraph.graph.query.plan import AsOf, History, Member, Shape

MemberOf = Callable[[Objects, Member], Expression]
"""Writes a member of the answer that asks for data."""
_EPOCH, _POSITION = "epoch", "position"


class TablesThen(Tables):
    """Where the rows of a place in the log are, ``at`` being the alias of its ``ig.point``."""

    key = "id"

    def __init__(self, at: str) -> None:
        self.at = at

    def of(self, table: str, alias: str) -> Source:
        """Return rows that were not written since, and those that are undone."""
        place = Row(tuple(Scalar(Select((Column("p", name),), (Table(self.at, "p"),))) for name in (_EPOCH, _POSITION)))
        written = Row((Column("o", _EPOCH), Column("o", _POSITION)))
        unchanged = Select(
            (Column("o", "*"),), (Table(f"ig.{table}", "o"),),
            where=All((equal(Column("o", "tenant"), TENANT), Infix(written, "<=", place))),
        )  # fmt: skip
        undone = Select((Column("u", "*"),), (Table(f"{self.at}_{table}", "u"),))
        return Derived(Union((unchanged, undone)), alias)

    def one(self, table: str, id_: Expression, alias: str) -> Source:
        """Return the form that one object had."""
        form = call("ig.form_then", TENANT, PLACEMENT, Text(table), id_, Column("p", _EPOCH), Column("p", _POSITION))
        rows = (Table(self.at, "p"), Rows(form, "f"), _row(table, "f"))
        return Derived(Select((Column("o", "*"),), rows), alias)


def _row(table: str, form: str) -> Rows:
    place = (Column(form, _EPOCH), Column(form, _POSITION))
    return Rows(call(f"ig.as_{table}", TENANT, PLACEMENT, *place, Column(form, "object")), "o")


def as_of(objects: Objects, question: AsOf, key: str, member_of: MemberOf) -> Expression:
    """Return the answers of an earlier place in the log; ``key`` is the name of the field that asks for it."""
    builder = objects.builder
    at = builder.alias("past")
    every = TRUE if question.lists else Name("false")
    point = call("ig.point", TENANT, PLACEMENT, builder.value(question.bookmark), builder.value(question.time), every)
    is_readable = equal(Infix(Column("it", "r"), "->>", Text("status")), Text("ok"))
    builder.points.append((at, key))
    builder.table(at, Select((Column("p", "*"),), (Table("it"), Rows(point, "p")), where=is_readable))
    for table in ("entity", "relationship"):
        undone = call("ig.undone", TENANT, PLACEMENT, Text(table), Column("p", _EPOCH), Column("p", _POSITION))
        rows = (Table(at, "p"), Rows(undone, "u"), _row(table, "u"))
        builder.table(f"{at}_{table}", Select((Column("o", "*"),), rows))
    then = objects.at(TablesThen(at))
    made = []
    for member in question.then.members:
        if member.name == "__typename":
            value: Expression = json_name("Past")
        elif member.name == "bookmark":
            value = json_value(Scalar(Select((Column("p", "bookmark"),), (Table(at, "p"),))))
        else:
            value = member_of(then, member)
        made.append((member.key, value))
    return json_object(made)


def _of_object(name: str, *, as_text: bool = False) -> Infix:
    return Infix(Column("x", "object"), "->>" if as_text else "->", Text(name))


_IS_ERASED = equal(_of_object("kind", as_text=True), Text("erased"))
_OBJECT: dict[str, Expression] = {
    "__typename": Typed("text", "ChangedObject"),
    "kind": _of_object("kind", as_text=True),
    "id": _of_object("id", as_text=True),
    "deleted": call("coalesce", Cast(_of_object("deleted", as_text=True), "boolean"), _IS_ERASED),
    "sourceId": _of_object("source"),
    "targetId": _of_object("target"),
    "validFrom": _of_object("valid_from"),
    "validUntil": _of_object("valid_until"),
}


def _object(member: Member) -> Expression:
    return json_object(
        [(below.key, json_value(_OBJECT.get(below.name) or _of_object(below.name))) for below in member.shape.members]
    )


def _version(shape: Shape) -> Expression:
    parts: dict[str, Part] = {
        "bookmark": json_value(Column("x", "bookmark")),
        "writtenAt": json_value(call("ig.stamp", Column("x", "written_at"))),
        "object": _object,
    }
    return members(shape, parts)


def history(objects: Objects, question: History) -> Expression:
    """Return a page of the versions of one object."""
    builder = objects.builder
    id_, limit = builder.value(question.id), builder.value(question.first)
    if builder.weighs:
        # Versions are put together before they are counted: as many as fit, whatever they are.
        limit = call("least", limit, FULL_OF_LARGEST)
    before = NULL if question.after is None else builder.value(question.after)
    more = Infix(COUNT, ">", limit)
    n = Column("x", "n")

    def items(member: Member) -> Expression:
        return json_array(when(Infix(n, "<=", limit), builder.weighed(_version(member.shape))), Order(n))

    is_oldest_gone = call("coalesce", call("bool_or", Column("x", "oldest")), Name("false"))
    last = Call("max", (Column("x", "bookmark"),), where=equal(n, limit))
    parts: dict[str, Part] = {
        "items": items,
        "completeness": Case(((more, MORE), (is_oldest_gone, TRUNCATED)), COMPLETE),
        "next": cursor_at(HISTORY, when(more, last)),
    }
    order = tuple(Order(Column("v", name), descending=True) for name in (_EPOCH, _POSITION))
    versions = Rows(call("ig.versions", TENANT, PLACEMENT, id_, before, plus(limit, 1)), "v")
    numbered = Select((Column("v", "*"), As(Call("row_number", over=order), "n")), (versions,))
    return one_row(members(question.page, parts), Derived(numbered, "x"))
