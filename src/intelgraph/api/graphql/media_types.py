"""Which media type a GraphQL answer has: what the request's ``Accept`` asks for, and the operation's kind.

Source: the GraphQL-over-HTTP specification (graphql.github.io/graphql-over-http).
"""

from __future__ import annotations

from typing import NamedTuple

from cachetools import FIFOCache
from graphql import OperationType

from intelgraph.api.http.accept import EVENTS, best, fits
from intelgraph.api.http.request import Request
from intelgraph.model.errors import IntelGraphError, refuse

RESPONSE, PLAIN = b"application/graphql-response+json", b"application/json"
_KNOWN_MAX = 256
_KNOWN_BYTES_MAX = 256
"""A longer header is read each time."""


class Wanted(NamedTuple):
    """What an ``Accept`` asks for: the operation's kind chooses among these."""

    single: bytes
    """The media type of one answer: JSON before events."""
    streams: bool
    """Whether an answer may be a stream of events."""
    refusal: bytes
    """The form of a refusal before the operation is known."""

    def of(self, operation: OperationType) -> bytes:
        """Return the media type of an operation's answer; refuses with ``not_acceptable``."""
        if operation is OperationType.SUBSCRIPTION:
            if not self.streams:
                raise _not_acceptable(f"a subscription is answered as {EVENTS.decode()}")
            return EVENTS
        return self.single


class MediaTypes:
    """What the requests of one worker accept: what its clients say is nearly always the same."""

    def __init__(self) -> None:
        self._known: FIFOCache[bytes, Wanted | None] = FIFOCache(_KNOWN_MAX)

    def wanted(self, request: Request) -> Wanted:
        """Read what a request accepts; refuses with ``not_acceptable`` if nothing fits that there is."""
        accept = request.headers.get(b"accept", b"")
        try:
            found = self._known[accept]
        except KeyError:
            found = _wanted(accept)
            if len(accept) <= _KNOWN_BYTES_MAX:
                self._known[accept] = found
        if found is None:
            raise _not_acceptable(f"answers are {RESPONSE.decode()}, {PLAIN.decode()} or {EVENTS.decode()}")
        return found


def _wanted(accept: bytes) -> Wanted | None:
    refusal = best(accept, (PLAIN, RESPONSE, EVENTS))
    if refusal is None:
        return None
    # Events are JSON in another form: where nothing else fits, one answer is sent as events too.
    return Wanted(best(accept, (PLAIN, RESPONSE)) or EVENTS, fits(accept, EVENTS), refusal)


def _not_acceptable(what: str) -> IntelGraphError:
    return refuse("not_acceptable", f"the request is refused: {what}, and its Accept header does not ask for that")
