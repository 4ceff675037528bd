"""Reading a request's body within limits of bytes and time.

A declared length is checked before anything is read; a body without one is counted while it arrives. A body whose end
has not arrived when the client goes is refused, so that half a request is never taken for a whole one.
"""

from __future__ import annotations

import asyncio

from intelgraph.api.incoming import Incoming
from intelgraph.api.request import Request
from intelgraph.model.errors import PermanentError, refuse


async def read_body(request: Request, *, bytes_max: int, timeout_s: float) -> bytes:
    """Return the whole body; refuses with ``body_too_large``, ``body_timeout`` or ``bad_request``."""
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
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(incoming, bytes_max)
    except TimeoutError as error:
        raise refuse(
            "body_timeout",
            f"the request is refused: its body did not arrive within {timeout_s:g} s",
            timeout_s=timeout_s,
        ) from error


async def _collect(incoming: Incoming, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        await incoming.more()
        whole = incoming.whole
        parts.append(incoming.take())
        size += len(parts[-1])
        if size > bytes_max:
            raise _too_large(size, bytes_max)
        if whole:
            return b"".join(parts)
        if incoming.gone:
            raise _ended(size)


def _declared_length(request: Request) -> int | None:
    value = request.headers.get(b"content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise refuse("bad_request", "the request is refused: its Content-Length is not a number")
    return int(value)


def _too_large(size: int, bytes_max: int) -> PermanentError:
    return refuse(
        "body_too_large",
        f"the request is refused: its body has {size} bytes or more; the limit is {bytes_max}",
        bytes_max=bytes_max,
    )


def _ended(size: int) -> PermanentError:
    return refuse("bad_request", f"the request is refused: its body ended after {size} bytes, before it was whole")
