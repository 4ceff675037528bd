"""Reading a request's body within limits of bytes and time.

A declared length is checked before anything is read; a body without one is counted while it arrives. A body that ends
before its declared length is refused, so that half a request is never taken for a whole one.
"""

from __future__ import annotations

import asyncio

from intelgraph.api.request import Request
from intelgraph.model.errors import PermanentError, refuse


async def read_body(request: Request, *, bytes_max: int, timeout_s: float) -> bytes:
    """Return the whole body; refuses with ``body_too_large``, ``body_timeout`` or ``bad_request``."""
    declared = _declared_length(request)
    if declared is not None and declared > bytes_max:
        raise _too_large(declared, bytes_max)
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(request, declared, bytes_max)
    except TimeoutError as error:
        raise refuse(
            "body_timeout",
            f"the request is refused: its body did not arrive within {timeout_s:g} s",
            timeout_s=timeout_s,
        ) from error


async def _collect(request: Request, declared: int | None, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while declared is None or size < declared:
        message = await request.receive()
        if message["type"] != "http.request":
            raise _ended(size)
        part = message.get("body", b"")
        size += len(part)
        if size > bytes_max:
            raise _too_large(size, bytes_max)
        parts.append(part)
        if not message.get("more_body", False):
            break
    if declared is not None and size != declared:
        raise _ended(size)
    return parts[0] if len(parts) == 1 else b"".join(parts)


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
