"""Lists that are paged: the edges of an entity, and the entities of a tenant.

One row more than was asked for is looked up: it says whether there is more. A page goes on behind the last row's place
in the order, so that it costs the same wherever it is and repeats nothing when rows come and go.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from graphql import GraphQLError

from intelgraph.graph.query import search
from intelgraph.graph.query.objects import Objects
from intelgraph.graph.query.schema import parse_time
from intelgraph.graph.query.selection import Args, Selected
from intelgraph.graph.query.statement import (
    TENANT,
    ArgumentRefused,
    Builder,
    json_array,
    json_array_of,
    json_object,
    json_value,
)
from intelgraph.model.cursor import place_of

FIRST_MAX = 1_000
COUNT_MAX = 10_000
_IDS_MAX = 1_000
_ONE_ROW = "having true"
"""Makes a page one row even when none of the members that are asked for aggregates."""
_TEXT_CHARS_MAX = 256
_EDGES = "edges"
_OF_TYPES = "e.type = any ("


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


def place(args: Args, list_name: str) -> str:
    """Return the place behind which a list goes on; raises ``ArgumentRefused`` if ``after`` is no cursor of it."""
    found = place_of(args["after"], list_name)
    if found is None:
        raise _no_cursor()
    return found


def _no_cursor() -> ArgumentRefused:
    return ArgumentRefused("after is refused: it is not what such a list, in this order, gave as `next`")


def cursor_at(list_name: str, place_sql: str) -> str:
    """Return the SQL of a cursor's JSON, ``null`` where there is no place."""
    return json_value(f"ig.page_cursor('{list_name}', {place_sql})")


Part = str | Callable[[Selected], str]
"""The SQL of a member's JSON, or what makes it: it may be asked for more than once, with other fields below it."""


def page(fields: tuple[Selected, ...], type_name: str, parts: Mapping[str, Part]) -> str:
    """Return the SQL of a page's object from its members."""
    members = []
    for field in fields:
        part = f"'\"{type_name}\"'" if field.name == "__typename" else parts[field.name]
        members.append((field.key, part if isinstance(part, str) else part(field)))
    return json_object(members)


def _only_items(fields: tuple[Selected, ...]) -> Selected | None:
    """Return the one field of a page that asks for its items, if there is no other."""
    asked = [field for field in fields if field.name != "__typename"]
    return asked[0] if [field.name for field in asked] == ["items"] else None


