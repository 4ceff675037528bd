"""Lists that are paged: the edges of an entity, and the entities of a tenant.

One row more than was asked for is looked up: it says whether there is more. A page goes on behind the last row's place
in the order, so that it costs the same wherever it is and repeats nothing when rows come and go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from intelgraph.graph.query.objects import Objects
from intelgraph.graph.query.schema import parse_time
from intelgraph.graph.query.selection import Args, Selected
from intelgraph.graph.query.statement import TENANT, ArgumentRefused, json_object

FIRST_MAX = 1_000
COUNT_MAX = 10_000
_IDS_MAX = 1_000
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


def page(fields: tuple[Selected, ...], type_name: str, parts: Mapping[str, str]) -> str:
    """Return the SQL of a page's object from the SQL of its members."""
    return json_object(
        [(field.key, f"'{type_name}'" if field.name == "__typename" else parts[field.name]) for field in fields]
    )


def _page_parts(limit: str, cursor: str) -> dict[str, str]:
    return {
        "items": f"coalesce(json_agg(x.item order by x.n) filter (where x.n <= {limit}), '[]'::json)",
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
    out = f"select r.*, 'OUT' as way from ig.relationship r where r.source = {row}.id and {where}"
    into = f"select r.*, 'IN' as way from ig.relationship r where r.target = {row}.id and {where}"
    ordered = f"order by r.id {most}"
    rows = {
        "OUT": f"{out} {ordered}",
        # A relationship of an entity with itself is told once: as OUT.
        "IN": f"{into} {ordered}",
        "ANY": f"(({out} {ordered}) union all ({into} and r.source <> r.target {ordered})) order by id {most}",
    }[args["direction"]]
    items = next((f for f in field.only() if f.name == "items"), None)
    alias = builder.alias("r")
    item = _edge(objects, items, alias) if items is not None else "null::json"
    parts = _page_parts(limit, "x.id")
    return (
        f"(select {page(field.only(), 'EdgePage', parts)} from "
        f"(select {alias}.id, row_number() over (order by {alias}.id) as n, {item} as item from ({rows}) {alias}) x)"
    )


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
    items = next((f for f in field.only() if f.name == "items"), None)
    alias = builder.alias("e")
    item = objects.json("Entity", items.only(), alias) if items is not None else "null::json"
    cursor = "x.id" if key is None else "json_build_array(x.updated, x.id)::text"
    parts = _page_parts(limit, cursor)
    total = next((f for f in field.only() if f.name == "total"), None)
    if total is not None:
        parts["total"] = _total(total, f"select from ig.entity e where {matching}")
    return (
        f"(select {page(field.only(), 'EntityPage', parts)} from "
        f"(select {alias}.id, ig.stamp({alias}.updated) as updated, row_number() "
        f"over (order by {order.replace('e.', alias + '.')}) as n, {item} as item from "
        f"(select e.* from ig.entity e where {matching}{after} order by {order} limit {limit} + 1) {alias}) x)"
    )


def _updated_cursor(args: Args) -> tuple[datetime, str]:
    try:
        at, id_ = json.loads(args["after"])
        return parse_time(at), str(id_)
    except (ValueError, TypeError, RecursionError):
        pass
    except Exception as error:
        raise ArgumentRefused(f"after is refused: it is no cursor of this order ({error})") from None
    raise ArgumentRefused("after is refused: it is no cursor of this order")


def _total(field: Selected, rows: str) -> str:
    parts = {"count": f"least(count(*), {COUNT_MAX})", "exact": f"count(*) <= {COUNT_MAX}"}
    return f"(select {page(field.only(), 'Total', parts)} from ({rows} limit {COUNT_MAX} + 1) t)"


def _filter(objects: Objects, number: int, given: Mapping[str, Any] | None) -> list[str]:
    if given is None:
        return []
    builder = objects.builder

    def bound(type_: str, value: Any) -> str:
        return builder.parameter(number, type_, lambda args: value(args["filter"]))

    conditions: dict[str, Callable[[], str]] = {
        "ids": lambda: f"e.id = any ({bound('text[]', lambda f: texts(f, 'ids'))})",
        "types": lambda: f"e.type = any ({bound('text[]', lambda f: texts(f, 'types'))})",
        "text": lambda: f"ig.words(e.name, e.properties) @@ ig.word_query({bound('text', _words)})",
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
