"""A keep-alive HTTP/1.1 client that costs the machine as little as it can: the server is to be measured, not this.

It sends one request at a time on one connection and understands answers with a Content-Length, which is what the door
sends. It is no client for anything else.
"""

from __future__ import annotations

import asyncio
from typing import cast

_HEADERS_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Wire(asyncio.Protocol):
    """One connection. ``post`` sends a request and returns the status and the body of its answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour only

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request that waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Complete the answer once its whole body is there."""
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(_HEADERS_END)
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(_LENGTH)
        length = int(head[at + len(_LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
        whole = end + len(_HEADERS_END) + length
        if len(self._buffer) < whole or self._answer is None:
            return
        answer, self._answer = self._answer, None
        body, self._buffer = self._buffer[whole - length : whole], b""
        answer.set_result((int(head[9:12]), body))

    async def post(self, head: bytes, key: str, body: bytes) -> tuple[int, bytes]:
        """Send ``body`` under an idempotency key after the fixed ``head``, and wait for the answer."""
        return await self.send(b"%bidempotency-key: %b\r\n" % (head, key.encode()), body)

    async def send(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """Send ``body`` after the ``head``, which lacks its length alone, and wait for the answer."""
        assert self._transport is not None
        self._answer = self._loop.create_future()
        self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        return await self._answer

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


def fixed_head(path: str, token: str) -> bytes:
    """The part of a request's head that is the same for every write."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
    ).encode()


async def open_wire(host: str, port: int) -> Wire:
    """Connect."""
    _transport, wire = await asyncio.get_running_loop().create_connection(Wire, host, port)
    return wire
