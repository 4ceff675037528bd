"""The one forwarded hop: a write that arrived in an allowed region is sent to the home over the WAN link.

The home decides and answers; its status, body and ``IG-*`` headers pass through unchanged. The hop carries the
client's own token, so the home trusts nobody but the issuer. It is marked, and a marked request is never forwarded.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from intelgraph.api.metrics import Metrics
from intelgraph.api.request import Request
from intelgraph.api.response import Header, Response
from intelgraph.model.errors import TransientError, retry
from intelgraph.settings import ApiPolicy, Peer

_CARRIED = (b"authorization", b"idempotency-key", b"content-type", b"accept")
_RETURNED = ("retry-after", "www-authenticate")
_CONNECT_TIMEOUT_S = 2.0
_CONNECTIONS_PER_HOME_MAX = 64


class Forwarder:
    """HTTP sessions to the other regions' doors."""

    def __init__(self, peers: Mapping[str, Peer], policy: ApiPolicy, metrics: Metrics) -> None:
        self._peers = peers
        self._metrics = metrics
        self._timeout = aiohttp.ClientTimeout(
            total=policy.request_timeout_s + policy.remote_wait_s, sock_connect=_CONNECT_TIMEOUT_S
        )
        self._session: aiohttp.ClientSession | None = None

    async def forward(self, request: Request, body: bytes, home: str) -> Response:
        """Send a write to ``home`` and return its answer; ``home_unreachable`` if there is none.

        Its facts say whether the write was ``sent``: if it was, only its key can tell what became of it.
        """
        peer = self._peers.get(home)
        if peer is None:
            raise _unreachable(home, "this region knows no way to it", sent=False)
        try:
            answer = await self._send(request, body, peer)
        except aiohttp.ClientConnectorError as error:
            self._metrics.forwards.labels(home, "not_sent").inc()
            raise _unreachable(home, type(error).__name__, sent=False) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._metrics.forwards.labels(home, "no_answer").inc()
            raise _unreachable(home, type(error).__name__, sent=True) from None
        self._metrics.forwards.labels(home, "answered").inc()
        return answer

    async def stop(self) -> None:
        """Close the sessions."""
        if self._session is not None:
            await self._session.close()

    async def _send(self, request: Request, body: bytes, peer: Peer) -> Response:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit_per_host=_CONNECTIONS_PER_HOME_MAX)
            self._session = aiohttp.ClientSession(timeout=self._timeout, connector=connector, auto_decompress=False)
        headers = {
            name.decode("latin-1"): request.headers[name].decode("latin-1")
            for name in _CARRIED
            if name in request.headers
        }
        headers |= {"ig-hop": "1", "x-request-id": request.id.decode("latin-1")}
        url = peer.api.rstrip("/") + request.raw_path.decode("latin-1")
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            return Response(
                status=answer.status,
                body=await answer.read(),
                headers=_passed(answer),
                content_type=answer.headers.get("content-type", "application/json").encode("latin-1"),
            )


def _passed(answer: aiohttp.ClientResponse) -> list[Header]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers.items()
        if name.lower() in _RETURNED or name.lower().startswith("ig-")
    ]


def _unreachable(home: str, why: str, *, sent: bool) -> TransientError:
    then = "it may have happened: repeat it with the same Idempotency-Key" if sent else "it has not been sent"
    return retry(
        "home_unreachable",
        f"the write could not be handed to its home {home} ({why}); {then}",
        retry_after_s=1.0,
        home=home,
        sent=sent,
    )
