"""Reading a request's body, for every handler that takes one: what it must be, within limits of bytes and time.

A declared length is checked before anything is read; a body without one is counted while it arrives. A body whose end
has not arrived when the client goes is refused, so that half a request is never taken for a whole one. Bodies
that did not come with their heads are bounded together, in number while they arrive and in bytes until their requests
end, with a share for each tenant.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from intelgraph.api.http.incoming import Incoming
from intelgraph.api.http.request import Request
from intelgraph.api.limits.quota import Held
from intelgraph.model.errors import PermanentError, refuse

if TYPE_CHECKING:
    from intelgraph.api.door import Door

BODIES_MAX, BODIES_OF_TENANT_MAX = 512, 128
BODY_BYTES_MAX, BODY_BYTES_OF_TENANT_MAX = 96 * 1024 * 1024, 32 * 1024 * 1024
_JSON = b"application/json"
_PARAMETER = re.compile(rb'(?:[^;"]|"(?:[^"\\]|\\.)*+(?:"|\Z))++', re.DOTALL)
"""Up to the next semicolon that is not in quotation marks."""


async def read_json(door: Door, request: Request, tenant: str) -> bytes:
    """Return the whole body of a request that must be JSON.

    Refuses with ``unsupported_media_type``, ``body_too_large``, ``body_timeout``, ``overloaded`` or ``bad_request``.
    """
    check_media_type(request)
    bytes_max = door.policy.body_bytes_max
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
    taken = door.body_bytes.hold(tenant)
    request.at_end(taken.give_back)
    timeout_s = door.policy.body_timeout_s
    with door.bodies.hold(tenant) as place:
        place.take()
        try:
            async with asyncio.timeout(timeout_s):
                return await _collect(incoming, bytes_max, taken)
        except TimeoutError as error:
            raise refuse(
                "body_timeout",
                f"the request is refused: its body did not arrive within {timeout_s:g} s",
                timeout_s=timeout_s,
            ) from error


def check_media_type(request: Request) -> None:
    """Refuse a body that is not JSON in UTF-8 by its own word, or is encoded."""
    given = request.headers.get(b"content-type", b"")
    if given != _JSON:
        kind, _, parameters = given.lower().partition(b";")
        named = (parameter.partition(b"=") for parameter in _PARAMETER.findall(parameters))
        charsets = [value.strip(b'" \t') for name, _, value in named if name.strip() == b"charset"]
        if kind.strip() != _JSON or any(charset not in (b"utf-8", b"utf8") for charset in charsets):
            raise refuse(
                "unsupported_media_type",
                "the request is refused: its body must have the content type application/json in UTF-8",
            )
    encoding = request.headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        raise refuse(
            "unsupported_media_type",
            "the request is refused: its body has a content encoding; bodies are read as they are, without one",
        )


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
