"""What a handler answers with: a whole ``Response``, or a ``Stream`` that writes its own body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

Header = tuple[bytes, bytes]
Send = Callable[[bytes], Awaitable[None]]
"""Takes a part of a body; returns when there is room for the next one."""


class Response(msgspec.Struct, kw_only=True):
    """Status, body and the headers beyond those that every answer has. ``code`` names a refusal in logs and metrics."""

    status: int
    body: bytes
    headers: list[Header] = []
    content_type: bytes = b"application/json"
    code: str | None = None


@dataclass(kw_only=True, slots=True)
class Stream:
    """An answer that goes on: ``run`` sends body parts until it returns.

    It returns whether the body is whole. If not, the connection is closed without the body's end, which every client
    takes for a failure that it may repeat.
    """

    run: Callable[[Send], Awaitable[bool]]
    content_type: bytes
    headers: list[Header] = field(default_factory=list)


Answer = Response | Stream