Source = Callable[[str], str]
"""Takes how many rows there shall be at most; returns the query of so many, in the order of the page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Rows:
    """The rows of a page. ``item`` makes what is told of one, ``alias`` being its name."""

    builder: Builder
    alias: str
    item: Callable[[Selected], str]
    sources: Mapping[str, Source]
    """Where the rows come from, by the condition under which they do; there is one whose condition holds."""
    order: str
    place: str
    """The SQL of a row's place in the order."""
    list_name: str
    """What the list's cursors say that they are of."""

    def page(self, fields: tuple[Selected, ...], type_name: str, limit: str, total: Part = "") -> str:
        """Return the SQL of the page's object. Whether there is more is looked up only if that is asked for."""
        if self.builder.weighs:
            return self._weighed(fields, type_name, limit, total)
        if _only_items(tuple(field for field in fields if field.name != "total")):
            return page(fields, type_name, {"items": lambda items: self._items(items, limit), "total": total})
        place = f"row_number() over (order by {self.order})"
        columns = [f"{place} as n", f"{self.place} as place"]

        def items(selected: Selected) -> str:
            name = self.builder.alias("item")
            # What is looked up only to know that there is more is not made.
            columns.append(f"case when {place} <= {limit} then {self.item(selected)} end as {name}")
            return json_array(f"x.{name}", "x.n")

        more = f"count(*) > {limit}"
        parts: dict[str, Part] = {
            "items": items,
            "completeness": f"case when {more} then '\"MORE\"' else '\"COMPLETE\"' end",
            "next": cursor_at(self.list_name, f"case when {more} then max(x.place) filter (where x.n = {limit}) end"),
            "total": total,
        }
        return self._from(page(fields, type_name, parts), columns, limit)

    def _from(self, answer: str, columns: list[str], limit: str) -> str:
        rows = " union all ".join(
            f"(select * from ({source(f'{limit} + 1')}) s{f' where {condition}' if condition else ''})"
            for condition, source in self.sources.items()
        )
        return f"(select {answer} from (select {', '.join(columns)} from ({rows}) {self.alias}) x {_ONE_ROW})"

    def _weighed(self, fields: tuple[Selected, ...], type_name: str, limit: str, total: Part) -> str:
        """Return the SQL of a page that ends when it is full, and says so.

        Where nothing of the answer could say so, and where items are asked for twice, it is refused.
        """
        place = f"row_number() over (order by {self.order})"
        columns = [f"{place} as n", f"{self.place} as place"]
        lists: dict[str, str] = {}
        for field in fields:
            if field.name == "items":
                name, number = self.builder.alias("item"), self.builder.page()
                room = f"{place} <= {limit} and ig.room({number}, {place} = 1)"
                columns.append(f"case when {room} then ig.put_on({number}, {self.item(field)}) end as {name}")
                lists[field.key] = name
        shown = f"least({', '.join([limit, *(f'count(x.{name})' for name in lists.values())])})"
        is_cut = f"{shown} < least({limit}, count(*))"
        says_so = len(lists) < 2 and not {"completeness", "next"}.isdisjoint(field.name for field in fields)

        def items(selected: Selected) -> str:
            made = json_array(f"x.{lists[selected.key]}", "x.n")
            return made if says_so else f"case when {is_cut} then ig.cut_unsaid() else {made} end"

        parts: dict[str, Part] = {
            "items": items,
            "completeness": f"case when {is_cut} then '\"TRUNCATED\"' when count(*) > {limit} then '\"MORE\"' "
            "else '\"COMPLETE\"' end",
            "next": cursor_at(
                self.list_name,
                f"case when count(*) > {shown} then (array_agg(x.place order by x.n))[({shown})::int] end",
            ),
            "total": total,
        }
        return self._from(page(fields, type_name, parts), columns, limit)

    def _items(self, selected: Selected, limit: str) -> str:
        item = self.item(selected)
        lists = {c: f"array(select {item} from ({source(limit)}) {self.alias})" for c, source in self.sources.items()}
        *others, (_, last) = lists.items()
        chosen = " ".join(f"when {condition} then {list_}" for condition, list_ in others)
        return json_array_of(f"case {chosen} else {last} end" if others else last)


def edges(objects: Objects, field: Selected, row: str, args: Args) -> str:
    """Return the SQL of ``Entity.edges``; ``args`` decide its form, their values are parameters."""
    builder, number = objects.builder, field.number
    limit = builder.parameter(number, "int", first)
    conditions = ["not r.deleted", f"r.tenant = {TENANT}"]
    if args.get("types") is not None:
        conditions.append(f"r.type = any ({builder.parameter(number, 'text[]', lambda a: texts(a, 'types'))})")
    if args.get("after") is not None:
        conditions.append(f"r.id > {builder.parameter(number, 'text', lambda a: place(a, _EDGES))}")
    where = " and ".join(conditions)
    table = objects.rows.of("relationship")
    out = f"select r.*, 'OUT' as way from {table} r where r.source = {row}.id and {where} order by r.id"
    # A relationship of an entity with itself is told once, as OUT: also when only IN is asked for.
    loop_is_out = "case when r.source = r.target then 'OUT' else 'IN' end as way"
    into = f"select r.*, {loop_is_out} from {table} r where r.target = {row}.id and {where}"
    way = args["direction"]

    def rows(most: str) -> str:
        if way == "OUT":
            return f"{out} limit {most}"
        if way == "IN":
            return f"{into} order by r.id limit {most}"
        others = f"{into} and r.source <> r.target order by r.id"
        return f"(({out} limit {most}) union all ({others} limit {most})) order by id limit {most}"

    alias = builder.alias("r")
    return _Rows(
        builder=builder, alias=alias, item=lambda items: _edge(objects, items, alias, way), sources={"": rows},
        order=f"{alias}.id", place=f"{alias}.id", list_name=_EDGES,
    ).page(field.only(), "EdgePage", limit)  # fmt: skip


