"""Reading: an entity, pages for export, the tenant's changes, what became of a key.

Every read is one statement, so data, refusal and staleness belong to one snapshot. A read with a bookmark sees that
write or is refused with a type; it waits at most ``bookmark_wait_s`` for it. ``IG-Staleness-Ms`` is an upper bound: the
age of the newest of this region's own clock readings that has come back through the home's log; at the home, for how
long its lease has been over. The database's JSON passes through unparsed. A page ends after ``limit`` items, or when it
has `ig.page_bytes_max()` bytes, with one item at least: whoever reads goes on until it says that there is no more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from intelgraph.api import problem
from intelgraph.api.database.database import (
    KEY_ANSWER,
    READ_CHANGES,
    READ_ENTITY,
    READ_PAGE,
    READ_SOME_CHANGES,
    READABLE,
)
from intelgraph.api.door import Admitted, Door
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Header, Response
from intelgraph.api.read.bookmarks import Readable
from intelgraph.api.write.write import checked_key
from intelgraph.model.bookmark import Bookmark
from intelgraph.model.errors import Denied, IntelGraphError, refuse, retry
from intelgraph.model.form import quoted
from intelgraph.model.placement import Placement

PAGE_DEFAULT = 100
_ID_LENGTH_MAX = 256
_NULL = msgspec.Raw(b"null")
_NS_PER_MS = 1_000_000


class EntityAnswer(Readable, kw_only=True):
    """What ``ig.read_entity`` answers."""

    entity: msgspec.Raw = _NULL
    bookmark: str | None = None


class PageAnswer(Readable, kw_only=True):
    """What ``ig.read_page`` answers."""

    objects: msgspec.Raw = _NULL
    next: msgspec.Raw = _NULL


class ChangesAnswer(Readable, kw_only=True):
    """What ``ig.read_changes`` answers."""

    changes: msgspec.Raw = _NULL
    next: str | None = None
    more: bool = False
    """There are more: the page was full, of changes or of bytes."""
    stands_ms: int = 0
    """For how long the home's log has handed out nothing new, although more was written."""


A = TypeVar("A", bound=Readable)


async def read_entity(door: Door, request: Request) -> Response:
    """``GET /v1/entities/{id}``."""
    admitted = await door.admit(request)
    entity_id = request.segment()
    request.query(frozenset())
    if not 1 <= len(entity_id) <= _ID_LENGTH_MAX:
        raise refuse(
            "bad_request",
            f"the request is refused: an id has 1 to {_ID_LENGTH_MAX} characters, this one {len(entity_id)}",
        )
    bookmark = wanted_bookmark(request)
    arguments = (admitted.placement.id, admitted.principal.tenant, entity_id, bookmark)
    answer = await ask(door, admitted.placement, bookmark, (READ_ENTITY, *arguments), EntityAnswer)
    fresh = facts(door, admitted.placement.id, answer, answer.bookmark)
    if bytes(answer.entity) == b"null":
        missing = problem.of_denied(Denied(code="not_found", reason="there is no such entity", facts={"id": entity_id}))
        missing.headers.extend(fresh)  # how old this answer is matters as much
        return missing
    return Response(status=200, body=bytes(answer.entity), headers=fresh)


async def read_entities(door: Door, request: Request) -> Response:
    """``GET /v1/entities?after=&limit=``."""
    return await _read_page(door, request, "entity")


async def read_relationships(door: Door, request: Request) -> Response:
    """``GET /v1/relationships?after=&limit=``."""
    return await _read_page(door, request, "relationship")


async def read_changes(door: Door, request: Request) -> Response:
    """``GET /v1/changes?after=&limit=``, one page of it."""
    admitted = await door.admit(request)
    query = request.query(frozenset({"after", "limit"}))
    limit = limit_of(query, door.policy.changes_limit_max)
    after = checked_bookmark(query.get("after"))
    await _see(door, admitted, wanted_bookmark(request), besides=after)
    answer = await ask_changes(door, admitted, after, limit)
    told = (bytes(answer.changes), msgspec.json.encode(answer.next), msgspec.json.encode(answer.more))
    body = b'{"changes":%b,"next":%b,"more":%b}' % told
    headers = facts(door, admitted.placement.id, answer, answer.next, stands_ms=answer.stands_ms)
    return Response(status=200, body=body, headers=headers)


async def read_outcome(door: Door, request: Request) -> Response:
    """``GET /v1/outcomes/{key}``: every row that carried the key and what became of it."""
    admitted = await door.admit(request)
    request.query(frozenset())
    key = checked_key(request.segment().encode())
    await _see(door, admitted, wanted_bookmark(request), besides=None)
    told = await door.database.call(KEY_ANSWER, admitted.placement.id, admitted.principal.tenant, key)
    return Response(status=200, body=told)


async def ask_changes(
    door: Door, admitted: Admitted, after: str | None, limit: int, bytes_max: int | None = None
) -> ChangesAnswer:
    """Read the tenant's changes after a bookmark, waiting for the bookmark's own row if need be.

    ``bytes_max``: where they end, if sooner than a page.
    """
    arguments = (admitted.placement.id, admitted.principal.tenant, after, limit)
    statement = (READ_CHANGES, *arguments) if bytes_max is None else (READ_SOME_CHANGES, *arguments, bytes_max)
    return await ask(door, admitted.placement, after, statement, ChangesAnswer)


