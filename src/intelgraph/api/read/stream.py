"""The tenant's changes as server-sent events, as they become readable here, in log order: ``GET /v1/changes`` and
GraphQL's subscriptions, which differ in the ``Form`` of their events alone.

Resumable: an event's ``id`` is its bookmark, ``Last-Event-ID`` (or ``after``) goes on behind it. Bounded: a stream
holds one batch at a time, which ends when it has ``batch_bytes``, and reads no further until the client has taken it,
or while much that the tenant's clients do not take lies here (``Outgoing``); a client that takes nothing for
``stalled_s`` is let go; a worker has so many at most, and fewer for one tenant, each counted until its request ends
(``Streams.open``). Fair: at most ``reads_at_once`` streams of a worker ask the database at a
time, and none for a client that has gone.

How it ends tells whether to come back. When the token expires, the tenant's placement changes or this process stops,
the connection is closed without the body's end: clients take that for a failure, connect again and go on behind their
last bookmark. What connecting again cannot help (``superseded``) ends the body in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec
import orjson

from intelgraph.api.admission import Admitted, Tenants
from intelgraph.api.database.feed import FeedNotices
from intelgraph.api.http import problem
from intelgraph.api.http.accept import EVENTS
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Send, Stream
from intelgraph.api.limits.outgoing import Outgoing
from intelgraph.api.limits.quota import Quota
from intelgraph.api.logs import Log
from intelgraph.api.policy import StreamPolicy
from intelgraph.api.read.changes import ChangesAnswer, ask_changes
from intelgraph.api.read.reader import Reader
from intelgraph.model.errors import Denied, PermanentError, TransientError


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


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a stream begins, and how many changes are read at a time."""

    after: str | None
    limit: int


@dataclass(frozen=True, kw_only=True)
class Streams:
    """The streams of one worker. ``now_s``: the time of day by which tokens are judged (Unix)."""

    reader: Reader
    tenants: Tenants
    feed: FeedNotices
    outgoing: Outgoing
    open: Quota
    log: Log
    now_s: Callable[[], float]
    stopping: asyncio.Event
    turns: asyncio.Semaphore
    """Of those that ask the database: ``policy.reads_at_once``."""
    policy: StreamPolicy
    stalled_s: float

    async def follow(self, request: Request, admitted: Admitted, start: Start, form: Form) -> Stream:
        """Open a stream behind a bookmark; refuses with ``overloaded`` and as a read does."""
        place = self.open.hold(admitted.principal.tenant, retry_after_s=self.policy.retry_after_s)
        place.take()
        request.at_end(place.give_back)
        following = _Following(self, request, admitted, start.limit, form)
        following.first = await self.read(request, admitted, start)
        return Stream(
            run=following.run,
            content_type=EVENTS,
            headers=[(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")],
        )

    async def read(self, request: Request, admitted: Admitted, start: Start) -> ChangesAnswer | None:
        """Return the changes behind a place in the log; nothing is asked for a client that has gone meanwhile."""

        def turn() -> contextlib.AbstractAsyncContextManager[None]:
            return self._turn(request, admitted.principal.tenant)

        try:
            return await ask_changes(
                self.reader, admitted, start.after, start.limit, self.policy.batch_bytes, turn=turn
            )
        except _ClientGone:
            return None

    @contextlib.asynccontextmanager
    async def _turn(self, request: Request, tenant: str) -> AsyncIterator[None]:
        """Have a turn at the database; who waits until there is room for what it answers has none meanwhile."""
        while True:
            await self.outgoing.room(tenant)
            async with self.turns:
                if request.incoming.gone:
                    raise _ClientGone
                if not self.outgoing.is_full(tenant):
                    yield
                    return

    def why_ended(self, admitted: Admitted) -> Denied | None:
        """Say why a stream must end by now, if so."""
        principal = admitted.principal
        if self.stopping.is_set():
            return Denied(code="stopping", reason="the stream ends: this process is stopping; connect again")
        if self.now_s() >= principal.expires_at_s:
            return Denied(code="token_expired", reason="the stream ends: its bearer token has expired")
        located = self.tenants.cached(principal.tenant)
        if located is not None and located.placement.epoch == admitted.placement.epoch:
            return None
        return Denied(
            code="fenced",
            reason="the stream ends: where the tenant lives has changed, or cannot be said now; connect again",
        )


class _ClientGone(Exception):
    """Nobody waits for what would be read."""


class _Following:
    """One open stream."""

    def __init__(self, streams: Streams, request: Request, admitted: Admitted, limit: int, form: Form) -> None:
        self._form = form
        self._streams = streams
        self._request = request
        self._admitted = admitted
        self._limit = limit
        self._spoke_at = time.monotonic()
        self._news = streams.feed.next
        """Tells of what the last batch may not have seen."""
        self.first: ChangesAnswer | None = None
        """What was read before the head was written, until it is sent."""

    async def run(self, send: Send) -> bool:
        """Send batches until the client goes or the stream ends; say whether it has ended for good."""
        async with self._watched_client() as gone:
            answer, self.first = self.first, None
            after = answer.next if answer is not None else None
            while not gone.done():
                ended = self._streams.why_ended(self._admitted)
                if ended is not None:
                    await self._part(send, ended)
                    return False
                try:
                    if answer is None:
                        self._news = self._streams.feed.next
                        start = Start(after=after, limit=self._limit)
                        answer = await self._streams.read(self._request, self._admitted, start)
                        if answer is None:
                            return False
                    _, text = self._form.batch(answer)
                except UNREADABLE as error:
                    self._streams.log.failure("stream_failed", error, request_id=self._request.id.decode())
                    await self._say(send, self._form.end(problem.INTERNAL, resumes=False))
                    return True
                except PermanentError as error:
                    await self._say(send, self._form.end(error.denied, resumes=False))
                    return True
                except TransientError:
                    await self._idle(send)
                    await asyncio.sleep(self._streams.policy.pause_s)
                    continue
                after, more, answer = answer.next, answer.more, None
                if text:
                    await self._say(send, text)
                else:
                    await self._idle(send)
                del text  # what the client has is not needed any more
                if not more:
                    await self._streams.feed.wait(self._news)
        return False

    async def _part(self, send: Send, ended: Denied) -> None:
        """Say why the stream ends, and leave the client the time to take what it was sent.

        Clients read ahead: graphql-sse repeats a broken connection only while it waits for an event.
        """
        await self._say(send, self._form.end(ended, resumes=True))
        await asyncio.sleep(self._streams.policy.parting_s)

    async def _idle(self, send: Send) -> None:
        if time.monotonic() - self._spoke_at >= self._streams.policy.heartbeat_s:
            await self._say(send, b": heartbeat\n\n")

    async def _say(self, send: Send, text: bytes) -> None:
        taken = self._streams.outgoing.hold(self._admitted.principal.tenant, len(text))
        try:
            async with asyncio.timeout(self._streams.stalled_s):
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
        parts.append(b"id: %b\n%b" % (bookmark_of(change).encode(), as_event(b"change", bytes(change))))
    return len(changes_raw), b"".join(parts)


def end_event(denied: Denied, *, resumes: bool) -> bytes:
    """Write the last event of a stream: why it ends, and whether the client shall connect again."""
    members = {"code": denied.code, "reason": denied.reason, "facts": dict(denied.facts), "resumes": resumes}
    return as_event(b"end", orjson.dumps(members))


def as_event(name: bytes, data: bytes) -> bytes:
    """Write one event; its data has no line break."""
    return b"event: %b\ndata: %b\n\n" % (name, data)
