"""Connections are handed on: never to two at once, never after an end that was not told, never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from intelgraph.api.connections import Connections


class Line:
    """A connection that can only be closed."""

    def __init__(self) -> None:
        self.closed = False
        self.users = 0

    def is_closed(self) -> bool:
        return self.closed

    def terminate(self) -> None:
        self.closed = True


class Server:
    """Makes lines, and fails to when it is told to."""

    def __init__(self) -> None:
        self.made: list[Line] = []
        self.away = False

    async def connect(self) -> Any:
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionRefusedError
        self.made.append(Line())
        return self.made[-1]


def connections(server: Server, *, wait_s: float = 5.0) -> Connections:
    return Connections(server.connect, connections_max=2, wait_s=wait_s)


def held(until: asyncio.Event, order: list[int], number: int) -> Callable[[Any], Awaitable[Any]]:
    async def action(line: Line) -> Line:
        line.users += 1
        assert line.users == 1
        order.append(number)
        await until.wait()
        line.users -= 1
        return line

    return action


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_each_connection_has_one_user_and_whoever_waits_comes_in_order() -> None:
    async def story() -> None:
        server, order, until = Server(), [], asyncio.Event()
        pool = connections(server)
        users = [asyncio.ensure_future(pool.use(held(until, order, n))) for n in range(9)]
        await settle()
        assert order == [0, 1]
        until.set()
        await asyncio.gather(*users)
        assert order == list(range(9))
        assert len(server.made) == 2

    asyncio.run(story())


@pytest.mark.parametrize(
    "error", [OSError(), asyncpg.InterfaceError("broken"), asyncpg.AdminShutdownError(), TimeoutError()]
)
def test_a_connection_that_failed_is_closed_and_replaced(error: Exception) -> None:
    async def fail(_line: Line) -> None:
        raise error

    async def told(line: Line) -> Line:
        return line

    async def story() -> None:
        server = Server()
        pool = connections(server)
        for _ in range(5):
            with pytest.raises(type(error)):
                await pool.use(fail)
        assert all(line.closed for line in server.made)
        assert not (await pool.use(told)).closed

    asyncio.run(story())


def test_a_statement_that_the_server_refused_leaves_its_connection_whole() -> None:
    async def refused(_line: Line) -> None:
        raise asyncpg.DataError

    async def story() -> None:
        server = Server()
        pool = connections(server)
        for _ in range(3):
            with pytest.raises(asyncpg.DataError):
                await pool.use(refused)
        assert [line.closed for line in server.made] == [False]

    asyncio.run(story())


def test_a_user_that_is_cancelled_closes_its_connection_and_one_that_waits_gets_the_room() -> None:
    async def story() -> None:
        server, order, until = Server(), [], asyncio.Event()
        pool = connections(server)
        users = [asyncio.ensure_future(pool.use(held(until, order, n))) for n in range(4)]
        await settle()
        users[0].cancel()
        users[3].cancel()
        await settle()
        assert server.made[0].closed
        assert order == [0, 1, 2]
        until.set()
        await settle()
        assert users[1].done() and users[2].done()
        assert len(server.made) == 3

    asyncio.run(story())


def test_a_connection_that_is_handed_to_one_who_is_just_cancelled_is_not_lost() -> None:
    async def story() -> None:
        server, order, until = Server(), [], asyncio.Event()
        pool = connections(server)
        users: list[asyncio.Future[Any]] = []

        async def cancel_the_third_and_end(_line: Line) -> None:
            await until.wait()
            # Runs between the handing over, at the end of this turn of the loop, and the third one's awakening.
            asyncio.get_running_loop().call_soon(users[2].cancel)

        users.append(asyncio.ensure_future(pool.use(cancel_the_third_and_end)))
        users += [asyncio.ensure_future(pool.use(held(asyncio.Event(), order, n))) for n in (1, 2)]
        await settle()
        until.set()
        await settle()
        assert users[2].cancelled()
        assert order == [1]
        async with asyncio.timeout(1):
            await pool.use(held(until, order, 3))
        assert len(server.made) == 2
        users[1].cancel()

    asyncio.run(story())


def test_who_waits_too_long_is_refused() -> None:
    async def story() -> None:
        server, order, until = Server(), [], asyncio.Event()
        pool = connections(server, wait_s=0.01)
        users = [asyncio.ensure_future(pool.use(held(until, order, n))) for n in range(2)]
        await settle()
        with pytest.raises(TimeoutError):
            await pool.use(held(until, order, 2))
        until.set()
        await asyncio.gather(*users)
        await pool.use(held(until, order, 3))
        assert order == [0, 1, 3]

    asyncio.run(story())


def test_a_server_that_was_away_costs_no_room() -> None:
    async def story() -> None:
        server, until = Server(), asyncio.Event()
        until.set()
        pool = connections(server)
        server.away = True
        for _ in range(5):
            with pytest.raises(ConnectionRefusedError):
                await pool.use(held(until, [], 0))
        server.away = False
        users = [pool.use(held(until, [], n)) for n in range(4)]
        assert len(await asyncio.gather(*users)) == 4
        assert len(server.made) == 2
        pool.terminate()
        assert all(line.closed for line in server.made)

    asyncio.run(story())
