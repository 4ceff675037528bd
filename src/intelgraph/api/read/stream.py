"""The tenant's changes as server-sent events, as they become readable here, in log order: ``GET /v1/changes`` and
GraphQL's subscriptions, which differ in the ``Form`` of their events alone.

Resumable: an event's ``id`` is its bookmark, ``Last-Event-ID`` (or ``after``) goes on behind it. Bounded: a stream
holds one batch at a time, which ends when it has ``_BATCH_BYTES``, and reads no further until the client has taken it,
or while much that the tenant's clients do not take lies here (``Outgoing``); a client that takes nothing for
``STALLED_S`` is let go; a worker has ``STREAMS_MAX`` at most, ``STREAMS_OF_TENANT_MAX`` for one tenant, each counted
until its request ends (``Door.streams``). Fair: at most ``_READS_AT_ONCE`` streams of a worker ask the database at a
time, and none for a client that has gone.

How it ends tells whether to come back. When the token expires, the tenant's placement changes or this process stops,
the connection is closed without the body's end: clients take that for a failure, connect again and go on behind their
last bookmark. What connecting again cannot help (``superseded``) ends the body in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import msgspec
import orjson

from intelgraph.api import problem
from intelgraph.api.door import Admitted, Door
from intelgraph.api.http.accept import EVENTS, best
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Answer, Send, Stream
from intelgraph.api.read.read import ChangesAnswer, ask_changes, checked_bookmark, limit_of, read_changes
from intelgraph.model.errors import Denied, IntelGraphError, PermanentError, TransientError

HEARTBEAT_S = 10.0
STALLED_S = 30.0
STREAMS_MAX = 500
STREAMS_OF_TENANT_MAX = 100
"""In one worker: nobody else's streams are refused because one tenant opens all there can be."""
_READS_AT_ONCE = 2
_PAUSE_S = 0.5
_BATCH_BYTES = 262_144
"""Where a batch ends, with one change at least."""
_PARTING_S = 0.2
_JSON = b"application/json"
_RETRY_AFTER_S = 5.0
_reads = asyncio.Semaphore(_READS_AT_ONCE)


class _Change(msgspec.Struct):
    bookmark: str


class Form(Protocol):
    """How a batch of changes, the reason of a stream's end and a refusal are written as events."""

    def batch(self, answer: ChangesAnswer) -> tuple[int, bytes]:
        """Return how many changes there were, and the events of those that are told."""
        ...

    def end(self, denied: Denied, *, resumes: bool) -> bytes:
        """Return what a stream ends with; ``resumes``: its client shall connect again."""
        ...


class Plain:
    """The events of ``/v1/changes``."""

    def batch(self, answer: ChangesAnswer) -> tuple[int, bytes]:
        """Tell every change as it is."""
        return events(answer)

    def end(self, denied: Denied, *, resumes: bool) -> bytes:
        """Tell the reason in an ``end`` event."""
        return end_event(denied, resumes=resumes)


