"""Connections to one server, handed from request to request without a task, a timer or a round trip in between.

Guarantees: at most ``connections_max`` at once, made when they are needed; whoever waits is served in the order of
coming, and refused with ``TimeoutError`` after ``wait_s``; a connection is used again only after its statement came
to an end that the server told, so nothing of one request is ever read by the next. Whatever else ends it, silence,
cancellation, a broken line, closes it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

Connect = Callable[[], Awaitable[asyncpg.Connection]]
# What the server says as it ends the session, or is told to end a statement.
_ENDING = (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError)


class Connections:
    """The connections of one worker. ``connect`` opens one that is ready for use."""

    def __init__(self, connect: Connect, *, connections_max: int, wait_s: float) -> None:
        self._connect = connect
        self._room = connections_max
        self._wait_s = wait_s
        self._idle: list[asyncpg.Connection] = []
        self._open: set[asyncpg.Connection] = set()
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()

    async def use(self, action: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
        """Run an action on a connection that nobody else has meanwhile."""
        connection = await self._take()
        whole = False
        try:
            answer = await action(connection)
            whole = True
            return answer
        except asyncpg.PostgresError as error:
            whole = not isinstance(error, _ENDING)
            raise
        finally:
            self._give_back(connection, whole=whole)

    def terminate(self) -> None:
        """Close every connection at once."""
        for connection in self._open:
            connection.terminate()

    def _give_back(self, connection: asyncpg.Connection, *, whole: bool) -> None:
        if whole and not connection.is_closed():
            self._give(connection)
        else:
            connection.terminate()
            self._open.discard(connection)
            self._give(None)

    async def _take(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open.discard(connection)
            self._room += 1
        if self._room:
            self._room -= 1
            return await self._make()
        return await self._wait() or await self._make()

    async def _wait(self) -> asyncpg.Connection | None:
        """Wait for a connection, or for leave to make one (none)."""
        loop = asyncio.get_running_loop()
        given: asyncio.Future[asyncpg.Connection | None] = loop.create_future()
        self._waiting.append(given)
        timer = loop.call_later(self._wait_s, _expire, given)
        try:
            return await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled() and given.exception() is None:
                self._give(given.result())
            raise
        finally:
            timer.cancel()

    async def _make(self) -> asyncpg.Connection:
        try:
            connection = await self._connect()
        except BaseException:
            self._give(None)
            raise
        self._open.add(connection)
        return connection

    def _give(self, connection: asyncpg.Connection | None) -> None:
        """Hand a connection, or the room for one, to whoever has waited longest."""
        while self._waiting:
            given = self._waiting.popleft()
            if not given.done():
                given.set_result(connection)
                return
        if connection is None:
            self._room += 1
        else:
            self._idle.append(connection)


def _expire(given: asyncio.Future[asyncpg.Connection | None]) -> None:
    if not given.done():
        given.set_exception(TimeoutError("no connection became free"))
