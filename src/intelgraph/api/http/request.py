"""One request as handlers see it: checked names, no surprises, nothing decoded before it is asked for.

Guarantees: a header that decides something (``SINGLE``) occurs once at most; path segments and query parameters are
valid UTF-8 without NUL; a query parameter is known and occurs once; what a request has taken of something that is
bounded (``at_end``) is given back when it ends. What the values mean does not belong here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote_to_bytes

from intelgraph.api.http.incoming import Incoming
from intelgraph.model.errors import Denied, PermanentError, refuse
from intelgraph.model.form import quoted

SINGLE = frozenset(
    {
        b"authorization",
        b"idempotency-key",
        b"ig-bookmark",
        b"ig-deadline-ms",
        b"ig-hop",
        b"ig-unanswered",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"last-event-id",
    }
)
# Only what a program makes is taken over into logs: free text could carry a tenant's data out of its regions.
_REQUEST_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_QUERY_BYTES_MAX = 8_192
_IDS_AT_ONCE = 256


class Request:
    """A request: ``method``, ``raw_path``, ``headers`` by lower-case name, ``id`` for logs, ``incoming`` the body.

    A HEAD is a GET whose answer is sent ``bodiless``. ``flaw``: why no handler may take it, if that is so.
    ``keeps_alive`` and ``old`` (HTTP/1.0) are the connection's business.
    """

    __slots__ = (
        "_ends", "bodiless", "flaw", "headers", "id", "incoming", "is_degraded", "keeps_alive", "method", "old",
        "path_parameter", "query_string", "raw_path", "tenant",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: dict[bytes, bytes],
        flaw: Denied | None,
        incoming: Incoming,
        id_: bytes,
    ) -> None:
        self.bodiless = method == "HEAD"
        self.method = "GET" if self.bodiless else method
        self.raw_path, _, self.query_string = target.partition(b"?")
        self.headers = headers
        self.flaw = flaw
        self.incoming = incoming
        self._ends: list[Callable[[], None]] | None = None
        self.path_parameter = b""
        self.keeps_alive, self.old = True, False
        self.is_degraded = False
        self.tenant = ""
        """Whose it is, from when that is known."""
        self.id = id_

    def at_end(self, give_back: Callable[[], None]) -> None:
        """Have ``give_back`` called once, when this request ends: answered, refused, failed, or its client gone."""
        if self._ends is None:
            self._ends = []
        self._ends.append(give_back)

    def end(self) -> None:
        """Give back what this request has taken; called by whoever serves it, and by nobody else."""
        ends, self._ends = self._ends, None
        for give_back in reversed(ends or ()):
            give_back()

    def header(self, name: bytes) -> str | None:
        """Return a header's text if it is there; refuses what is not visible ASCII."""
        value = self.headers.get(name)
        if value is None:
            return None
        try:
            return value.decode("ascii")
        except UnicodeDecodeError as error:
            shown = name.decode("latin-1")
            raise refuse(
                "bad_request", f"the request is refused: its header {shown} must be ASCII", header=shown
            ) from error

    @property
    def hopped(self) -> bool:
        """Whether another region has forwarded this request."""
        return b"ig-hop" in self.headers

    def segment(self) -> str:
        """Return the path's variable segment, decoded."""
        return _text(self.path_parameter, "the path")

    def query(self, known: frozenset[str]) -> dict[str, str]:
        """Return the query parameters; refuses unknown, repeated and malformed ones."""
        found: dict[str, str] = {}
        if not self.query_string:
            return found
        if len(self.query_string) > _QUERY_BYTES_MAX:
            raise _bad(f"its query has {len(self.query_string)} bytes; the limit is {_QUERY_BYTES_MAX}")
        for part in self.query_string.split(b"&"):
            if not part:
                continue
            name_bytes, _, value_bytes = part.partition(b"=")
            name = _text(name_bytes, "the query")
            if name not in known:
                names = f"known are {', '.join(sorted(known))}" if known else "none is"
                raise _bad(f"its query parameter {quoted(name)} is not known here; {names}")
            if name in found:
                raise _bad(f"its query parameter {name} occurs more than once")
            found[name] = _text(value_bytes.replace(b"+", b" "), f"the query parameter {name}")
        return found


class RequestIds:
    """The ids of one worker's requests. Made after the fork: two workers must not share one."""

    def __init__(self) -> None:
        self._fresh = _fresh()

    def of(self, headers: Mapping[bytes, bytes]) -> bytes:
        """Return the id that a head gives if it is a UUID, else a new one."""
        given = headers.get(b"x-request-id")
        return given if given is not None and _REQUEST_ID.fullmatch(given) else next(self._fresh)


def _fresh() -> Iterator[bytes]:
    """Random UUIDs' texts (version 4). The kernel is asked for many at a time, because asking is what takes long."""
    while True:
        text = os.urandom(16 * _IDS_AT_ONCE).hex()
        for at in range(0, 32 * _IDS_AT_ONCE, 32):
            one = text[at : at + 32]
            yield f"{one[:8]}-{one[8:12]}-4{one[13:16]}-a{one[17:20]}-{one[20:]}".encode()


def _text(raw: bytes, where: str) -> str:
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(f"{where} is not UTF-8") from error
    if "\x00" in text:
        raise _bad(f"{where} contains a NUL")
    return text


def _bad(what: str) -> PermanentError:
    return refuse("bad_request", f"the request is refused: {what}")


def origin_form(target: bytes) -> bytes:
    """Return the path and query of a target that names scheme and host too; others as they are."""
    _, scheme_ends, rest = target.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if scheme_ends else target
