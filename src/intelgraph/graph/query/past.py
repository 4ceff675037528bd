"""The past: ``Query.asOf``, the same fields over what the objects were, and ``Query.history``, one object's versions.

What was not written since a place in the log is as it was: the tables have it. The rest is undone from the log, in a
common table expression that only lists of objects look at; one object is looked up by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from intelgraph.graph.query.objects import Objects, Rows
from intelgraph.graph.query.pages import Part, cursor_at, first, page, place, text
from intelgraph.graph.query.selection import Args, Selected
from intelgraph.graph.query.statement import PLACEMENT, TENANT, ArgumentRefused, json_array, json_object, json_value
from intelgraph.graph.query.weight import FULL_OF_LARGEST
from intelgraph.model.bookmark import Bookmark
from intelgraph.model.errors import PermanentError

_HISTORY = "history"
Member = Callable[[Objects, Selected], str]


class RowsThen(Rows):
    """Where the rows of a place in the log are, ``at`` being the alias of its ``ig.point``."""

    key = "id"

    def __init__(self, at: str) -> None:
        self.at = at

    def of(self, table: str) -> str:
        unchanged = (
            f"select o.* from ig.{table} o where o.tenant = {TENANT} "
            f"and (o.epoch, o.position) <= ((select p.epoch from {self.at} p), (select p.position from {self.at} p))"
        )
        return f"({unchanged} union all select u.* from {self.at}_{table} u)"

    def one(self, table: str, id_sql: str) -> str:
        form = f"ig.form_then({TENANT}, {PLACEMENT}, '{table}', {id_sql}, p.epoch, p.position)"
        return f"(select o.* from {self.at} p, {form} f, {_row(table, 'f')} o)"


def _row(table: str, form: str) -> str:
    return f"ig.as_{table}({TENANT}, {PLACEMENT}, {form}.epoch, {form}.position, {form}.object)"


def as_of(objects: Objects, field: Selected, members: Mapping[str, Member]) -> str:
    """Return the SQL of ``Query.asOf``; ``members`` write the fields that ask for data."""
    builder, number = objects.builder, field.number
    bookmark = builder.parameter(number, "text", _bookmark)
    time = builder.parameter(number, "timestamptz", _time)
    at = builder.alias("past")
    whole = "true" if any(below.name in ("entities", "stats") or _lists(below) for below in field.only()) else "false"
    point = f"ig.point({TENANT}, {PLACEMENT}, {bookmark}, {time}, {whole})"
    builder.points.append((at, field.key))
    builder.tables.append(f"{at} as materialized (select p.* from it, {point} p where it.r ->> 'status' = 'ok')")
    for table in ("entity", "relationship"):
        undone = f"ig.undone({TENANT}, {PLACEMENT}, '{table}', p.epoch, p.position)"
        undone_rows = f"select o.* from {at} p, {undone} u, {_row(table, 'u')} o"
        builder.tables.append(f"{at}_{table} as materialized ({undone_rows})")
    then = objects.at(RowsThen(at))
    parts = []
    for below in field.only():
        if below.name == "__typename":
            sql = "'\"Past\"'"
        elif below.name == "bookmark":
            sql = json_value(f"(select p.bookmark from {at} p)")
        else:
            sql = members[below.name](then, below)
        parts.append((below.key, sql))
    return json_object(parts)


def _lists(field: Selected) -> bool:
    return field.name == "edges" or any(_lists(below) for some in field.fields.values() for below in some)


def _bookmark(args: Args) -> str | None:
    bookmark, time = args.get("bookmark"), args.get("time")
    if bookmark is None and time is None:
        raise ArgumentRefused("asOf is refused: it needs a bookmark or a time, and neither is given")
    if bookmark is not None and time is not None:
        raise ArgumentRefused("asOf is refused: it takes a bookmark or a time, and both are given")
    return None if bookmark is None else checked_bookmark(bookmark, "bookmark")


def _time(args: Args) -> datetime | None:
    return args.get("time")


def checked_bookmark(given: str, name: str) -> str:
    """Return a bookmark's text; raises ``ArgumentRefused`` if it is none."""
    try:
        return str(Bookmark.parse(given))
    except PermanentError:
        raise ArgumentRefused(f"{name} is refused: it is no bookmark") from None


_OBJECT = {
    "kind": "x.object ->> 'kind'",
    "id": "x.object ->> 'id'",
    "deleted": "coalesce((x.object ->> 'deleted')::boolean, x.object ->> 'kind' = 'erased')",
    "sourceId": "x.object -> 'source'",
    "targetId": "x.object -> 'target'",
    "validFrom": "x.object -> 'valid_from'",
    "validUntil": "x.object -> 'valid_until'",
}


def _object(selected: Selected) -> str:
    made = {**_OBJECT, "__typename": "text 'ChangedObject'"}
    return json_object(
        [(field.key, json_value(made.get(field.name, f"x.object -> '{field.name}'"))) for field in selected.only()]
    )


def _version(selected: Selected) -> str:
    parts: dict[str, Part] = {
        "bookmark": json_value("x.bookmark"),
        "writtenAt": json_value("ig.stamp(x.written_at)"),
        "object": _object,
    }
    return page(selected.only(), "Version", parts)


def history(objects: Objects, field: Selected, args: Args) -> str:
    """Return the SQL of ``Query.history``."""
    builder, number = objects.builder, field.number
    id_ = builder.parameter(number, "text", lambda a: text(a, "id"))
    limit = builder.parameter(number, "int", first)
    if builder.weighs:
        # Versions are put together before they are counted: as many as fit, whatever they are.
        limit = f"least({limit}, {FULL_OF_LARGEST})"
    before = "null"
    if args.get("after") is not None:
        before = builder.parameter(number, "text", lambda a: checked_bookmark(place(a, _HISTORY), "after"))
    more = f"count(*) > {limit}"
    order = "order by v.epoch desc, v.position desc"

    def items(asked: Selected) -> str:
        return json_array(f"case when x.n <= {limit} then {builder.weighed(_version(asked))} end", "x.n")

    parts: dict[str, Part] = {
        "items": items,
        "completeness": f"case when {more} then '\"MORE\"' when coalesce(bool_or(x.oldest), false) "
        "then '\"TRUNCATED\"' else '\"COMPLETE\"' end",
        "next": cursor_at(_HISTORY, f"case when {more} then max(x.bookmark) filter (where x.n = {limit}) end"),
    }
    answer = page(field.only(), "History", parts)
    versions = f"ig.versions({TENANT}, {PLACEMENT}, {id_}, {before}, {limit} + 1) v"
    return f"(select {answer} from (select v.*, row_number() over ({order}) as n from {versions}) x having true)"
