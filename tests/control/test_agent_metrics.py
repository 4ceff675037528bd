"""The agent's numbers are answered beside it: what askers do is that process's business, and it is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from intelgraph.control.agent.metrics import AgentMetrics
from intelgraph.exposition import CONNECTIONS_MAX, HEAD_BYTES_MAX
from intelgraph.fleet.layout.ports import free_ports

pytestmark = pytest.mark.timeout(120)


def with_numbers(scenario: Callable[[AgentMetrics, int], Awaitable[None]]) -> None:
    async def main() -> None:
        [port] = free_ports(1)
        metrics = AgentMetrics()
        metrics.lease_held.set(1)
        serving = asyncio.create_task(metrics.serve("127.0.0.1", port))
        try:
            await until_told(port, b"ig_lease_held 1.0")
            await scenario(metrics, port)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        async with asyncio.timeout(20):
            while await told(port, b"GET /metrics HTTP/1.1\r\n\r\n"):  # noqa: ASYNC110 - it ends with its agent
                await asyncio.sleep(0.05)

    asyncio.run(main())


async def told(port: int, request: bytes) -> bytes:
    """Everything that is answered, nothing where nobody does."""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer
    return b""


async def until_told(port: int, part: bytes) -> None:
    async with asyncio.timeout(60):
        while part not in await told(port, b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def expositions() -> list[int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if b"exposition" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_the_numbers_follow_and_the_process_is_replaced_when_it_dies() -> None:
    async def scenario(metrics: AgentMetrics, port: int) -> None:
        metrics.lease_held.set(0)
        await until_told(port, b"ig_lease_held 0.0")
        [child] = expositions()
        os.kill(child, signal.SIGKILL)
        metrics.lease_held.set(1)
        await until_told(port, b"ig_lease_held 1.0")

    with_numbers(scenario)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics?x=y HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\ncontent-length: 0\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
    ],
)
def test_nothing_else_is_there(request_: bytes, status: bytes) -> None:
    async def scenario(_: AgentMetrics, port: int) -> None:
        assert (await told(port, request_)).startswith(b"HTTP/1.1 " + status)
        assert (await told(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")

    with_numbers(scenario)


def test_connections_are_bounded_and_those_that_say_nothing_are_let_go() -> None:
    async def scenario(_: AgentMetrics, port: int) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * CONNECTIONS_MAX)]
        for reader, _writer in silent:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""  # ended by the other side: at once, or after its time
        assert b"ig_lease_held" in await told(port, b"GET /metrics HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert await told(port, b"GET /" + b"x" * (4 * HEAD_BYTES_MAX)) == b""

    with_numbers(scenario)


def test_many_who_ask_at_once_are_answered_by_one_reckoning() -> None:
    async def scenario(_: AgentMetrics, port: int) -> None:
        request = b"GET /metrics HTTP/1.1\r\n\r\n"
        answers = await asyncio.gather(*(told(port, request) for _ in range(CONNECTIONS_MAX)))
        assert all(answer == answers[0] and answer for answer in answers)

    with_numbers(scenario)
