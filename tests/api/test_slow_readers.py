"""Who reads slowly gets all of it; who takes nothing is let go; idle is who is owed nothing. The time is given."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import uvloop

from intelgraph.api.http.connection import Connection
from intelgraph.api.http.connections import Connections
from intelgraph.api.http.policy import HttpPolicy
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Response

POLICY = HttpPolicy()
BODY = bytes(range(256)) * 65_536  # 16 MiB: more than any kernel's buffers hold
PART = 1 << 20
Scenario = Callable[[Connections, socket.socket], Awaitable[None]]


def with_worker(scenario: Scenario) -> None:
    """A worker's connections with one application: every answer is large."""

    async def serve(connection: Connection, request: Request) -> None:
        connection.respond(request, Response(status=200, body=BODY))
        connection.finish(request)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        connections = Connections(serve, [], policy=POLICY)
        server = await loop.create_server(connections.make, "127.0.0.1", 0)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.setblocking(False)
        async with asyncio.timeout(60):
            await loop.sock_connect(client, server.sockets[0].getsockname())
            await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            try:
                await scenario(connections, client)
            finally:
                client.close()
                server.close()

    uvloop.run(main())


async def the_one(connections: Connections) -> Connection:
    while not connections.open:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    [connection] = connections.open
    while not connection.owes:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return connection


async def read(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (part := await asyncio.get_running_loop().sock_recv(client, size - len(found))):
        found += part
    return found


def test_a_client_that_reads_slowly_gets_all_of_its_answer() -> None:
    async def scenario(connections: Connections, client: socket.socket) -> None:
        connection = await the_one(connections)
        now, found = asyncio.get_running_loop().time(), b""
        while len(found) < len(BODY):
            connection.look(now)
            assert not connection.gone
            now += POLICY.stalled_s - 1  # a look every second would see no less
            part = await read(client, min(PART, len(BODY) - len(found)))
            found += part if found else part.partition(b"\r\n\r\n")[2]
        assert found == BODY

    with_worker(scenario)


def test_a_client_that_takes_nothing_is_let_go() -> None:
    async def scenario(connections: Connections, client: socket.socket) -> None:
        connection = await the_one(connections)
        now = asyncio.get_running_loop().time()
        connection.look(now)
        connection.look(now + POLICY.stalled_s - 1)
        await asyncio.sleep(0)
        assert not connection.gone
        connection.look(now + POLICY.stalled_s + 1)
        while not connection.gone:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert connections.open == set()

    with_worker(scenario)


def test_a_connection_is_idle_from_when_its_answer_was_taken() -> None:
    async def scenario(connections: Connections, client: socket.socket) -> None:
        connection = await the_one(connections)
        began = asyncio.get_running_loop().time()
        connection.look(began + 10 * POLICY.idle_s)
        assert not connection.gone  # the tail waits
        body = (await read(client, PART)).partition(b"\r\n\r\n")[2]
        await read(client, len(BODY) - len(body))
        connection.look(asyncio.get_running_loop().time() + POLICY.idle_s / 2)
        await asyncio.sleep(0.05)
        assert not connection.gone
        while not connection.gone:
            connection.look(began + 20 * POLICY.idle_s)
            await asyncio.sleep(0.01)

    with_worker(scenario)


def test_a_worker_that_stops_waits_for_the_tails_of_answers() -> None:
    async def scenario(connections: Connections, client: socket.socket) -> None:
        await the_one(connections)
        stopping = asyncio.ensure_future(connections.stop(30))
        found = b""
        while part := await asyncio.get_running_loop().sock_recv(client, PART):
            found += part
        assert found.partition(b"\r\n\r\n")[2] == BODY
        await stopping

    with_worker(scenario)