def _edge(objects: Objects, items: Selected, row: str, way: str) -> str:
    other = {"OUT": f"{row}.target", "IN": f"{row}.source"}.get(
        way, f"case {row}.way when 'OUT' then {row}.target else {row}.source end"
    )
    members = []
    for field in items.only():
        if field.name == "__typename":
            sql = "'\"Edge\"'"
        elif field.name == "direction":
            sql = f"json_scalar({row}.way)"
        elif field.name == "neighborId":
            sql = f"json_scalar({other})"
        elif field.name == "neighbor":
            sql = objects.entity_by_id(field, other)
        else:
            sql = objects.json("Relationship", field.only(), row)
        members.append((field.key, sql))
    return json_object(members)


_ORDERS = {
    "ID_ASC": ("e.id", None, "asc"),
    "ID_DESC": ("e.id desc", None, "desc"),
    "UPDATED_ASC": ("e.updated, e.id", "updated", "asc"),
    "UPDATED_DESC": ("e.updated desc, e.id desc", "updated", "desc"),
}


def entities(objects: Objects, field: Selected, args: Args) -> str:
    """Return the SQL of ``Query.entities``."""
    builder, number = objects.builder, field.number
    limit = builder.parameter(number, "int", first)
    order, key, way = _ORDERS[args["orderBy"]]
    asked = {"": f"not e.deleted and e.tenant = {TENANT}", **_filter(objects, number, args.get("filter"))}
    after = ""
    if args.get("after") is not None:
        beyond = ">" if way == "asc" else "<"
        if key is None:
            after = f" and e.id {beyond} {builder.parameter(number, 'text', lambda a: place(a, a['orderBy']))}"
        else:
            at = builder.parameter(number, "timestamptz", lambda a: _updated_cursor(a)[0])
            id_ = builder.parameter(number, "text", lambda a: _updated_cursor(a)[1])
            after = f" and (e.updated, e.id) {beyond} ({at}, {id_})"
    table = objects.rows.of("entity")
    live = f"{table} e where {' and '.join(asked.values())}"
    # Words that very many have: in this form no index is for them, so that the one of the order is taken.
    filtered = {**asked, **({"text": f"coalesce({asked['text']}, false)"} if "text" in asked else {})}

    def in_order(most: str) -> str:
        if "types" in asked and "ids" not in asked and key is None:
            return _of_types(table, filtered, f"{after} order by {order} limit {most}")
        where = " and ".join(filtered.values())
        return f"select <columns> from {table} e where {where}{after} order by {order} limit {most}"

    items = None if builder.weighs or args["orderBy"] != "ID_ASC" else _only_items(field.only())
    if "text" in asked and items is not None and search.is_small(items):
        alias = builder.alias("e")
        item = objects.json("Entity", items.only(), alias)
        listed = json_array_of(search.first_found(item, alias, f"{live}{after}", in_order(limit), limit))
        return page(field.only(), "EntityPage", {"items": listed})

    sources: dict[str, Source] = {"": in_order}
    counted, most = f"select from {live}", COUNT_MAX
    if "text" in asked:
        # Searched words are found by their index, unless so many entities have them that any page is soon full.
        sources = {
            f"(select count(*) from hits) <= {search.HITS_MAX}": lambda most: f"<found {most}>",
            f"(select count(*) from hits) > {search.HITS_MAX}": in_order,
        }
        # A word of very many entities is not looked up again to count on.
        counted, most = "select from hits", search.HITS_MAX
    alias = builder.alias("e")
    answer = _Rows(
        builder=builder, alias=alias, item=lambda items: objects.json("Entity", items.only(), alias), sources=sources,
        order=order.replace("e.", f"{alias}."),
        place=f"{alias}.id" if key is None else f"json_build_array(ig.stamp({alias}.updated), {alias}.id)::text",
        list_name=args["orderBy"],
    ).page(field.only(), "EntityPage", limit, lambda asked: _total(asked, counted, most))  # fmt: skip
    if "text" not in asked:
        return answer.replace("<columns>", "e.*")
    used = {"id", *re.findall(r"\be\.(\w+)", order), *re.findall(rf"\b{alias}\.(\w+)", answer)}
    again = f"{table} e on e.tenant = {TENANT} and e.{objects.rows.key} = h.key"
    kept, columns, rows = _hits(used, again, objects.rows.key)
    found = re.sub("<found (.*?)>", lambda of: rows.format(after=after, order=order, most=of[1]), answer)
    found = found.replace("<columns>", columns)
    return f"(with hits as materialized (select {kept} from {live} limit {search.HITS_MAX} + 1) select {found})"


