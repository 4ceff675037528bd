"""Lists that are paged: the edges of an entity, and the entities of a tenant.

One row more than was asked for is looked up: it says whether there is more. A page goes on behind the last row's place
in the order, so that it costs the same wherever it is and repeats nothing when rows come and go.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from graphql import GraphQLError

from intelgraph.graph.query.objects import Objects
from intelgraph.graph.query.schema import parse_time
from intelgraph.graph.query.selection import Args, Selected
from intelgraph.graph.query.statement import TENANT, ArgumentRefused, Builder, json_object

FIRST_MAX = 1_000
COUNT_MAX = 10_000
HITS_MAX = 5_000
_IDS_MAX = 1_000
_ONE_ROW = "having true"
"""Makes a page one row even when none of the members that are asked for aggregates."""
_TEXT_CHARS_MAX = 256


def first(args: Args) -> int:
    """Return how many are asked for."""
    return within(args, "first", 0, FIRST_MAX)


def within(args: Args, name: str, low: int, high: int) -> int:
    """Return an argument that is a number between bounds."""
    value = int(args[name])
    if not low <= value <= high:
        raise ArgumentRefused(f"{name} is refused: it must be from {low} to {high}, not {value}")
    return value


def texts(args: Args, name: str, count_max: int = _IDS_MAX) -> list[str]:
    """Return an argument that is a list of texts which PostgreSQL can hold."""
    values: list[str] = args[name]
    if len(values) > count_max:
        raise ArgumentRefused(f"{name} is refused: it names {len(values)}; the limit is {count_max}")
    if any("\x00" in value for value in values):
        raise ArgumentRefused(f"{name} is refused: a text contains the character NUL")
    return values


def text(args: Args, name: str) -> str:
    """Return an argument that is a text which PostgreSQL can hold."""
    value: str = args[name]
    if "\x00" in value:
        raise ArgumentRefused(f"{name} is refused: it contains the character NUL")
    return value


Part = str | Callable[[Selected], str]
"""The SQL of a member, or what makes it: a member may be asked for more than once, with other fields below it."""


def page(fields: tuple[Selected, ...], type_name: str, parts: Mapping[str, Part]) -> str:
    """Return the SQL of a page's object from its members."""
    members = []
    for field in fields:
        part = f"'{type_name}'" if field.name == "__typename" else parts[field.name]
        members.append((field.key, part if isinstance(part, str) else part(field)))
    return json_object(members)


@dataclasses.dataclass(kw_only=True)
class _Rows:
    """The columns that a page's rows need beside their place ``n``: one for each time that ``items`` is asked for."""

    builder: Builder
    item: Callable[[Selected], str]
    columns: list[str] = dataclasses.field(default_factory=list)

    def parts(self, limit: str, cursor: str) -> dict[str, Part]:
        def items(selected: Selected) -> str:
            name = self.builder.alias("item")
            self.columns.append(f"{self.item(selected)} as {name}")
            return f"coalesce(json_agg(x.{name} order by x.n) filter (where x.n <= {limit}), '[]'::json)"

        return {
            "items": items,
            "completeness": f"case when count(*) > {limit} then 'MORE' else 'COMPLETE' end",
            "next": f"case when count(*) > {limit} then max({cursor}) filter (where x.n = {limit}) end",
        }


def edges(objects: Objects, field: Selected, row: str, args: Args) -> str:
    """Return the SQL of ``Entity.edges``; ``args`` decide its form, their values are parameters."""
    builder, number = objects.builder, field.number
    limit = builder.parameter(number, "int", first)
    conditions = ["not r.deleted", f"r.tenant = {TENANT}"]
    if args.get("types") is not None:
        conditions.append(f"r.type = any ({builder.parameter(number, 'text[]', lambda a: texts(a, 'types'))})")
    if args.get("after") is not None:
        conditions.append(f"r.id > {builder.parameter(number, 'text', lambda a: a['after'])}")
    where = " and ".join(conditions)
    most = f"limit {limit} + 1"
    table = objects.rows.of("relationship")
    out = f"select r.*, 'OUT' as way from {table} r where r.source = {row}.id and {where}"
    into = f"select r.*, 'IN' as way from {table} r where r.target = {row}.id and {where}"
    ordered = f"order by r.id {most}"
    rows = {
        "OUT": f"{out} {ordered}",
        # A relationship of an entity with itself is told once: as OUT.
        "IN": f"{into} {ordered}",
        "ANY": f"(({out} {ordered}) union all ({into} and r.source <> r.target {ordered})) order by id {most}",
    }[args["direction"]]
    alias = builder.alias("r")
    wanted = _Rows(builder=builder, item=lambda items: _edge(objects, items, alias))
    answer = page(field.only(), "EdgePage", wanted.parts(limit, "x.id"))
    columns = ", ".join([f"{alias}.id", f"row_number() over (order by {alias}.id) as n", *wanted.columns])
    return f"(select {answer} from (select {columns} from ({rows}) {alias}) x {_ONE_ROW})"


def _edge(objects: Objects, items: Selected, row: str) -> str:
    other = f"case {row}.way when 'OUT' then {row}.target else {row}.source end"
    members = []
    for field in items.only():
        if field.name == "__typename":
            sql = "'Edge'"
        elif field.name == "direction":
            sql = f"{row}.way"
        elif field.name == "neighborId":
            sql = other
        elif field.name == "neighbor":
            sql = objects.entity_by_id(field, other)
        else:
            sql = objects.json("Relationship", field.only(), row)
        members.append((field.key, sql))
    return json_object(members)


