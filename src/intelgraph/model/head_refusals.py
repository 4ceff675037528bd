"""What is refused of a request's head, whatever it asks for: one table for workers and edges (docs/http.md).

Pure. Whoever judges first, a worker (``api.http.heads``) or an edge (``fleet.edge.answers``), says the same. What a
route, a token or a body is refused for does not belong here.
"""

from __future__ import annotations

import re
from functools import lru_cache

from intelgraph.model.errors import Denied

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=:%@-]|\[|\])*", re.ASCII)
"""The characters of RFC 3986's authority, without the comma by which two names may have become one."""

HEAD_BYTES_MAX = 60 * 1024
HEADERS_MAX = 100
"""Both as the edges."""

MALFORMED = Denied(code="bad_request", reason="the request is refused: it is not well-formed HTTP")
MALFORMED_BODY = Denied(
    code="bad_request", reason="the request is refused: what comes within its body is not well-formed HTTP (a chunk)"
)
HEAD_TOO_LARGE = Denied(
    code="head_too_large",
    reason=f"the request is refused: its head is too large; the limits are {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} "
    "headers",
    facts={"bytes_max": HEAD_BYTES_MAX, "headers_max": HEADERS_MAX},
)
BAD_HOST = Denied(
    code="bad_request", reason="the request is refused: HTTP/1.1 needs one Host header, with the name of a host"
)
NO_SUCH_ROUTE = Denied(code="no_such_route", reason="there is nothing at this path; /openapi.json lists what there is")
REQUEST_TOO_SLOW = Denied(
    code="body_timeout", reason="the request is refused: it did not arrive in time, or the connection stood still"
)
TRANSFER_CODING = Denied(
    code="unsupported_transfer_coding",
    reason="the request is refused: the only transfer coding that is read here is chunked",
)
NO_UPGRADE = Denied(
    code="no_upgrade",
    reason="the upgrade is refused: HTTP is spoken here and nothing else, no WebSocket either; subscriptions are "
    "server-sent events, which a client asks for by Accept: text/event-stream (docs/graphql.md)",
)


def repeated(name: bytes) -> Denied:
    """Return the refusal of a header that decides something and is given twice."""
    shown = name.decode("latin-1")
    return Denied(
        code="bad_request",
        reason=f"the request is refused: its header {shown} occurs more than once",
        facts={"header": shown},
    )


@lru_cache(maxsize=256)
def names_a_host(value: bytes) -> bool:
    """Whether a Host header names one host."""
    return _HOST.fullmatch(value) is not None
