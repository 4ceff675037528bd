"""Reading a request's body, for every handler that takes one, within limits of bytes and time.

A declared length is checked before anything is read; a body without one is counted while it arrives. A body whose end
has not arrived when the client goes is refused, so that half a request is never taken for a whole one. Bodies
that did not come with their heads are bounded together, in number while they arrive and in bytes until their requests
end, with a share for each tenant.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from intelgraph.api.http.incoming import Incoming
from intelgraph.api.http.media_type import check_media_type
from intelgraph.api.http.request import Request
from intelgraph.api.limits.quota import Held, Quota
from intelgraph.model.errors import PermanentError, refuse


@dataclass(frozen=True, kw_only=True)
class Bodies:
    """The bodies of one worker's requests. ``bytes_max`` and ``timeout_s`` hold for each."""

    bytes_max: int
    timeout_s: float
    arriving: Quota
    """Bodies that did not come with their heads and are still arriving."""
    arrived_bytes: Quota
    """What has arrived of such bodies, until their requests end."""

    async def read_json(self, request: Request, tenant: str) -> bytes:
        """Return the whole body of a request that must be JSON.

        Refuses with ``unsupported_media_type``, ``body_too_large``, ``body_timeout``, ``overloaded`` or
        ``bad_request``.
        """
        check_media_type(request)
        bytes_max = self.bytes_max
        declared = _declared_length(request)
        if declared is not None and declared > bytes_max:
            raise _too_large(declared, bytes_max)
        incoming = request.incoming
        if incoming.whole:
            # It came with the head, which is the rule: nothing has to be waited for.
            body = incoming.take()
            if len(body) > bytes_max:
                raise _too_large(len(body), bytes_max)
            return body
        taken = self.arrived_bytes.hold(tenant)
        request.at_end(taken.give_back)
        with self.arriving.hold(tenant) as place:
            place.take()
            try:
                async with asyncio.timeout(self.timeout_s):
                    return await _collect(incoming, bytes_max, taken)
            except TimeoutError as error:
                raise refuse(
                    "body_timeout",
                    f"the request is refused: its body did not arrive within {self.timeout_s:g} s",
                    timeout_s=self.timeout_s,
                ) from error

    def why_used_up(self) -> str | None:
        """Say that a body was refused lately because others are under way, if so."""
        return self.arriving.why_used_up() or self.arrived_bytes.why_used_up()


async def _collect(incoming: Incoming, bytes_max: int, taken: Held) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        await incoming.more()
        whole = incoming.whole
        parts.append(incoming.take())
        taken.take(len(parts[-1]))
        size += len(parts[-1])
        if size > bytes_max:
            raise _too_large(size, bytes_max)
        if whole:
            return b"".join(parts)
        if incoming.gone:
            raise _ended(size) if incoming.refusal is None else PermanentError(incoming.refusal)


def _declared_length(request: Request) -> int | None:
    value = request.headers.get(b"content-length")
    if value is None:
        return None
    if not value.isdigit():
        raise refuse("bad_request", "the request is refused: its Content-Length is not a number")
    if len(value) > 18:
        raise refuse("bad_request", f"the request is refused: its Content-Length has {len(value)} digits")
    return int(value)


def _too_large(size: int, bytes_max: int) -> PermanentError:
    return refuse(
        "body_too_large",
        f"the request is refused: its body has {size} bytes or more; the limit is {bytes_max}",
        bytes_max=bytes_max,
    )


def _ended(size: int) -> PermanentError:
    return refuse("bad_request", f"the request is refused: its body ended after {size} bytes, before it was whole")
