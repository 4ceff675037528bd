"""Sends this machine's monotonic clock through a peer's log, several tokens under way at once.

A token comes back in the stream behind every row that the peer wrote before it, so its age bounds how stale this
region is. On one connection the tokens would be a round trip apart. All are open from the start: opening one takes
several round trips, and a link that has just become slow is when the bound is wanted most.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Connection

_CONNECTIONS = 4


class Pulse:
    """How long to wait before the next token: ``busy_s`` while something moves here, ``idle_s`` after a while without.

    Whoever waits when something moves waits no longer.
    """

    def __init__(self, *, busy_s: float, idle_s: float, idle_after_s: float) -> None:
        self._busy_s, self._idle_s, self._idle_after_s = busy_s, idle_s, idle_after_s
        self._moved_s = time.monotonic()
        self._moved = asyncio.Event()

    def moved(self) -> None:
        """Say that rows have been written or have arrived."""
        self._moved_s = time.monotonic()
        self._moved.set()

    async def wait(self) -> None:
        """Wait until the next token is due."""
        await asyncio.sleep(self._busy_s)
        if time.monotonic() - self._moved_s < self._idle_after_s:
            return
        self._moved.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._idle_s - self._busy_s)):
                await self._moved.wait()


async def send_tokens(open_connection: Callable[[], Awaitable[Connection]], *, region: str, pulse: Pulse) -> None:
    """Send a token of ``region`` at each ``pulse``, or as often as the connections allow, until one of them fails.

    Raises what the driver raises; the connections are closed either way.
    """
    turn = asyncio.Lock()

    async def send_in_turn() -> None:
        connection = await open_connection()
        try:
            while True:
                async with turn:
                    await pulse.wait()
                await connection.execute("select ig.echo($1, $2)", region, time.monotonic_ns())
        finally:
            connection.terminate()

    senders = [asyncio.create_task(send_in_turn()) for _ in range(_CONNECTIONS)]
    try:
        await asyncio.gather(*senders)
    finally:
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