def _hits(used: set[str], again: str, key: str) -> tuple[str, str, str]:
    """Return what a search keeps of all that it finds, what is read of a row, and the query of the first rows of it.

    Small columns are kept; if others are used, the rows that are shown are looked up again.
    """
    first_of = "from hits e where true{after} order by {order} limit {most}"
    if used <= search.COLUMNS.keys():
        columns = ", ".join(f"e.{name}" for name in sorted(used))
        return columns, columns, f"select {columns} {first_of}"
    kept = ", ".join(f"e.{name}" for name in sorted({"id", "updated"} & used))
    return (
        f"e.{key} as key, {kept}",
        "e.*",
        f"select e.* from (select e.key {first_of}) h join {again} order by {{order}}",
    )


def _of_types(table: str, asked: Mapping[str, str], ordered: str) -> str:
    """Return the query of some types' entities: each type's first, by the index that has them in order."""
    types = asked["types"].removeprefix(_OF_TYPES).removesuffix(")")
    others = " and ".join(sql for name, sql in asked.items() if name != "types")
    one = f"select <columns> from {table} e where {others} and e.type = k.type{ordered}"
    last = ordered[ordered.index(" order by") :]
    return f"select e.* from (select distinct unnest({types}) as type) k cross join lateral ({one}) e{last}"


def _updated_cursor(args: Args) -> tuple[datetime, str]:
    try:
        at, id_ = json.loads(place(args, args["orderBy"]))
        return parse_time(at), str(id_)
    except (ValueError, TypeError, RecursionError, GraphQLError):
        raise _no_cursor() from None


def _total(field: Selected, rows: str, most: int) -> str:
    parts = {"count": f"least(count(*), {most})", "exact": json_value(f"count(*) <= {most}")}
    return f"(select {page(field.only(), 'Total', parts)} from ({rows} limit {most} + 1) t {_ONE_ROW})"


def _filter(objects: Objects, number: int, given: Mapping[str, Any] | None) -> dict[str, str]:
    if given is None:
        return {}
    builder = objects.builder

    def bound(type_: str, value: Any) -> str:
        return builder.parameter(number, type_, lambda args: value(args["filter"]))

    conditions: dict[str, Callable[[], str]] = {
        "ids": lambda: f"e.id = any ({bound('text[]', lambda f: texts(f, 'ids'))})",
        "types": lambda: f"{_OF_TYPES}{bound('text[]', lambda f: texts(f, 'types'))})",
        "text": lambda: f"e.words @@ (select ig.word_query({TENANT}, {bound('text', _words)}))",
        "properties": lambda: f"e.properties @> {bound('jsonb', lambda f: json.dumps(f['properties']).encode())}",
        "confidenceMin": lambda: f"e.confidence >= {bound('int', lambda f: f['confidenceMin'])}",
        "confidenceMax": lambda: f"e.confidence <= {bound('int', lambda f: f['confidenceMax'])}",
        "updatedFrom": lambda: f"e.updated >= {bound('timestamptz', lambda f: f['updatedFrom'])}",
        "updatedBefore": lambda: f"e.updated < {bound('timestamptz', lambda f: f['updatedBefore'])}",
        "validAt": lambda: _valid_at(bound("timestamptz", lambda f: f["validAt"])),
    }
    return {name: sql() for name, sql in conditions.items() if given.get(name) is not None}


def _valid_at(at: str) -> str:
    return f"coalesce(e.valid_from <= {at}, true) and coalesce(e.valid_until >= {at}, true)"


def _words(given: Mapping[str, Any]) -> str:
    value = text(dict(given), "text")
    if not value:
        raise ArgumentRefused("text is refused: it is empty; it must hold a letter or a digit")
    if len(value) > _TEXT_CHARS_MAX:
        raise ArgumentRefused(
            f"text is refused: it has {len(value):,} characters; it may have {_TEXT_CHARS_MAX:,} at most"
        )
    if not (value.isalnum() or any(c.isalnum() for c in value)):
        raise ArgumentRefused("text is refused: it holds no letter and no digit, so there is no word to look for")
    return value
