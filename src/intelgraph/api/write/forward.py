"""The one forwarded hop: a write that arrived in an allowed region is sent to the home over the WAN link.

The home decides and answers; its status, body and ``IG-*`` headers pass through unchanged, except a refusal that may
pass by itself (``PASSING``): that is an error here, so that the write is held where it came in, and goes wherever the
home is by then. The hop carries the client's own token, so the home trusts nobody but the issuer. It is marked, and a
marked request is never forwarded, and never held.

One try is bounded in time: a home whose processes are stopped accepts connections and never answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Header, Response
from intelgraph.api.metrics import Metrics
from intelgraph.api.write.attempts import UNANSWERED, maybe_written
from intelgraph.http_body import BodyTooLarge, read_body
from intelgraph.model.errors import Denied, TransientError, retry, why_no_answer
from intelgraph.settings import Peer

_CARRIED = (b"authorization", b"idempotency-key", b"content-type")
_ACCEPT = "application/graphql-response+json, application/json"
"""What is passed on may be given another form where the write came in (``graphql_http.passed_on``)."""
_RETURNED = ("retry-after", "www-authenticate")
_CONNECT_TIMEOUT_S = 1.0
PASSING = frozenset(
    {
        "fenced",
        "closing",
        "lease_over",
        "not_granted",
        "home_unreachable",
        "database_unavailable",
        "write_timed_out",
        "directory_unreadable",
    }
)
"""Refusals of a write that its home's change, its lease or its database's return will end."""
_CONNECTIONS_PER_HOME_MAX = 64
_ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""More than any answer to a write has: what is larger is no answer of another region's API."""
_NOBODY_BEHIND_THE_EDGE = "region_unreached"


class _Extensions(msgspec.Struct, frozen=True):
    code: str = ""
    facts: dict[str, Any] = {}
    retry_after_s: float | None = None


class _Error(msgspec.Struct):
    message: str = ""
    extensions: _Extensions = _Extensions()


class _Refusal(msgspec.Struct):
    """What is read of another region's, or its edge's, problem details, or of its GraphQL errors."""

    code: str = ""
    reason: str = ""
    facts: dict[str, Any] = {}
    retry_after_s: float | None = None
    errors: list[_Error] = []


class Forwarder:
    """HTTP sessions to the other regions' APIs."""

    def __init__(self, peers: Mapping[str, Peer], metrics: Metrics) -> None:
        self._peers = peers
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None

    async def forward(
        self, request: Request, body: bytes, home: str, *, timeout_s: float, unanswered: str | None
    ) -> Response:
        """Send a write to ``home`` and return its answer; ``home_unreachable`` if there is none in ``timeout_s``.

        Its facts say whether the write was ``sent``: if it was, only its key can tell what became of it. ``unanswered``
        names the region where that is so of an earlier attempt: ``home`` then refuses nothing for certain.
        """
        peer = self._peers.get(home)
        if peer is None:
            raise _unreachable(home, "this region knows no way to it", sent=False)
        try:
            answer = await self._send(request, body, peer, timeout_s, unanswered)
        except aiohttp.ClientConnectorError as error:
            self._metrics.forwards.labels(home, "not_sent").inc()
            raise _unreachable(home, why_no_answer(error), sent=False) from None
        except (aiohttp.ClientError, TimeoutError, OSError, BodyTooLarge) as error:
            self._metrics.forwards.labels(home, "no_answer").inc()
            raise _unreachable(home, why_no_answer(error), sent=True) from None
        self._metrics.forwards.labels(home, "answered").inc()
        if answer.status in (502, 503, 504):
            _raise_passing(answer, home)
        if unanswered is not None and 400 <= answer.status < 500:
            # Refused before the write was looked at: as to what became of it, nothing is said.
            raise maybe_written(_denied(answer), unanswered)
        return answer

    async def stop(self) -> None:
        """Close the sessions."""
        if self._session is not None:
            await self._session.close()

    async def _send(
        self, request: Request, body: bytes, peer: Peer, timeout_s: float, unanswered: str | None
    ) -> Response:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS_PER_HOME_MAX)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, _CONNECT_TIMEOUT_S))
        headers = {
            name.decode("latin-1"): request.headers[name].decode("latin-1")
            for name in _CARRIED
            if name in request.headers
        }
        headers |= {
            "accept": _ACCEPT,
            "ig-forwarded": "1",
            "ig-deadline-ms": str(int(timeout_s * 1000)),
            "x-request-id": request.id.decode("latin-1"),
        }
        if unanswered is not None:
            headers[UNANSWERED.decode()] = unanswered
        url = peer.api.rstrip("/") + request.raw_path.decode("latin-1")
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False, timeout=timeout
        ) as answer:
            return Response(
                status=answer.status,
                body=await read_body(answer.content, _ANSWER_BYTES_MAX),
                headers=_passed(answer),
                content_type=answer.headers.get("content-type", "application/json").encode("latin-1"),
            )


def _passed(answer: aiohttp.ClientResponse) -> list[Header]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers.items()
        if name.lower() in _RETURNED or name.lower().startswith("ig-")
    ]


def moved_meanwhile(home: str) -> TransientError:
    """Build the error of a write whose home has changed while it was being handed to the old one."""
    return _unreachable(home, "it is not the home any more", sent=True)


def _raise_passing(answer: Response, home: str) -> None:
    """Raise a refusal that may pass by itself; what the home's edge says when nobody is behind it is one too."""
    refusal = _refusal(answer)
    if refusal.code == _NOBODY_BEHIND_THE_EDGE:
        raise _unreachable(home, "its edge reaches no API worker there", sent=True)
    if refusal.code in PASSING and refusal.reason:
        denied = Denied(code=refusal.code, reason=refusal.reason, facts=refusal.facts)
        raise TransientError(denied, retry_after_s=refusal.retry_after_s or 1.0)


def _refusal(answer: Response) -> _Refusal:
    """Read a refusal in either of its forms; one without a code if it is none."""
    try:
        refusal = msgspec.json.decode(answer.body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Refusal()
    for error in refusal.errors[:1]:
        told = error.extensions
        refusal = _Refusal(code=told.code, reason=error.message, facts=told.facts, retry_after_s=told.retry_after_s)
    return refusal


def _denied(answer: Response) -> Denied:
    refusal = _refusal(answer)
    code = refusal.code.lower() if refusal.code.replace("_", "").isalnum() else "refused"
    return Denied(code=code, reason=refusal.reason or f"status {answer.status}")


def _unreachable(home: str, why: str, *, sent: bool) -> TransientError:
    then = "it may have happened: repeat it with the same Idempotency-Key" if sent else "it has not been sent"
    return retry(
        "home_unreachable",
        f"the write could not be handed to its home {home} ({why}); {then}",
        retry_after_s=1.0,
        home=home,
        sent=sent,
    )
