"""Probes go to a real server by new connections: what it answers, and that it does not, becomes what is said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from intelgraph.control.agent.leases.steady import Clock, steady_s
from intelgraph.control.agent.observer.probing import PROBE_S, REACHED_AFTER, UNREACHED_AFTER, Probes
from intelgraph.control.agent.observer.write_prober import WriteProber, edge_at
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.placement.write_path import UNPROBED, WritePath, WritePathPolicy

from .stores import run

POLICY = WritePathPolicy(probe_s=0.05, answer_s=0.2, look_s=0.05, start_s=0.1, well_after_s=0.2)


@dataclass(kw_only=True)
class Edge:
    """A server at which every request has the answer of the moment; none: it has none. Connections stay open."""

    answer: tuple[int, bytes] | None = (200, b'{"writes":true}')
    connections: int = 0
    requests: int = 0
    paths: set[bytes] = field(default_factory=set)
    changes: int = 0
    stop: Callable[[], None] = lambda: None  # until it is started

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                line = (await reader.readuntil(b"\r\n\r\n")).split()
                self.requests += 1
                self.paths.add(line[1])
                status, body = await self.answered(self.requests)
                writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
                await writer.drain()
        writer.close()

    async def answered(self, number: int) -> tuple[int, bytes]:
        while self.answer is None:  # noqa: ASYNC110 - the test changes it
            await asyncio.sleep(0.02)
        return self.answer

    def changed(self) -> None:
        self.changes += 1


@dataclass(kw_only=True)
class Slow(Edge):
    """Each request is answered when the test says so, and as it says."""

    answers: dict[int, asyncio.Future[tuple[int, bytes]]] = field(default_factory=dict)

    def of(self, number: int) -> asyncio.Future[tuple[int, bytes]]:
        return self.answers.setdefault(number, asyncio.get_running_loop().create_future())

    async def answered(self, number: int) -> tuple[int, bytes]:
        return await self.of(number)


@asynccontextmanager
async def probing(
    edge: Edge, *, policy: WritePathPolicy = POLICY, clock: Clock = steady_s
) -> AsyncIterator[WriteProber]:
    server = await asyncio.start_server(edge.serve, "127.0.0.1", 0)
    edge.stop = server.close
    port = server.sockets[0].getsockname()[1]
    prober = WriteProber(
        edge_at(f"http://127.0.0.1:{port}"), region="us-east", policy=policy, clock=clock, on_change=edge.changed
    )
    task = asyncio.create_task(prober.run())
    try:
        yield prober
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()


async def until(prober: WriteProber, holds: Callable[[WritePath], bool]) -> WritePath:
    async with asyncio.timeout(30):
        while prober.path is None or not holds(prober.path):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    return prober.path


async def reached(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


def test_a_write_path_that_works_is_well_and_probed_by_new_connections() -> None:
    async def body() -> None:
        edge = Edge()
        async with probing(edge) as prober:
            await until(prober, lambda path: path.steady_s > 0.2)
            assert edge.connections >= edge.requests >= 3, "though the edge would keep connections open"
            assert edge.paths == {b"/readyz?writes"}

    run(body())


def test_a_refusal_is_said_in_the_servers_words_and_taken_back() -> None:
    async def body() -> None:
        edge = Edge()
        async with probing(edge) as prober:
            await until(prober, lambda path: path.is_known)
            edge.answer = (503, b'{"writes":false,"code":"database_unavailable","reason":"nobody logs in"}')
            path = await until(prober, lambda path: path.is_broken)
            assert path.why is not None
            assert path.why.reason == "writes fail in us-east: nobody logs in"
            assert path.why.facts["about"] == "us-east"
            edge.answer = (502, b"<html>")
            await until(prober, lambda path: path.why is not None and "answers 502" in path.why.reason)
            edge.answer = (200, b"")
            await until(prober, lambda path: not path.is_broken)
            assert edge.changes >= 3, "each change is reported at once"

    run(body())


def test_an_edge_that_accepts_and_never_answers_is_found_and_probes_do_not_pile_up() -> None:
    async def body() -> None:
        edge = Edge()
        async with probing(edge) as prober:
            await until(prober, lambda path: path.is_known)
            edge.answer = None
            path = await until(prober, lambda path: path.is_broken)
            assert path.why is not None and "has not answered a new connection" in path.why.reason
            await until(prober, lambda path: path.failed > 8)
            assert len(asyncio.all_tasks()) < 40
            edge.answer = (200, b"")
            await until(prober, lambda path: path.failed == 0)

    run(body())


def test_nobody_at_the_port_is_found() -> None:
    async def body() -> None:
        (port,) = free_ports(1)
        edge = Edge()
        prober = WriteProber(
            edge_at(f"http://127.0.0.1:{port}"), region="us-east", policy=POLICY, clock=steady_s, on_change=edge.changed
        )
        task = asyncio.create_task(prober.run())
        path = await until(prober, lambda path: path.is_broken)
        assert path.why is not None and "refuses new connections" in path.why.reason
        assert not path.is_known
        task.cancel()

    run(body())


def test_a_region_without_an_edge_is_not_probed_and_not_called_broken() -> None:
    prober = WriteProber(edge_at(""), region="us-east", policy=POLICY, clock=steady_s, on_change=lambda: None)
    assert prober.path == UNPROBED


def test_a_region_is_unreached_after_three_misses_in_a_row_and_reached_after_five_answers() -> None:
    probes = Probes({})

    def take(*answers: bool) -> float:
        for answered in answers:
            probes.take("eu-west", answered=answered)
        return probes.unreached_s().get("eu-west", 0.0)

    assert take(False, False, True) == 0.0
    assert take(False, True, False, True, False) == PROBE_S, "misses that are not in a row do not add up"
    assert take(*[False] * (UNREACHED_AFTER - 1)) == UNREACHED_AFTER * PROBE_S
    assert take(*[True] * (REACHED_AFTER - 1)) > 0.0, "a link that flaps is down"
    assert take(True) == 0.0


def test_what_a_worker_lacks_is_heard_with_the_answer_and_is_over_with_the_next() -> None:
    async def body() -> None:
        edge = Edge(answer=(200, b'{"writes":true,"limits":{"keys":"2 keys are not understood"}}'))
        async with probing(edge) as prober:
            await until(prober, lambda _: prober.limits == {"keys": "2 keys are not understood"})
            assert prober.path is not None and not prober.path.is_broken
            edge.answer = (200, b'{"writes":true,"limits":{}}')
            await until(prober, lambda _: prober.limits == {})
            edge.answer = (200, b'{"writes":true,"limits":{"streams":"they were refused"}}')
            await until(prober, lambda _: "streams" in prober.limits)
            edge.answer = None
            await until(prober, lambda _: prober.limits == {})

    run(body())


def test_what_a_worker_lacked_is_over_when_its_edge_refuses_connections() -> None:
    async def body() -> None:
        edge = Edge(answer=(200, b'{"writes":true,"limits":{"streams":"they were refused"}}'))
        async with probing(edge) as prober:
            await until(prober, lambda _: "streams" in prober.limits)
            edge.stop()
            path = await until(prober, lambda path: path.is_broken)
            assert path.why is not None and "refuses new connections" in path.why.reason
            assert prober.limits == {}

    run(body())


def test_a_failed_probe_counts_unless_one_that_began_later_got_through() -> None:
    async def body() -> None:
        edge, now_s = Slow(), [0.0]
        patient = WritePathPolicy(probe_s=0.05, answer_s=60.0, look_s=0.02)
        async with probing(edge, policy=patient, clock=lambda: now_s[0]) as prober:
            await reached(lambda: edge.requests >= 1)
            now_s[0] = 1.0
            await reached(lambda: edge.requests >= 4)
            now_s[0] = 5.0
            edge.of(1).set_result((200, b"{}"))
            await until(prober, lambda path: path.is_known)
            edge.of(2).set_result((503, b"{}"))
            await reached(lambda: edge.requests >= 6)
            assert prober.path is not None and prober.path.failed == 1, "it began after the one that got through"
            edge.of(6).set_result((200, b"{}"))
            await until(prober, lambda path: path.failed == 0)
            edge.of(3).set_result((503, b"{}"))
            edge.of(4).set_result((503, b"{}"))
            await reached(lambda: edge.requests >= 8)
            assert prober.path.failed == 0, "they began before the last one that got through"

    run(body())


def test_probes_that_begin_at_one_moment_overtake_nothing() -> None:
    async def body() -> None:
        edge = Edge()
        async with probing(edge, clock=lambda: 100.0) as prober:
            await until(prober, lambda path: path.is_known)
            edge.answer = (503, b"{}")
            await until(prober, lambda path: path.is_broken)

    run(body())