async def ask(
    door: Door, placement: Placement, bookmark: str | None, statement: tuple[object, ...], answers: type[A]
) -> A:
    """Send one statement, again after the bookmark's row has arrived, and refuse what is not ``ok``."""

    async def send() -> A:
        return msgspec.json.decode(await door.database.call(*statement), type=answers)  # type: ignore[arg-type]

    return await ask_until_seen(door, placement, bookmark, send)


async def ask_until_seen(door: Door, placement: Placement, bookmark: str | None, send: Callable[[], Awaitable[A]]) -> A:
    """Ask, again after the bookmark's row has arrived, and refuse what is not ``ok``."""
    answer = await send()
    if bookmark is not None and answer.may_still_come:
        began = time.monotonic()
        arrived = await door.waiters.wait(placement.id, bookmark, door.policy.bookmark_wait_s)
        door.metrics.bookmark_wait.observe(time.monotonic() - began)
        if arrived:
            answer = await send()
    if answer.status != "ok":
        raise refusal(door, answer, bookmark)
    return answer


async def _see(door: Door, admitted: Admitted, bookmark: str | None, *, besides: str | None) -> None:
    """Wait until a bookmark is visible here, for statements that do not look at it themselves."""
    if bookmark is None or bookmark == besides:
        return
    place = admitted.placement
    await ask(door, place, bookmark, (READABLE, [place.id], [bookmark]), Readable)


async def _read_page(door: Door, request: Request, kind: str) -> Response:
    admitted = await door.admit(request)
    query = request.query(frozenset({"after", "limit"}))
    limit = limit_of(query, door.policy.changes_limit_max)
    bookmark = wanted_bookmark(request)
    arguments = (admitted.placement.id, admitted.principal.tenant, kind, _after(query), limit, bookmark)
    answer = await ask(door, admitted.placement, bookmark, (READ_PAGE, *arguments), PageAnswer)
    body = b'{"objects":%b,"next":%b}' % (bytes(answer.objects), bytes(answer.next))
    return Response(status=200, body=body, headers=facts(door, admitted.placement.id, answer, None))


def _after(query: dict[str, str]) -> str | None:
    """Return the id behind which a page begins; it need not exist. An empty one is before all ids."""
    given = query.get("after")
    if given is not None and len(given) > _ID_LENGTH_MAX:
        raise refuse(
            "bad_request",
            f"the request is refused: after is an id, which has {_ID_LENGTH_MAX} characters at most, not {len(given)}",
        )
    return given


def refusal(door: Door, answer: Readable, bookmark: str | None) -> IntelGraphError:
    """Build the refusal of a read that this region cannot answer."""
    reason = answer.reason or answer.status
    if answer.status == "refused":
        return refuse(answer.code or "refused", reason)
    if answer.status == "unsettled":
        return retry("too_far_behind", reason, retry_after_s=1.0)
    if answer.status == "superseded":
        return refuse(
            "superseded",
            f"the read is refused: the write {bookmark} was cut off when a later epoch opened and has not been adopted",
            bookmark=bookmark,
        )
    if answer.status == "waiting":
        return retry(
            "too_far_behind",
            f"the read is refused: the write {bookmark} has not arrived in {door.region} within "
            f"{door.policy.bookmark_wait_s:g} s",
            retry_after_s=1.0,
            bookmark=bookmark,
        )
    if answer.status in ("held", "gap"):
        return retry(answer.status, answer.reason or f"the row {bookmark} is held here", retry_after_s=1.0)
    if answer.status == "foreign":
        return refuse(
            "bad_bookmark",
            f"the bookmark {bookmark} is refused: no write of this graph can have it: it is of another graph, or of "
            "data that was wiped",
            bookmark=bookmark,
        )
    if answer.may_still_come:
        return retry(
            "too_far_behind",
            f"the read is refused: the tenant's placement has not arrived in {door.region} yet",
            retry_after_s=1.0,
        )
    return refuse("bad_bookmark", f"the bookmark {bookmark} is refused: its row was not addressed to {door.region}")


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


def facts(door: Door, placement: str, answer: Readable, bookmark: str | None, *, stands_ms: int = 0) -> list[Header]:
    """Build the headers that say how fresh the answer is; ``stands_ms``: how old it is at least."""
    over_for_s = door.lease.over_for_s(placement) if answer.home == door.region else None
    stale_ms = staleness_ms(door.region, answer, over_for_s)
    if stale_ms.isdigit() and int(stale_ms) < stands_ms:
        stale_ms = b"%d" % stands_ms
    headers = [(b"ig-staleness-ms", stale_ms)]
    if bookmark is not None:
        headers.append((b"ig-bookmark", bookmark.encode()))
    return headers


def staleness_ms(region: str, answer: Readable, over_for_s: float | None) -> bytes:
    """Return an upper bound of the answer's age in whole milliseconds, rounded up, or ``unknown``.

    A home that has no lease may have a successor that it has not heard of: it is as old as its lease is over.
    """
    if answer.home == region:
        return b"unknown" if over_for_s is None else str(math.ceil(over_for_s * 1000)).encode()
    if answer.token_ns is None:
        return b"unknown"
    age_ns = time.monotonic_ns() - answer.token_ns
    return b"unknown" if age_ns < 0 else str(-(-age_ns // _NS_PER_MS)).encode()
