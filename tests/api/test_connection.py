"""One connection without a worker behind it: what a client that sends in an unusual order is answered, and what not."""

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
from tests.machine import WAIT_S

POLICY = HttpPolicy()
Scenario = Callable[[Connections, socket.socket, list[Request]], Awaitable[None]]
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def with_worker(scenario: Scenario, body: bytes = b"{}") -> None:
    """A worker's connections with one application: every answer is ``body``, and no body of a request is read."""

    async def main() -> None:
        served: list[Request] = []

        async def serve(connection: Connection, request: Request) -> None:
            served.append(request)
            connection.respond(request, Response(status=200, body=body))
            connection.finish(request)

        loop = asyncio.get_running_loop()
        connections = Connections(serve, [], policy=POLICY)
        server = await loop.create_server(connections.make, "127.0.0.1", 0)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.setblocking(False)
        async with asyncio.timeout(WAIT_S):
            await loop.sock_connect(client, server.sockets[0].getsockname())
            try:
                await scenario(connections, client, served)
            finally:
                client.close()
                server.close()

    uvloop.run(main())


async def ended(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, 1 << 20):
        pass


def test_behind_the_last_answer_no_request_is_taken_any_more() -> None:
    async def scenario(connections: Connections, client: socket.socket, served: list[Request]) -> None:
        connections.last_answers = True
        await asyncio.get_running_loop().sock_sendall(client, GET + GET)
        await ended(client)
        assert len(served) == 1

    with_worker(scenario, bytes(16 << 20))


def test_a_head_that_never_comes_to_its_end_does_not_keep_a_connection() -> None:
    async def scenario(connections: Connections, client: socket.socket, served: list[Request]) -> None:
        loop = asyncio.get_running_loop()
        while not connections.open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        [connection] = connections.open
        now = began_s = loop.time()
        for byte in GET[:-2] + b"x" * 3 * int(POLICY.idle_s):
            if connection.gone:
                break
            connection.data_received(bytes([byte]))
            now += 1.0
            connection.look(now)
            await asyncio.sleep(0)
        assert connection.gone
        assert 2 * POLICY.idle_s < now - began_s < 3 * POLICY.idle_s

    with_worker(scenario)
