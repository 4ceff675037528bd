"""What a read's head may say: the bookmark that it must see, and a page's place and size. Pure."""

from __future__ import annotations

from intelgraph.api.http.request import Request
from intelgraph.model.bookmark import Bookmark
from intelgraph.model.errors import refuse
from intelgraph.model.form import quoted

PAGE_DEFAULT = 100
"""How many items a page has whose client does not say."""
_ID_LENGTH_MAX = 256


def wanted_entity(request: Request) -> str:
    """Return the id of the entity that a path names; refuses with ``bad_request`` what is none."""
    entity_id = request.segment()
    if not 1 <= len(entity_id) <= _ID_LENGTH_MAX:
        raise refuse(
            "bad_request",
            f"the request is refused: an id has 1 to {_ID_LENGTH_MAX} characters, this one {len(entity_id)}",
        )
    return entity_id


def wanted_bookmark(request: Request) -> str | None:
    """Return the bookmark that the read must see, if it names one."""
    return checked_bookmark(request.header(b"ig-bookmark"))


def checked_bookmark(text: str | None) -> str | None:
    """Return a bookmark's text if it is one, or nothing if there is none; else ``bad_bookmark``."""
    return None if text is None else str(Bookmark.parse(text))


def limit_of(query: dict[str, str], limit_max: int) -> int:
    """Return the page's size; refuses what is not a number from 1 to the limit."""
    text = query.get("limit")
    if text is None:
        return min(PAGE_DEFAULT, limit_max)
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= limit_max:
        raise refuse(
            "bad_request",
            f"the request is refused: limit is {quoted(text)}; it must be a number from 1 to {limit_max}",
            limit=limit_max,
        )
    return int(text)


def after_of(query: dict[str, str]) -> str | None:
    """Return the id behind which a page begins; it need not exist. An empty one is before all ids."""
    given = query.get("after")
    if given is not None and len(given) > _ID_LENGTH_MAX:
        raise refuse(
            "bad_request",
            f"the request is refused: after is an id, which has {_ID_LENGTH_MAX} characters at most, not {len(given)}",
        )
    return given
