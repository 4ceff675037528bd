"""Sends this machine's monotonic clock through a peer's log, several tokens under way at once.

A token comes back in the stream behind every row that the peer wrote before it, so its age bounds how stale this
region is. On one connection the tokens would be a round trip apart. All are open from the start: opening one takes
several round trips, and a link that has just become slow is when the bound is wanted most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Connection

_CONNECTIONS = 4


async def send_tokens(open_connection: Callable[[], Awaitable[Connection]], *, region: str, every_s: float) -> None:
    """Send a token of ``region`` every ``every_s``, or as often as the connections allow, until one of them fails.

    Raises what the driver raises; the connections are closed either way.
    """
    turn = asyncio.Lock()

    async def send_in_turn() -> None:
        connection = await open_connection()
        try:
            while True:
                async with turn:
                    await asyncio.sleep(every_s)
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
