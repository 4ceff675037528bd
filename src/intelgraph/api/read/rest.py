"""Reading over REST: an entity, pages for export, the tenant's changes as pages or a stream, what became of a key.

The database's JSON passes through unparsed. A page ends after ``limit`` items, or when it has `ig.page_bytes_max()`
bytes, with one item at least: whoever reads goes on until it says that there is no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from intelgraph.api.admission import Admission
from intelgraph.api.database.database import KEY_ANSWER, READ_ENTITY, READ_PAGE
from intelgraph.api.database.readable import Readable
from intelgraph.api.http import problem
from intelgraph.api.http.accept import EVENTS, best
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Answer, Response
from intelgraph.api.idempotency_key import checked_key
from intelgraph.api.read.changes import ask_changes
from intelgraph.api.read.parameters import after_of, checked_bookmark, limit_of, wanted_bookmark, wanted_entity
from intelgraph.api.read.reader import Reader
from intelgraph.api.read.stream import Plain, Start, Streams, as_event
from intelgraph.model.errors import Denied, IntelGraphError

_JSON = b"application/json"
_NULL = msgspec.Raw(b"null")
_PAGE = frozenset({"after", "limit"})


class EntityAnswer(Readable, kw_only=True):
    """What ``ig.read_entity`` answers."""

    entity: msgspec.Raw = _NULL
    bookmark: str | None = None


class PageAnswer(Readable, kw_only=True):
    """What ``ig.read_page`` answers."""

    objects: msgspec.Raw = _NULL
    next: msgspec.Raw = _NULL


@dataclass(frozen=True, kw_only=True)
class RestReads:
    """The handlers of the REST reads. ``limit_max``: how many items a page has at most."""

    admission: Admission
    reader: Reader
    streams: Streams
    limit_max: int

    async def entity(self, request: Request) -> Response:
        """``GET /v1/entities/{id}``."""
        admitted = await self.admission.admit(request)
        entity_id = wanted_entity(request)
        request.query(frozenset())
        bookmark = wanted_bookmark(request)
        arguments = (admitted.placement.id, admitted.principal.tenant, entity_id, bookmark)
        answer = await self.reader.ask(admitted.placement, bookmark, (READ_ENTITY, *arguments), EntityAnswer)
        fresh = self.reader.facts(admitted.placement.id, answer, answer.bookmark)
        if bytes(answer.entity) == b"null":
            denied = Denied(code="not_found", reason="there is no such entity", facts={"id": entity_id})
            missing = problem.of_denied(denied)
            missing.headers.extend(fresh)  # how old this answer is matters as much
            return missing
        return Response(status=200, body=bytes(answer.entity), headers=fresh)

    async def entities(self, request: Request) -> Response:
        """``GET /v1/entities?after=&limit=``."""
        return await self._page(request, "entity")

    async def relationships(self, request: Request) -> Response:
        """``GET /v1/relationships?after=&limit=``."""
        return await self._page(request, "relationship")

    async def outcome(self, request: Request) -> Response:
        """``GET /v1/outcomes/{key}``: every row that carried the key and what became of it."""
        admitted = await self.admission.admit(request)
        request.query(frozenset())
        key = checked_key(request.segment().encode())
        await self.reader.see(admitted, wanted_bookmark(request))
        told = await self.reader.database.call(KEY_ANSWER, admitted.placement.id, admitted.principal.tenant, key)
        return Response(status=200, body=told)

    async def changes(self, request: Request) -> Answer:
        """``GET /v1/changes``: a page, or a stream for whoever prefers one, whose refusals are events too."""
        if best(request.headers.get(b"accept"), (_JSON, EVENTS)) is not EVENTS:
            return await self._changes_page(request)
        try:
            admitted = await self.admission.admit(request)
            query = request.query(_PAGE)
            limit = limit_of(query, self.limit_max)
            after = checked_bookmark(request.header(b"last-event-id") or query.get("after"))
            return await self.streams.follow(request, admitted, Start(after=after, limit=limit), Plain())
        except IntelGraphError as error:
            # The status stays: an ``EventSource`` comes back after a 200, whatever it was told.
            refused = problem.of_error(error)
            refused.body, refused.content_type = as_event(b"end", refused.body), EVENTS
            return refused

    async def _changes_page(self, request: Request) -> Response:
        admitted = await self.admission.admit(request)
        query = request.query(_PAGE)
        limit = limit_of(query, self.limit_max)
        after = checked_bookmark(query.get("after"))
        bookmark = wanted_bookmark(request)
        if bookmark != after:
            await self.reader.see(admitted, bookmark)
        answer = await ask_changes(self.reader, admitted, after, limit)
        told = (bytes(answer.changes), msgspec.json.encode(answer.next), msgspec.json.encode(answer.more))
        body = b'{"changes":%b,"next":%b,"more":%b}' % told
        headers = self.reader.facts(admitted.placement.id, answer, answer.next, stands_ms=answer.stands_ms)
        return Response(status=200, body=body, headers=headers)

    async def _page(self, request: Request, kind: str) -> Response:
        admitted = await self.admission.admit(request)
        query = request.query(_PAGE)
        limit = limit_of(query, self.limit_max)
        bookmark = wanted_bookmark(request)
        arguments = (admitted.placement.id, admitted.principal.tenant, kind, after_of(query), limit, bookmark)
        answer = await self.reader.ask(admitted.placement, bookmark, (READ_PAGE, *arguments), PageAnswer)
        body = b'{"objects":%b,"next":%b}' % (bytes(answer.objects), bytes(answer.next))
        return Response(status=200, body=body, headers=self.reader.facts(admitted.placement.id, answer, None))
