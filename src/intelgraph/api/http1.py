"""HTTP/1.1 on one connection: httptools parses, this decides. Requests of a connection are answered one at a time.

Guarantees: a request reaches the application once its head is there, with as much of its body as came with it; an
answer leaves in one piece; what is not HTTP is answered 400, a head beyond ``HEAD_BYTES_MAX`` 431, and both end the
connection. A connection on which nothing happens for ``IDLE_S`` between two answers is closed. A body that nobody
wanted is thrown away up to ``UNWANTED_BYTES_MAX``; beyond that, and after an answer that says so, the connection ends
once the client has had ``LINGER_S`` to read the answer. Which process accepts does not belong here (``server``).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast

import httptools

from intelgraph.api.incoming import BUFFERED_MAX, Incoming
from intelgraph.api.request import SINGLE, Request
from intelgraph.api.response import Header, Response, Stream

HEAD_BYTES_MAX = 65_536
UNWANTED_BYTES_MAX = 1_048_576
CONNECTIONS_MAX = 4_096
PIPELINED_MAX = 16
IDLE_S = 30.0
LINGER_S = 2.0
_SWEEP_S = 1.0
_ON_ITS_WAY_S = 0.02
"""A request that was sent before this end stops is answered, not reset."""
_ONE_WRITE_BYTES = 65_536
_HEADS_KEPT_MAX = 200
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_METHODS = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")}
_CLOSE = (b"connection", b"close")

Serve = Callable[["Connection", Request], Coroutine[Any, Any, None]]


class Connections:
    """All connections of one worker, and what their answers share. ``serve`` answers one request."""

    def __init__(self, serve: Serve, every: list[Header]) -> None:
        self.serve = serve
        self.stopping = False
        self.open: set[Connection] = set()
        """Also those whose client has gone while an answer was made."""
        self.loop = asyncio.get_running_loop()
        self._every = every
        self._names = frozenset(name for name, _ in every)
        self._heads: dict[tuple[int, bytes, bool], bytes] = {}
        self.date = b""
        self._sweep()

    def make(self) -> Connection:
        """Make the protocol of a connection that was accepted."""
        return Connection(self)

    def head(self, status: int, content_type: bytes, headers: list[Header]) -> bytes:
        """Return the first lines of an answer: what is the same for all of its kind."""
        bare = bool(headers) and not self._names.isdisjoint(name for name, _ in headers)
        key = (status, content_type, bare)
        found = self._heads.get(key)
        if found is None:
            every = [] if bare else self._every
            first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d Other\r\n" % status
            found = first + _lines([(b"content-type", content_type), *every])
            if len(self._heads) < _HEADS_KEPT_MAX:
                self._heads[key] = found
        return found + _lines([each for each in self._every if each[0] not in dict(headers)]) if bare else found

    async def stop(self, within_s: float) -> None:
        """End the connections: idle ones now, the others behind their answers, all of them after ``within_s``."""
        self.stopping = True
        await asyncio.sleep(_ON_ITS_WAY_S)
        for connection in list(self.open):
            connection.end_when_idle()
        tasks = [connection.task for connection in self.open if connection.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)
        for connection in list(self.open):
            connection.abort()

    def _sweep(self) -> None:
        self.date = b"date: %b\r\n" % formatdate(time.time(), usegmt=True).encode()
        now = self.loop.time()
        for connection in list(self.open):
            connection.look(now)
        self.loop.call_later(_SWEEP_S, self._sweep)


def _lines(headers: list[Header]) -> bytes:
    for name, value in headers:
        if b"\r" in value or b"\n" in value or b"\n" in name:
            raise ValueError("a header of an answer has a line break")
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def _origin_form(target: bytes) -> bytes:
    """Return the path and query of a target that names scheme and host too; others as they are."""
    _, scheme_ends, rest = target.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if scheme_ends else target


class Connection(asyncio.Protocol):
    """One connection: the parser's callbacks, the queue of requests, the answers."""

    def __init__(self, all_: Connections) -> None:
        self._all = all_
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._queue: deque[Request] = deque()
        self._serving: Request | None = None
        self.task: asyncio.Task[None] | None = None
        self._arriving: Incoming | None = None
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._repeated: bytes | None = None
        self._head_bytes = 0
        self._unwanted_bytes = 0
        self._in_head = False
        self._deaf = False
        """Nothing that comes is parsed any more: those that are here are the last requests."""
        self._refusal: int | None = None
        """What is said behind their answers, if what came after them was no request."""
        self._closing = False
        """The answer under way is the last."""
        self._lingers = False
        self._idle_since = all_.loop.time()
        self._drained: asyncio.Future[None] | None = None
        self._reading = True
        self.gone = False

    # What the event loop says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; one connection too many is not taken."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour only
        if len(self._all.open) >= CONNECTIONS_MAX or self._all.stopping:
            self._transport.abort()
            return
        self._all.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and begin with the first request if there is one."""
        if self._deaf:
            self._throw_away(len(data))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # no other protocol is spoken here: the request is answered, then the connection ends
        except httptools.HttpParserError:
            self._refuse(400)
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(431)
                return
        if self._queue and self._serving is None:
            self._next()
        if len(self._queue) > PIPELINED_MAX or (
            self._arriving is not None and self._arriving.size > BUFFERED_MAX and not self._arriving.whole
        ):
            self._read(False)

    def eof_received(self) -> None:
        """The client sends nothing more, which is how one goes: the transport closes itself."""

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody who waits for the client."""
        self.gone = True
        del self._parser  # it holds this connection's callbacks, and would keep it until the collector comes
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

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self._headers, self._repeated = b"", {}, None
        self._in_head, self._head_bytes, self._unwanted_bytes = True, 0, 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        name = name.lower()
        if name in self._headers:
            if name in SINGLE:
                self._repeated = name
            elif name == b"accept":
                value = b"%b, %b" % (self._headers[name], value)  # the lines of a list are one list
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        """The head is there: the request waits for its turn."""
        self._in_head = False
        self._arriving = incoming = Incoming(self._wanted)
        method = self._parser.get_method()
        target = self._url if self._url.startswith(b"/") else _origin_form(self._url)
        request = Request(
            _METHODS.get(method) or method.decode("latin-1"), target, self._headers, self._repeated, incoming
        )
        request.keeps_alive = self._parser.should_keep_alive()
        request.old = self._parser.get_http_version() == "1.0"
        self._queue.append(request)

    def on_body(self, part: bytes) -> None:
        """A part of the body; of one that is answered already it is thrown away."""
        assert self._arriving is not None
        if self._serving is None and not self._queue:
            self._throw_away(len(part))
        else:
            self._arriving.add(part)

    def on_message_complete(self) -> None:
        """The body is whole."""
        assert self._arriving is not None
        self._arriving.end()

    # What the application does.

    def respond(self, request: Request, answer: Response) -> None:
        """Send a whole answer."""
        if self.gone:
            return
        lines = [self._all.head(answer.status, answer.content_type, answer.headers)]
        lines.append(b"x-request-id: %b\r\n" % request.id)
        if answer.headers:
            lines.append(_lines(answer.headers))
            self._closing = self._closing or _CLOSE in answer.headers
        self._say_whether_last(request, lines, answer.headers)
        lines.append(b"content-length: %d\r\n%b\r\n" % (len(answer.body), self._all.date))
        if request.method == "HEAD":
            self._transport.write(b"".join(lines))
        elif len(answer.body) <= _ONE_WRITE_BYTES:
            lines.append(answer.body)
            self._transport.write(b"".join(lines))
        else:
            self._transport.write(b"".join(lines))
            self._transport.write(answer.body)

    async def stream(self, request: Request, answer: Stream) -> None:
        """Send an answer that goes on until its ``run`` returns; one that is not whole ends the connection."""
        lines = [self._all.head(200, answer.content_type, answer.headers), b"x-request-id: %b\r\n" % request.id]
        lines.append(_lines(answer.headers))
        self._closing = self._closing or request.old
        self._say_whether_last(request, lines, answer.headers)
        lines.append(self._all.date + (b"\r\n" if request.old else b"transfer-encoding: chunked\r\n\r\n"))
        self._transport.write(b"".join(lines))

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
        if self._closing or not request.keeps_alive or self._all.stopping:
            self._end(politely=not request.incoming.whole)
            return
        if not request.incoming.whole:
            self._throw_away(request.incoming.size)
        if not self._reading and len(self._queue) <= PIPELINED_MAX:
            self._read(True)
        self._next()

    def end_when_idle(self) -> None:
        """End now, or behind the answer that is under way."""
        if self._serving is None:
            self._end(politely=False)

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def look(self, now: float) -> None:
        """End what has been idle, or has lingered, for too long."""
        if self._serving is None and now - self._idle_since > (LINGER_S if self._lingers else IDLE_S):
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
                head = self._all.head(self._refusal, b"text/plain", [])
                close = b"connection: close\r\ncontent-length: 0\r\n%b\r\n" % self._all.date
                self._transport.write(head + close)
            self._end(politely=True)

    def _say_whether_last(self, request: Request, lines: list[bytes], headers: list[Header]) -> None:
        last = self._deaf and not self._queue and self._refusal is None
        if last or self._closing or not request.keeps_alive or self._all.stopping:
            if _CLOSE not in headers:
                lines.append(b"connection: close\r\n")
        elif request.old:
            lines.append(b"connection: keep-alive\r\n")

    def _wanted(self) -> None:
        serving = self._serving
        if serving is not None and serving.headers.pop(b"expect", b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self._reading:
            self._read(True)

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
        if self._unwanted_bytes > UNWANTED_BYTES_MAX and self._serving is None:
            self._end(politely=not self._lingers)

    def _refuse(self, status: int) -> None:
        """Take no more: behind the requests that are here, what came is refused."""
        self._deaf = True
        if self._arriving is not None and not self._arriving.whole:
            self._arriving.lose()  # it broke off in this one's body: its own answer says so
        else:
            self._refusal = status
        if self._serving is None:
            self._next()

    def _end(self, *, politely: bool) -> None:
        """Close; ``politely``: the client may still be sending, and would lose the answer if this end closed first."""
        self._deaf = self._closing = True
        if self._transport.is_closing():
            return
        if politely and not self._lingers:
            self._lingers = True
            self._idle_since = self._all.loop.time()
            self._unwanted_bytes = 0
            if not self._reading:
                self._read(True)
            self._transport.write_eof()
        else:
            self._transport.close()
