"""Cursors: what a page of GraphQL gives as ``next`` and takes as ``after``. Opaque to clients, checked here.

A cursor names the list that it is of (with its order), and carries a few digits of a hash, so that what was cut,
altered or made up is refused instead of being taken for some place in the list. It is no secret and proves nothing.
They are made in SQL, by ``ig.page_cursor`` (140_query.sql).
"""

from __future__ import annotations

import hashlib

_DIGITS = 8


def place_of(cursor: str, list_name: str) -> str | None:
    """Return the place that a cursor names, or nothing if it is none of this list."""
    name, _, rest = cursor.partition(":")
    digits, _, place = rest.partition(":")
    return place if name == list_name and digits == _check(list_name, place) else None


def _check(list_name: str, place: str) -> str:
    text = f"{list_name}:{place}".encode(errors="surrogatepass")
    return hashlib.md5(text, usedforsecurity=False).hexdigest()[:_DIGITS]
