"""HTTP/1.1 on one connection: httptools parses, this decides. Requests of a connection are answered one at a time.

Guarantees: a request reaches the application once its head is there, with as much of its body as came with it; an
answer leaves in one piece; what is not HTTP is answered 400, a head beyond ``HEAD_BYTES_MAX`` 431, however it came, and
both end the connection. Trailers have the head's bounds and are passed over: they change nothing of the request. A
connection is idle from when nothing waits to be sent any more: idle for ``IDLE_S`` between two answers it is closed,
and so is one whose client takes nothing of what waits for ``STALLED_S``; a client that reads slowly gets all of its
answer. A body that nobody wanted is thrown away up to ``UNWANTED_BYTES_MAX``; beyond that, and after an answer that
says so, the connection ends: once nothing has come for ``LINGER_S``, after ``LINGER_S_MAX`` at the latest. What comes
until then is read and thrown away. Which process accepts (``server``) and what all connections share (``connections``)
does not belong here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import httptools

from intelgraph.api import problem
from intelgraph.api.http.heads import CLOSE, lines_of
from intelgraph.api.http.incoming import BUFFERED_MAX, Incoming
from intelgraph.api.http.kernel_buffer import unacknowledged
from intelgraph.api.http.request import SINGLE, Request, origin_form
from intelgraph.api.http.response import Header, Response, Stream
from intelgraph.model.errors import Denied
from intelgraph.model.head_refusals import (
    BAD_HOST,
    HEAD_BYTES_MAX,
    HEAD_TOO_LARGE,
    HEADERS_MAX,
    MALFORMED,
    NO_UPGRADE,
    TRANSFER_CODING,
    names_a_host,
)
from intelgraph.model.head_refusals import repeated as flaw_of_repeated

if TYPE_CHECKING:
    from intelgraph.api.http.connections import Connections

UNWANTED_BYTES_MAX, _ONE_WRITE_BYTES = 1_048_576, 65_536
PIPELINED_MAX = 16
IDLE_S, STALLED_S = 30.0, 30.0
LINGER_S, LINGER_S_MAX = 2.0, 10.0
_JOINED = frozenset({b"accept", b"host", b"transfer-encoding"})
"""Their lines are read as one list; for the last two that is one value too many."""
_METHODS = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")}


class _Flawed(Exception):
    """What comes is no request; ``denied`` is what its client hears."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.reason)
        self.denied = denied


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
        self._flaw: Denied | None = None
        self._head_bytes = self._header_count = 0
        self._unended_bytes = 0  # of the reads since a body's last part: the parser tells nothing of half a line
        self._unwanted_bytes = 0
        self._in_head = False
        self._deaf = False
        """Nothing that comes is parsed any more: those that are here are the last requests."""
        self._refusal: Denied | None = None
        """What is said behind their answers, if what came after them was no request."""
        self._closing = False
        """The answer under way is the last."""
        self._lingers = self._is_silent = False
        self._idle_since = self._progressed_at = all_.loop.time()
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
        self._unended_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # no other protocol is spoken here: the request is answered, then the connection ends
            if not self._headers.get(b"upgrade", b"h2c").lower().startswith(b"h2c"):
                self._queue[-1].flaw = NO_UPGRADE
        except httptools.HttpParserCallbackError as error:
            self._refuse(error.__context__.denied if isinstance(error.__context__, _Flawed) else MALFORMED)
            return
        except httptools.HttpParserError:
            self._refuse(MALFORMED)
            return
        if self._unended_bytes > HEAD_BYTES_MAX:
            self._refuse(HEAD_TOO_LARGE)
            return
        if self._queue and self._serving is None:
            self._next()
        lies_here = self._arriving is not None and self._arriving.size > BUFFERED_MAX and not self._arriving.whole
        if not self._lingers and (lies_here or len(self._queue) > PIPELINED_MAX):
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
        self._url, self._headers, self._flaw = b"", {}, None
        self._in_head, self._unwanted_bytes = True, 0
        self._head_bytes = self._header_count = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer."""
        name = name.lower()
        self._header_count += 1
        if self._unended_bytes > HEAD_BYTES_MAX or not self._in_head:  # else no head can be too long
            self._head_bytes += len(name) + len(value)
            if not self._in_head:
                if self._header_count > HEADERS_MAX or self._head_bytes > HEAD_BYTES_MAX:
                    raise _Flawed(HEAD_TOO_LARGE)
                return
        if self._header_count > HEADERS_MAX:
            raise _Flawed(HEAD_TOO_LARGE)
        if name in self._headers:
            if name in SINGLE:
                self._flaw = flaw_of_repeated(name)
            elif name in _JOINED:
                value = b"%b, %b" % (self._headers[name], value)
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        """The head is there: the request waits for its turn, unless no reader should take it for one."""
        self._in_head = False
        old = self._parser.get_http_version() == "1.0"
        flaw = self._flaw_of_head(old)
        if flaw is not None:
            self._arriving = None
            raise _Flawed(flaw)
        self._head_bytes = self._header_count = 0  # of the trailers from now on
        self._arriving = incoming = Incoming(self._wanted)
        method = self._parser.get_method()
        target = self._url if self._url.startswith(b"/") else origin_form(self._url)
        request = Request(_METHODS.get(method) or method.decode("latin-1"), target, self._headers, self._flaw, incoming)
        request.keeps_alive = self._parser.should_keep_alive()
        request.old = old
        self._queue.append(request)

    def _flaw_of_head(self, old: bool) -> Denied | None:
        """Say why this head begins no request: what two readers could read differently is never read at all."""
        if self._head_bytes > HEAD_BYTES_MAX:
            return HEAD_TOO_LARGE
        host = self._headers.get(b"host")
        if not (old if host is None else names_a_host(host)):
            return BAD_HOST
        if b"#" in self._url:
            return MALFORMED
        coding = self._headers.get(b"transfer-encoding")
        return TRANSFER_CODING if coding is not None and (old or coding.lower() != b"chunked") else None

    def on_body(self, part: bytes) -> None:
        """A part of the body; of one that is answered already it is thrown away."""
        assert self._arriving is not None
        self._unended_bytes = 0
        if self._serving is None and not self._queue:
            self._throw_away(len(part))
        else:
            self._arriving.add(part)

    def on_message_complete(self) -> None:
        """The body is whole."""
        assert self._arriving is not None
        self._arriving.end()
        self._unended_bytes = 0

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
        elif len(answer.body) <= _ONE_WRITE_BYTES:
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

    @property
    def owes(self) -> bool:
        """Whether a client that is still here has not taken all of its answers."""
        return self._transport.get_write_buffer_size() > 0

    def look(self, now: float) -> None:
        """End what has been idle, or has lingered, for too long, and what waits for a client that takes nothing."""
        if self._serving is not None:
            return
        waits = self._transport.get_write_buffer_size()
        if not waits and now - self._idle_since <= (LINGER_S if self._lingers else IDLE_S):
            return
        if not (waits or self._is_silent or (self._lingers and now - self._progressed_at > LINGER_S_MAX)):
            self._is_silent = True  # as far as was read: what came while this process had to wait is read by then
            return
        waits = waits or unacknowledged(self._transport)
        if not waits:
            self._transport.abort()
        elif waits != self._waited:
            self._waited, self._progressed_at, self._idle_since = waits, now, now
        elif now - self._progressed_at > STALLED_S:
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
        if self._lingers:
            self._idle_since = min(self._all.loop.time(), self._progressed_at + LINGER_S_MAX)
        elif self._unwanted_bytes > UNWANTED_BYTES_MAX and self._serving is None:
            self._end(politely=True)

    def _refuse(self, denied: Denied) -> None:
        """Take no more: behind the requests that are here, what came is refused."""
        self._deaf = True
        if self._arriving is not None and not self._arriving.whole:
            # it broke off in this one's body: its own answer says so
            self._arriving.lose(None if denied is MALFORMED else denied)
        else:
            self._refusal = denied
        if self._serving is None:
            self._next()

    def _end(self, *, politely: bool) -> None:
        """Close; ``politely``: the client may still be sending, and would lose the answer if this end closed first.

        So all that it sends is read and thrown away, however much that is, until nothing has come for ``LINGER_S``: a
        close before it has read the answer takes the answer back, and an edge says that nobody was reached.
        """
        self._deaf = self._closing = True
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
