"""Answering on one HTTP/1.1 connection: the queue of its requests, their answers, and how the connection ends.

Guarantees: requests are answered one at a time, in their order; a request reaches the application once its head is
there, with as much of its body as came with it; an answer leaves in one piece; what is not a request (``parser``) is
refused behind the answers of those before it, and ends the connection. A connection is idle from when nothing waits to
be sent any more: idle for ``idle_s`` between two answers it is closed (for twice as long if something still comes), and
so is one whose client takes nothing of what waits for ``stalled_s``; a client that reads slowly gets all of its answer.
A body that nobody wanted is thrown away up to ``unwanted_bytes_max``; beyond that, and after an answer that says so,
the connection ends: once nothing has come for ``linger_s``, after ``linger_s_max`` at the latest. What comes until then
is read and thrown away. Which process accepts (``server``) and what all connections share (``connections``) does not
belong here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

from intelgraph.api.http import problem
from intelgraph.api.http.heads import CLOSE, Heads, lines_of
from intelgraph.api.http.kernel_buffer import unacknowledged
from intelgraph.api.http.parser import NotARequest, RequestParser
from intelgraph.api.http.policy import HttpPolicy
from intelgraph.api.http.request import Request, RequestIds
from intelgraph.api.http.response import Header, Response, Stream
from intelgraph.model.errors import Denied
from intelgraph.model.head_refusals import MALFORMED, MALFORMED_BODY


class Worker(Protocol):
    """What the connections of one worker share, as one of them sees it."""

    loop: asyncio.AbstractEventLoop
    heads: Heads
    ids: RequestIds
    policy: HttpPolicy
    open: set[Connection]
    last_answers: bool

    @property
    def serve(self) -> Callable[[Connection, Request], Coroutine[Any, Any, None]]:
        """What answers one request."""
        ...

    def admit(self, connection: Connection) -> bool:
        """Count a connection in, unless it is one too many."""
        ...


class Connection(asyncio.Protocol):
    """One connection: what comes goes through its parser, its requests wait in a queue, their answers leave."""

    def __init__(self, all_: Worker) -> None:
        self._all = all_
        self._policy = all_.policy
        self._parser = RequestParser(
            ids=all_.ids, on_request=self._enqueue, on_part=self._take_part, on_wanted=self._wanted
        )
        self._transport: asyncio.Transport
        self._queue: deque[Request] = deque()
        self._serving: Request | None = None
        self.task: asyncio.Task[None] | None = None
        self._unwanted_bytes = 0
        self._deaf = False
        """Nothing that comes is parsed any more: those that are here are the last requests."""
        self._refusal: Denied | None = None
        """What is said behind their answers, if what came after them was no request."""
        self._closing = False
        """The answer under way is the last."""
        self._lingers = self._is_silent = False
        self._idle_since = self._progressed_at = all_.loop.time()
        self._overdue = (0.0, 0.0)
        """Since when it was idle that a look found idle for too long, and when that look was."""
        self._waited = 0
        """How many bytes waited to be taken by the client at the last look."""
        self._drained: asyncio.Future[None] | None = None
        self._reading = True
        self.gone = False

    # What the event loop says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; one connection too many is not taken."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour only
        if not self._all.admit(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and begin with the first request if there is one."""
        self._is_silent = False
        if self._deaf:
            self._throw_away(len(data))
            return
        try:
            if not self._parser.feed(data):
                self._deaf = True  # no other protocol is spoken here: the request is answered, then the connection ends
        except NotARequest as error:
            self._refuse(error.denied)
            return
        if self._queue and self._serving is None:
            self._next()
        arriving = self._parser.arriving
        lies_here = arriving is not None and arriving.size > self._policy.buffered_bytes_max and not arriving.whole
        if not self._lingers and (lies_here or len(self._queue) > self._policy.pipelined_max):
            self._read(False)

    def eof_received(self) -> None:
        """The client sends nothing more, which is how one goes: the transport closes itself."""

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody who waits for the client."""
        self.gone = True
        self._parser.close()
        if self._serving is None:
            self._all.open.discard(self)
        for request in (self._serving, *self._queue):
            if request is not None:
                request.incoming.lose()
        self._queue.clear()
        self.resume_writing()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        self._drained = self._all.loop.create_future()

    def resume_writing(self) -> None:
        """There is room again."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        if self._serving is None and not self.gone:
            self._idle_since = self._all.loop.time()
            self._next()

    # What the parser says.

    def _enqueue(self, request: Request) -> None:
        """A request's head is there: it waits for its turn."""
        self._unwanted_bytes = 0
        self._queue.append(request)

    def _take_part(self, part: bytes) -> None:
        """A part of the body; of one that is answered already it is thrown away."""
        arriving = self._parser.arriving
        if self._serving is None and not self._queue:
            self._throw_away(len(part))
        elif arriving is not None:
            arriving.add(part)

    def _wanted(self) -> None:
        serving = self._serving
        if serving is not None and serving.headers.pop(b"expect", b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self._reading:
            self._read(True)

    # What the application does.

    def respond(self, request: Request, answer: Response) -> None:
        """Send a whole answer."""
        if self.gone:
            return
        lines = [self._all.heads.head(answer.status, answer.content_type, answer.headers)]
        lines.append(b"x-request-id: %b\r\n" % request.id)
        if answer.headers:
            lines.append(lines_of(answer.headers))
            self._closing = self._closing or CLOSE in answer.headers
        self._say_whether_last(request, lines, answer.headers)
        lines.append(b"content-length: %d\r\n%b\r\n" % (len(answer.body), self._all.heads.date))
        if request.bodiless:
            self._transport.write(b"".join(lines))
        elif len(answer.body) <= self._policy.one_write_bytes_max:
            lines.append(answer.body)
            self._transport.write(b"".join(lines))
        else:
            self._transport.write(b"".join(lines))
            self._transport.write(answer.body)

    async def stream(self, request: Request, answer: Stream) -> None:
        """Send an answer that goes on until its ``run`` returns; one that is not whole ends the connection."""
        lines = [self._all.heads.head(200, answer.content_type, answer.headers), b"x-request-id: %b\r\n" % request.id]
        lines.append(lines_of(answer.headers))
        self._closing = self._closing or request.old
        self._say_whether_last(request, lines, answer.headers)
        lines.append(self._all.heads.date + (b"\r\n" if request.old else b"transfer-encoding: chunked\r\n\r\n"))
        self._transport.write(b"".join(lines))
        if request.bodiless:
            return

        async def send(part: bytes) -> None:
            if self.gone or not part:
                return
            self._transport.write(part if request.old else b"%x\r\n%b\r\n" % (len(part), part))
            if self._drained is not None:
                await asyncio.shield(self._drained)

        whole = False
        try:
            whole = await answer.run(send)
        finally:
            if not whole:
                self._closing = True
            elif not self.gone and not request.old:
                self._transport.write(b"0\r\n\r\n")

    def when_taken(self, tell: Callable[[], None]) -> None:
        """Tell when the client has taken what it was sent, or has gone."""
        if self._drained is None:
            tell()
        else:
            self._drained.add_done_callback(lambda _: tell())

    def finish(self, request: Request) -> None:
        """The request was answered: go on with the next, or end."""
        self._serving = self.task = None
        if self.gone:
            self._all.open.discard(self)
            return
        self._idle_since = self._all.loop.time()
        if self._closing or not request.keeps_alive or self._all.last_answers:
            self._end(politely=not request.incoming.whole)
            return
        if not request.incoming.whole:
            self._throw_away(len(request.incoming.take()))
        if not self._reading and len(self._queue) <= self._policy.pipelined_max:
            self._read(True)
        self._next()

    def end_when_idle(self) -> None:
        """End now, or behind the answer that is under way."""
        if self._serving is None:
            self._end(politely=False)

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    @property
    def owes(self) -> bool:
        """Whether a client that is still here has not taken all of its answers."""
        return self._transport.get_write_buffer_size() > 0

    def look(self, now: float) -> None:
        """End what has been idle, or has lingered, for too long, and what waits for a client that takes nothing."""
        if self._serving is not None:
            return
        policy, waits = self._policy, self._transport.get_write_buffer_size()
        if not waits and now - self._idle_since <= (policy.linger_s if self._lingers else policy.idle_s):
            return
        if not (waits or self._is_silent or (self._lingers and now - self._progressed_at > policy.linger_s_max)):
            self._is_silent = True  # as far as was read: what came while this process had to wait is read by then
            if self._overdue[0] != self._idle_since:
                self._overdue = self._idle_since, now
            if self._lingers or now - self._overdue[1] <= policy.idle_s:  # what comes may yet become a request
                return
        waits = waits or unacknowledged(self._transport)
        if not waits:
            self._transport.abort()
        elif waits != self._waited:
            self._waited, self._progressed_at, self._idle_since = waits, now, now
        elif now - self._progressed_at > policy.stalled_s:
            self._transport.abort()

    def _next(self) -> None:
        """Begin with the next request, or end if there can be none."""
        if self._drained is not None:
            return
        if self._queue:
            self._serving = request = self._queue.popleft()
            self.task = self._all.loop.create_task(self._all.serve(self, request))
        elif self._deaf and not self._lingers:
            if self._refusal is not None:
                answer = problem.of_denied(self._refusal)
                head = self._all.heads.head(answer.status, answer.content_type, [])
                rest = b"connection: close\r\ncontent-length: %d\r\n%b\r\n" % (len(answer.body), self._all.heads.date)
                self._transport.write(head + rest + answer.body)
            self._end(politely=True)

    def _say_whether_last(self, request: Request, lines: list[bytes], headers: list[Header]) -> None:
        last = self._deaf and not self._queue and self._refusal is None
        if last or self._closing or not request.keeps_alive or self._all.last_answers:
            if CLOSE not in headers:
                lines.append(b"connection: close\r\n")
        elif request.old:
            lines.append(b"connection: keep-alive\r\n")

    def _read(self, on: bool) -> None:
        if self._transport.is_closing():
            return
        self._reading = on
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _throw_away(self, size: int) -> None:
        self._unwanted_bytes += size
        if self._lingers:
            self._idle_since = min(self._all.loop.time(), self._progressed_at + self._policy.linger_s_max)
        elif self._unwanted_bytes > self._policy.unwanted_bytes_max and self._serving is None:
            self._end(politely=True)

    def _refuse(self, denied: Denied) -> None:
        """Take no more: behind the requests that are here, what came is refused."""
        self._deaf = True
        arriving = self._parser.arriving
        if arriving is not None and not arriving.whole:
            # it broke off in this one's body: its own answer says so
            arriving.lose(MALFORMED_BODY if denied is MALFORMED else denied)
        else:
            self._refusal = denied
        if self._serving is None:
            self._next()

    def _end(self, *, politely: bool) -> None:
        """Close; ``politely``: the client may still be sending, and would lose the answer if this end closed first.

        So all that it sends is read and thrown away, however much that is, until nothing has come for ``linger_s``: a
        close before it has read the answer takes the answer back, and an edge says that nobody was reached.
        """
        self._deaf = self._closing = True
        self._queue.clear()  # their clients were told that there is no answer
        if self._transport.is_closing():
            return
        if politely and not self._lingers:
            self._lingers = True
            self._idle_since = self._progressed_at = self._all.loop.time()
            self._unwanted_bytes = 0
            if not self._reading:
                self._read(True)
            self._transport.write_eof()
        else:
            self._transport.close()