async def changes(door: Door, request: Request) -> Answer:
    """``GET /v1/changes``: a page, or a stream for whoever prefers one, whose refusals are events too."""
    if best(request.headers.get(b"accept"), (_JSON, EVENTS)) is not EVENTS:
        return await read_changes(door, request)
    try:
        admitted = await door.admit(request)
        query = request.query(frozenset({"after", "limit"}))
        limit = limit_of(query, door.policy.changes_limit_max)
        after = checked_bookmark(request.header(b"last-event-id") or query.get("after"))
        return await follow(door, request, admitted, Start(after=after, limit=limit), Plain())
    except IntelGraphError as error:
        # The status stays: an ``EventSource`` comes back after a 200, whatever it was told.
        refused = problem.of_error(error)
        refused.body, refused.content_type = _event(b"end", refused.body), EVENTS
        return refused


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a stream begins, and how many changes are read at a time."""

    after: str | None
    limit: int


async def follow(door: Door, request: Request, admitted: Admitted, start: Start, form: Form) -> Stream:
    """Open a stream behind a bookmark; refuses with ``overloaded`` and as a read does."""
    place = door.streams.hold(admitted.principal.tenant, retry_after_s=_RETRY_AFTER_S)
    place.take()
    request.at_end(place.give_back)
    first = await _read(door, request, admitted, start)
    following = _Following(door, request, admitted, start.limit, form)
    following.first = first
    return Stream(
        run=following.run,
        content_type=EVENTS,
        headers=[(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")],
    )


async def _read(door: Door, request: Request, admitted: Admitted, start: Start) -> ChangesAnswer | None:
    """Return the changes behind a place in the log; nothing is asked for a client that has gone meanwhile."""
    async with _reads:
        if request.incoming.gone:
            return None
        return await ask_changes(door, admitted, start.after, start.limit, _BATCH_BYTES)


class _Following:
    """One open stream."""

    def __init__(self, door: Door, request: Request, admitted: Admitted, limit: int, form: Form) -> None:
        self._form = form
        self._door = door
        self._request = request
        self._admitted = admitted
        self._limit = limit
        self._spoke_at = time.monotonic()
        self.first: ChangesAnswer | None = None
        """What was read before the head was written, until it is sent."""

    async def run(self, send: Send) -> bool:
        """Send batches until the client goes or the stream ends; say whether it has ended for good."""
        async with self._watched_client() as gone:
            answer, self.first = self.first, None
            after = answer.next if answer is not None else None
            while not gone.done():
                ended = self._ended()
                if ended is not None:
                    await self._part(send, ended)
                    return False
                try:
                    if answer is None:
                        start = Start(after=after, limit=self._limit)
                        answer = await _read(self._door, self._request, self._admitted, start)
                        if answer is None:
                            return False
                    _, text = self._form.batch(answer)
                except UNREADABLE as error:
                    self._door.log.failure("stream_failed", error, request_id=self._request.id.decode())
                    await self._say(send, self._form.end(problem.INTERNAL, resumes=False))
                    return True
                except PermanentError as error:
                    await self._say(send, self._form.end(error.denied, resumes=False))
                    return True
                except TransientError:
                    await self._idle(send)
                    await asyncio.sleep(_PAUSE_S)
                    continue
                after, more, answer = answer.next, answer.more, None
                if text:
                    await self._say(send, text)
                del text  # what the client has is not needed any more
                if not more:
                    await self._idle(send)
                    await self._door.feed.wait()
        return False

    async def _part(self, send: Send, ended: Denied) -> None:
        """Say why the stream ends, and leave the client the time to take what it was sent.

        Clients read ahead: graphql-sse repeats a broken connection only while it waits for an event.
        """
        await self._say(send, self._form.end(ended, resumes=True))
        await asyncio.sleep(_PARTING_S)

    def _ended(self) -> Denied | None:
        principal = self._admitted.principal
        if self._door.stopping.is_set():
            return Denied(code="stopping", reason="the stream ends: this process is stopping; connect again")
        if self._door.authenticator.now_s() >= principal.expires_at_s:
            return Denied(code="token_expired", reason="the stream ends: its bearer token has expired")
        located = self._door.directory.cached(principal.tenant)
        if located is not None and located.placement.epoch == self._admitted.placement.epoch:
            return None
        return Denied(
            code="fenced",
            reason="the stream ends: where the tenant lives has changed, or cannot be said now; connect again",
        )

    async def _idle(self, send: Send) -> None:
        if time.monotonic() - self._spoke_at >= HEARTBEAT_S:
            await self._say(send, b": heartbeat\n\n")

    async def _say(self, send: Send, text: bytes) -> None:
        taken = self._door.database.outgoing.hold(self._admitted.principal.tenant, len(text))
        try:
            async with asyncio.timeout(STALLED_S):
                await send(text)
        finally:
            taken()
        self._spoke_at = time.monotonic()

    @contextlib.asynccontextmanager
    async def _watched_client(self) -> AsyncIterator[asyncio.Task[None]]:
        """Watch for the client's end: sending to a client that has gone raises nothing."""
        gone = asyncio.create_task(self._request.incoming.lost())
        try:
            yield gone
        except TimeoutError:
            return
        finally:
            gone.cancel()


UNREADABLE = (msgspec.MsgspecError, RecursionError, KeyError, TypeError, ValueError, AttributeError)
"""What happens where a change is not what a change must be."""


def bookmark_of(change: msgspec.Raw) -> str:
    """Return the bookmark of a change."""
    return msgspec.json.decode(change, type=_Change).bookmark


def unreadable(bookmark: str) -> Denied:
    """Build what is told instead of a change that cannot be told: a stream goes on behind it."""
    return Denied(
        code="change_unreadable",
        reason=f"the change {bookmark} is left out: it has not the form of a change; the stream goes on behind it",
        facts={"bookmark": bookmark},
    )


def events(answer: ChangesAnswer) -> tuple[int, bytes]:
    """Write a batch as events: how many, and their bytes. A change's JSON passes through on one line."""
    parts: list[bytes] = []
    changes_raw = msgspec.json.decode(answer.changes, type=list[msgspec.Raw])
    for change in changes_raw:
        parts.append(b"id: %b\n%b" % (bookmark_of(change).encode(), _event(b"change", bytes(change))))
    return len(changes_raw), b"".join(parts)


def end_event(denied: Denied, *, resumes: bool) -> bytes:
    """Write the last event of a stream: why it ends, and whether the client shall connect again."""
    members = {"code": denied.code, "reason": denied.reason, "facts": dict(denied.facts), "resumes": resumes}
    return _event(b"end", orjson.dumps(members))


def _event(name: bytes, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, data)
