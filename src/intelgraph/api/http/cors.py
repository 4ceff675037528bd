"""Which pages of other origins may ask, and how browsers are told (the Fetch standard's CORS protocol).

Guarantees: an origin that the region's settings do not allow gets no word that would let its page read an answer, and
its preflight is refused with the reason. Pages identify themselves by a bearer token, never by a cookie, so nothing
here allows credentials. Pure. Who may read what does not belong here: that is the token's business.
"""

from __future__ import annotations

from collections.abc import Sequence

from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Header, Response
from intelgraph.model.errors import refuse

ANY = "*"
MAX_AGE_S = 600
_ASKED_HEADERS = (
    "accept, authorization, content-type, idempotency-key, ig-bookmark, ig-deadline-ms, last-event-id, x-request-id"
)
_TOLD_HEADERS = (
    "ig-bookmark, ig-degraded, ig-directory-age-ms, ig-region, ig-release, ig-staleness-ms, retry-after, x-request-id"
)


class Cors:
    """The origins that may ask: exact ones such as ``https://app.example``, or ``*`` for all; none by default."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._any = ANY in origins
        self._allowed = frozenset(origin.encode("ascii") for origin in origins)

    @property
    def every(self) -> list[Header]:
        """What every answer says, so that no cache takes the answer to one origin for another's."""
        return [(b"vary", b"origin")] if self._allowed and not self._any else []

    def headers(self, request: Request) -> list[Header]:
        """Return what lets a page read this answer; nothing for an origin that may not."""
        origin = request.headers.get(b"origin")
        if origin is None or not self._allows(origin):
            return []
        return [self._allow_origin(origin), (b"access-control-expose-headers", _TOLD_HEADERS.encode())]

    def preflight(self, request: Request, methods: bytes) -> Response:
        """Answer an OPTIONS request; refuses with ``origin_not_allowed`` the preflight of an origin that may not.

        That the origin may ask is said as in every other answer (``headers``).
        """
        allow: Header = (b"allow", methods)
        origin = request.headers.get(b"origin")
        if origin is None or b"access-control-request-method" not in request.headers:
            return Response(status=200, body=b"", headers=[allow])
        if not self._allows(origin):
            raise refuse(
                "origin_not_allowed",
                "the preflight is refused: this region's settings do not allow pages of its origin "
                "(allowed_origins, docs/http.md)",
            )
        headers = [
            allow,
            (b"access-control-allow-methods", methods),
            (b"access-control-allow-headers", _ASKED_HEADERS.encode()),
            (b"access-control-max-age", b"%d" % MAX_AGE_S),
        ]
        return Response(status=200, body=b"", headers=headers)

    def _allows(self, origin: bytes) -> bool:
        return self._any or origin in self._allowed

    def _allow_origin(self, origin: bytes) -> Header:
        return (b"access-control-allow-origin", b"*" if self._any else origin)