_ORDERS = {
    "ID_ASC": ("e.id", None, "asc"),
    "ID_DESC": ("e.id", None, "desc"),
    "UPDATED_ASC": ("e.updated, e.id", "updated", "asc"),
    "UPDATED_DESC": ("e.updated desc, e.id desc", "updated", "desc"),
}


def entities(objects: Objects, field: Selected, args: Args) -> str:
    """Return the SQL of ``Query.entities``."""
    builder, number = objects.builder, field.number
    limit = builder.parameter(number, "int", first)
    order, key, way = _ORDERS[args["orderBy"]]
    if key is None and way == "desc":
        order = "e.id desc"
    matching = " and ".join(["not e.deleted", f"e.tenant = {TENANT}", *_filter(objects, number, args.get("filter"))])
    after = ""
    if args.get("after") is not None:
        beyond = ">" if way == "asc" else "<"
        if key is None:
            after = f" and e.id {beyond} {builder.parameter(number, 'text', lambda a: a['after'])}"
        else:
            at = builder.parameter(number, "timestamptz", lambda a: _updated_cursor(a)[0])
            id_ = builder.parameter(number, "text", lambda a: _updated_cursor(a)[1])
            after = f" and (e.updated, e.id) {beyond} ({at}, {id_})"
    alias = builder.alias("e")
    cursor = "x.id" if key is None else "json_build_array(x.updated, x.id)::text"
    wanted = _Rows(builder=builder, item=lambda items: objects.json("Entity", items.only(), alias))
    table = objects.rows.of("entity")
    live = f"{table} e where {matching}"
    rows = f"select e.* from {live}{after} order by {order} limit {limit} + 1"
    counted, most = f"select from {live}", COUNT_MAX
    hits = ""
    if (args.get("filter") or {}).get("text") is not None:
        # Searched words are found by their index, unless so many entities have them that any page is soon full.
        hits = f"with hits as materialized (select e.id, e.updated from {live} limit {HITS_MAX} + 1) "
        few, many = f"(select count(*) from hits) <= {HITS_MAX}", f"(select count(*) from hits) > {HITS_MAX}"
        first_hits = f"select e.id from hits e where {few}{after} order by {order} limit {limit} + 1"
        found = f"select e.* from ({first_hits}) h join {table} e on e.tenant = {TENANT} and e.id = h.id"
        rows = f"{found} union all (select e.* from {live} and {many}{after} order by {order} limit {limit} + 1)"
        counted, most = "select from hits", HITS_MAX  # a word of very many entities is not looked up again to count on

    def total(asked: Selected) -> str:
        return _total(asked, counted, most)

    answer = page(field.only(), "EntityPage", {**wanted.parts(limit, cursor), "total": total})
    place = f"row_number() over (order by {order.replace('e.', alias + '.')}) as n"
    columns = ", ".join([f"{alias}.id", f"ig.stamp({alias}.updated) as updated", place, *wanted.columns])
    return f"({hits}select {answer} from (select {columns} from ({rows}) {alias}) x {_ONE_ROW})"


def _updated_cursor(args: Args) -> tuple[datetime, str]:
    try:
        at, id_ = json.loads(args["after"])
        return parse_time(at), str(id_)
    except (ValueError, TypeError, RecursionError, GraphQLError):
        raise ArgumentRefused("after is refused: it is no cursor of this order") from None


def _total(field: Selected, rows: str, most: int) -> str:
    parts = {"count": f"least(count(*), {most})", "exact": f"count(*) <= {most}"}
    return f"(select {page(field.only(), 'Total', parts)} from ({rows} limit {most} + 1) t {_ONE_ROW})"


def _filter(objects: Objects, number: int, given: Mapping[str, Any] | None) -> list[str]:
    if given is None:
        return []
    builder = objects.builder

    def bound(type_: str, value: Any) -> str:
        return builder.parameter(number, type_, lambda args: value(args["filter"]))

    conditions: dict[str, Callable[[], str]] = {
        "ids": lambda: f"e.id = any ({bound('text[]', lambda f: texts(f, 'ids'))})",
        "types": lambda: f"e.type = any ({bound('text[]', lambda f: texts(f, 'types'))})",
        "text": lambda: f"e.words @@ ig.word_query({bound('text', _words)})",
        "properties": lambda: f"e.properties @> {bound('jsonb', lambda f: json.dumps(f['properties']).encode())}",
        "confidenceMin": lambda: f"e.confidence >= {bound('int', lambda f: f['confidenceMin'])}",
        "confidenceMax": lambda: f"e.confidence <= {bound('int', lambda f: f['confidenceMax'])}",
        "updatedFrom": lambda: f"e.updated >= {bound('timestamptz', lambda f: f['updatedFrom'])}",
        "updatedBefore": lambda: f"e.updated < {bound('timestamptz', lambda f: f['updatedBefore'])}",
        "validAt": lambda: _valid_at(bound("timestamptz", lambda f: f["validAt"])),
    }
    return [sql() for name, sql in conditions.items() if given.get(name) is not None]


def _valid_at(at: str) -> str:
    return f"coalesce(e.valid_from <= {at}, true) and coalesce(e.valid_until >= {at}, true)"


def _words(given: Mapping[str, Any]) -> str:
    value = text(dict(given), "text")
    if not any(c.isalnum() for c in value) or len(value) > _TEXT_CHARS_MAX:
        raise ArgumentRefused(
            f"text is refused: it must hold a letter or a digit, and {_TEXT_CHARS_MAX} characters at most"
        )
    return value
