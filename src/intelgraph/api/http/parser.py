"""Requests out of the bytes of one HTTP/1.1 connection: httptools parses, this judges what is a request at all.

Guarantees: a head beyond ``HEAD_BYTES_MAX`` or ``HEADERS_MAX`` is refused, however it came; what two readers could
read differently is refused, and nothing behind it is read. Trailers have the head's bounds and are passed over: they
change nothing of the request. When a request is answered, and how the connection ends, does not belong here
(``connection``).
"""

from __future__ import annotations

from collections.abc import Callable

import httptools

from intelgraph.api.http.incoming import Incoming
from intelgraph.api.http.request import SINGLE, Request, RequestIds, origin_form
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

_JOINED = frozenset({b"accept", b"host", b"transfer-encoding"})
"""Their lines are read as one list; for the last two that is one value too many."""
_METHODS = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")}


class NotARequest(Exception):
    """What comes is no request; ``denied`` is what its client is told."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.reason)
        self.denied = denied


class RequestParser:
    """The requests of one connection as they arrive.

    ``on_request`` takes each request when its head is there, ``on_part`` each part of a body, and ``on_wanted`` is
    called when a handler waits for more of a body than is here. ``arriving`` is the body that came last.
    """

    def __init__(
        self,
        *,
        ids: RequestIds,
        on_request: Callable[[Request], None],
        on_part: Callable[[bytes], None],
        on_wanted: Callable[[], None],
    ) -> None:
        self._ids = ids
        self._on_request = on_request
        self._on_part = on_part
        self._on_wanted = on_wanted
        self._parser = httptools.HttpRequestParser(self)
        self.arriving: Incoming | None = None
        self._latest: Request | None = None
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._flaw: Denied | None = None
        self._head_bytes = self._header_count = 0
        self._unended_bytes = 0
        """Of the reads since a body's last part: httptools tells nothing of half a line."""
        self._in_head = False

    def feed(self, data: bytes) -> bool:
        """Take what came; say whether more requests may follow. Raises ``NotARequest``."""
        self._unended_bytes += len(data)
        follows = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            follows = False
            if self._latest is not None and not self._headers.get(b"upgrade", b"h2c").lower().startswith(b"h2c"):
                self._latest.flaw = NO_UPGRADE
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            raise cause if isinstance(cause, NotARequest) else NotARequest(MALFORMED) from None
        except httptools.HttpParserError:
            raise NotARequest(MALFORMED) from None
        if self._unended_bytes > HEAD_BYTES_MAX:
            raise NotARequest(HEAD_TOO_LARGE)
        return follows

    def close(self) -> None:
        """Let go of httptools' parser: it holds this object's methods, and would keep it until the collector comes."""
        del self._parser, self._on_request, self._on_part, self._on_wanted

    # What httptools says.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self._headers, self._flaw = b"", {}, None
        self._in_head = True
        self._head_bytes = self._header_count = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer."""
        name = name.lower()
        if name != b"transfer-encoding":  # of that one nothing is mended: httptools has read it as it came
            value = value.rstrip(b" \t")  # white space around a value is not part of it, and httptools leaves this
        self._header_count += 1
        self._head_bytes += len(name) + len(value)
        if self._header_count > HEADERS_MAX or self._head_bytes > HEAD_BYTES_MAX:
            raise NotARequest(HEAD_TOO_LARGE)
        if not self._in_head:
            return
        if name in self._headers:
            if name in SINGLE:
                self._flaw = flaw_of_repeated(name)
            elif name in _JOINED:
                value = b"%b, %b" % (self._headers[name], value)
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        """The head is there: it is a request, unless no reader should take it for one."""
        self._in_head = False
        old = self._parser.get_http_version() == "1.0"
        flaw = self._flaw_of_head(old)
        if flaw is not None:
            self.arriving = None
            raise NotARequest(flaw)
        self._head_bytes = self._header_count = 0  # of the trailers from now on
        self.arriving = incoming = Incoming(self._on_wanted)
        method = self._parser.get_method()
        target = self._url if self._url.startswith(b"/") else origin_form(self._url)
        name = _METHODS.get(method) or method.decode("latin-1")
        request = Request(name, target, self._headers, self._flaw, incoming, self._ids.of(self._headers))
        request.keeps_alive = self._parser.should_keep_alive()
        request.old = old
        self._latest = request
        self._on_request(request)

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
        """A part of the body."""
        self._unended_bytes = 0
        self._on_part(part)

    def on_message_complete(self) -> None:
        """The body is whole."""
        assert self.arriving is not None
        self.arriving.end()
        self._unended_bytes = 0
