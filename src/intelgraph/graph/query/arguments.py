"""What a field's arguments must be like beyond their types, and the values that are taken out of them.

Each function takes one value; what it refuses is an ``ArgumentRefused``. Nothing here depends on an engine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from graphql import GraphQLError

from intelgraph.graph.query.schema import parse_time
from intelgraph.graph.query.selection import Args
from intelgraph.model.bookmark import Bookmark
from intelgraph.model.cursor import place_of
from intelgraph.model.errors import PermanentError

FIRST_MAX = 1_000
STARTS_MAX = 100
HOPS_MAX = 6
NODES_MAX = 5_000
PATHS_MAX = 100
_IDS_MAX = 1_000
TEXT_CHARS_MAX = 256
EDGES, HISTORY = "edges", "history"
"""What the cursors of these lists say that they are of."""


class ArgumentRefused(Exception):
    """An argument whose value cannot be used, though its type is right. ``reason`` is one sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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
    """Return an argument that is a list of texts which a database can hold."""
    values: list[str] = args[name]
    if len(values) > count_max:
        raise ArgumentRefused(f"{name} is refused: it names {len(values)}; the limit is {count_max}")
    if any("\x00" in value for value in values):
        raise ArgumentRefused(f"{name} is refused: a text contains the character NUL")
    return values


def text(args: Args, name: str) -> str:
    """Return an argument that is a text which a database can hold."""
    value: str = args[name]
    if "\x00" in value:
        raise ArgumentRefused(f"{name} is refused: it contains the character NUL")
    return value


def starts(args: Args) -> list[str]:
    """Return the entities from which a neighborhood is looked for."""
    given = texts(args, "of", STARTS_MAX)
    if not given:
        raise ArgumentRefused("of is refused: it must name at least one entity")
    return given


def searched_text(given: Mapping[str, Any]) -> str:
    """Return the text that a filter looks for."""
    value = text(dict(given), "text")
    if not value:
        raise ArgumentRefused("text is refused: it is empty; it must hold a letter or a digit")
    if len(value) > TEXT_CHARS_MAX:
        raise ArgumentRefused(
            f"text is refused: it has {len(value):,} characters; it may have {TEXT_CHARS_MAX:,} at most"
        )
    if not (value.isalnum() or any(c.isalnum() for c in value)):
        raise ArgumentRefused("text is refused: it holds no letter and no digit, so there is no word to look for")
    return value


def properties(given: Mapping[str, Any]) -> bytes:
    """Return the JSON text of the properties that a filter looks for."""
    return json.dumps(given["properties"]).encode()


def place(args: Args, list_name: str) -> str:
    """Return the place behind which a list goes on; raises ``ArgumentRefused`` if ``after`` is no cursor of it."""
    found = place_of(args["after"], list_name)
    if found is None:
        raise _no_cursor()
    return found


def place_in_time(args: Args) -> tuple[datetime, str]:
    """Return the same of a list of entities in the order of their last changes: a time and an id."""
    try:
        at, id_ = json.loads(place(args, args["orderBy"]))
        return parse_time(at), str(id_)
    except (ValueError, TypeError, RecursionError, GraphQLError):
        raise _no_cursor() from None


def _no_cursor() -> ArgumentRefused:
    return ArgumentRefused("after is refused: it is not what such a list, in this order, gave as `next`")


def past_bookmark(args: Args) -> str | None:
    """Return the bookmark of ``asOf``, which names it or a time."""
    bookmark, time = args.get("bookmark"), args.get("time")
    if bookmark is None and time is None:
        raise ArgumentRefused("asOf is refused: it needs a bookmark or a time, and neither is given")
    if bookmark is not None and time is not None:
        raise ArgumentRefused("asOf is refused: it takes a bookmark or a time, and both are given")
    return None if bookmark is None else checked_bookmark(bookmark, "bookmark")


def past_time(args: Args) -> datetime | None:
    """Return the time of ``asOf``."""
    return args.get("time")


def checked_bookmark(given: str, name: str) -> str:
    """Return a bookmark's text; raises ``ArgumentRefused`` if it is none."""
    try:
        return str(Bookmark.parse(given))
    except PermanentError:
        raise ArgumentRefused(f"{name} is refused: it is no bookmark") from None
