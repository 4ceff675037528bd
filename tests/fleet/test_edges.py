"""The edges, as real Envoys in front of small servers: who is asked, what is tried again, what is never kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from intelgraph.fleet.edge.envoy import HEDGE_S, LOST_S, UNREACHED, Json, Upstream, global_edge, region_edge
from intelgraph.fleet.layout.binaries import envoy_program
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.fleet.supervisor.process import Launch, start
from tests.machine import WAIT_S, stretched


@dataclass
class Server:
    """A stand-in for a region: answers with its name and ``status``, and remembers what it was asked."""

    name: str
    port: int
    status: int = 200
    ready: bool = True
    delay_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    _runner: web.AppRunner | None = None

    async def up(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def down(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        if self.delay_s == float("inf"):
            await asyncio.sleep(3600)  # its processes are stopped
        if request.path == "/readyz":
            return web.Response(status=200 if self.ready else 503)
        body = await request.read()
        self.asked.append(f"{request.method} {request.path} {len(body)}")
        await asyncio.sleep(self.delay_s)
        return web.Response(status=self.status, text=self.name)


@contextlib.asynccontextmanager
async def _envoy(place: Path, name: str, port: int, config: Json) -> AsyncIterator[str]:
    file = place / f"{name}.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    command = (str(envoy_program()), "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "warning")
    process = start(
        Launch(command=command, directory=place, log=place / f"{name}.log", environment=dict(os.environ), mark="test")
    )
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send(signal.SIGKILL)
        await asyncio.wait_for(process.wait(), 10)


@dataclass
class Globe:
    """A global edge in front of two regions' stand-ins."""

    url: str
    near: Server
    far: Server
    http: aiohttp.ClientSession
    log: Path

    async def get(self, path: str = "/v1/entities/x") -> tuple[int, str]:
        async with self.http.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def post(self) -> tuple[int, str]:
        async with self.http.post(self.url + "/v1/changes", data=b"secret-of-a-tenant") as answer:
            return answer.status, await answer.text()

    async def until(self, wanted: tuple[int, str], timeout_s: float = WAIT_S) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(timeout_s):
            while await self.get() != wanted:  # noqa: ASYNC110 - another process decides
                await asyncio.sleep(0.05)
        return loop.time() - began


def _with_globe(place: Path, scenario: Callable[[Globe], Awaitable[None]]) -> None:
    async def main() -> None:
        port, one, other = free_ports(3)
        near, far = Server("near", one), Server("far", other)
        config = global_edge(
            port=port,
            admin_socket=str(place / "global.sock"),
            edges=[Upstream(name="near", port=one), Upstream(name="far", port=other)],
        )
        async with asyncio.timeout(2 * WAIT_S), aiohttp.ClientSession() as http:
            await near.up()
            await far.up()
            try:
                async with _envoy(place, "global", port, config) as url:
                    globe = Globe(url=url, near=near, far=far, http=http, log=place / "global.log")
                    await globe.until((200, "near"))
                    near.asked.clear()
                    await scenario(globe)
            finally:
                await near.down()
                await far.down()

    asyncio.run(main())


def test_the_nearest_region_answers_while_it_is_ready(place: Path) -> None:
    async def scenario(globe: Globe) -> None:
        for _ in range(20):
            assert await globe.get() == (200, "near")
        assert globe.far.asked == []

    _with_globe(place, scenario)


def test_a_region_that_is_not_ready_is_passed_over_and_used_again_once_it_is(place: Path) -> None:
    async def scenario(globe: Globe) -> None:
        globe.near.ready = False
        assert await globe.until((200, "far")) < 5
        globe.near.ready = True
        await globe.until((200, "near"))

    _with_globe(place, scenario)


def test_when_a_region_dies_no_read_fails(place: Path) -> None:
    async def scenario(globe: Globe) -> None:
        await globe.near.down()
        for _ in range(30):
            assert await globe.get() == (200, "far")
            await asyncio.sleep(0.02)

    _with_globe(place, scenario)


def test_a_region_whose_processes_are_stopped_costs_no_read_a_second(place: Path) -> None:
    async def scenario(globe: Globe) -> None:
        globe.near.delay_s = float("inf")
        for _ in range(40):
            began_s = time.monotonic()
            assert await globe.get() == (200, "far")
            assert time.monotonic() - began_s < stretched(1.0, began_s)
            await asyncio.sleep(0.05)
        began_s = time.monotonic()
        assert await globe.post() == (200, "far")
        assert time.monotonic() - began_s < stretched(1.0, began_s)

    _with_globe(place, scenario)


def test_a_slow_read_is_not_cut_off_where_no_other_region_may_answer_it(place: Path) -> None:
    async def scenario(globe: Globe) -> None:
        globe.near.delay_s, globe.far.status = 1.5, 421
        for _ in range(3):
            assert await globe.get() == (200, "near")
        assert len(globe.near.asked) == 3

    _with_globe(place, scenario)


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/v1/changes", "text/event-stream"),
        ("/graphql?query=x", "application/json, text/event-stream"),
        pytest.param("/v1/changes?limit=1000", "*/*", marks=pytest.mark.prove),
        pytest.param("/v1/entities?limit=1000", "*/*", marks=pytest.mark.prove),
        pytest.param("/v1/relationships", "*/*", marks=pytest.mark.prove),
        ("/graphql?query=x", "*/*"),
    ],
)
def test_no_stream_is_opened_twice_and_no_large_read_done_twice(place: Path, path: str, accept: str) -> None:
    async def scenario(globe: Globe) -> None:
        globe.near.delay_s = 3 * HEDGE_S
        async with globe.http.get(globe.url + path, headers={"accept": accept}) as answer:
            assert (answer.status, await answer.text()) == (200, "near")
        assert len(globe.near.asked) == 1
        assert globe.far.asked == []
        await globe.near.down()
        async with globe.http.get(globe.url + path, headers={"accept": accept}) as answer:
            assert (answer.status, await answer.text()) == (200, "far")

    _with_globe(place, scenario)


@pytest.mark.parametrize(
    ("path", "within_s"),
    [
        ("/v1/entities?limit=1", 1.0),
        ("/v1/relationships?after=x&limit=10", 1.0),
        ("/v1/changes?limit=7", 1.0),
        pytest.param("/v1/entities?limit=1000", 2 * LOST_S, marks=pytest.mark.prove),
        ("/graphql?query=x", 2 * LOST_S),
    ],
)
def test_a_list_is_asked_of_the_next_region_when_its_own_says_nothing(place: Path, path: str, within_s: float) -> None:
    async def scenario(globe: Globe) -> None:
        globe.near.delay_s = float("inf")
        began_s = time.monotonic()
        async with globe.http.get(globe.url + path) as answer:
            assert (answer.status, await answer.text()) == (200, "far")
        assert time.monotonic() - began_s < stretched(within_s, began_s)

    _with_globe(place, scenario)


def test_slow_reads_do_not_turn_a_region_away(place: Path) -> None:
    async def scenario(globe: Globe) -> None:
        globe.near.delay_s, globe.far.status = 0.6, 421
        assert await asyncio.gather(*(globe.get() for _ in range(16))) == [(200, "near")] * 16
        globe.near.delay_s = 0.0
        for _ in range(20):
            assert await globe.get() == (200, "near")

    _with_globe(place, scenario)


def test_a_read_refused_with_421_is_tried_at_the_next_region_and_a_write_is_not(place: Path) -> None:
    async def scenario(globe: Globe) -> None:
        globe.near.status = 421
        assert await globe.get() == (200, "far")
        assert await globe.post() == (421, "near")
        assert globe.far.asked == ["GET /v1/entities/x 0"]

    _with_globe(place, scenario)


def test_other_refusals_reach_the_client_untouched(place: Path) -> None:
    async def scenario(globe: Globe) -> None:
        for status in (400, 401, 403, 404, 409, 503):
            globe.near.status = status
            assert await globe.get() == (status, "near")

    _with_globe(place, scenario)


def test_without_any_ready_region_the_answer_is_a_problem_with_a_time_to_come_back(place: Path) -> None:
    async def scenario(globe: Globe) -> None:
        globe.near.ready = globe.far.ready = False
        async with asyncio.timeout(WAIT_S):
            while (await globe.get())[0] != 503:  # noqa: ASYNC110 - another process decides
                await asyncio.sleep(0.05)
        async with globe.http.get(globe.url + "/v1/entities/x") as answer:
            assert answer.content_type == "application/problem+json"
            assert answer.headers["retry-after"] == "1"
            assert (await answer.json())["code"] == "region_unreached"

    _with_globe(place, scenario)


def test_nothing_of_a_request_is_in_the_edges_log(place: Path) -> None:
    async def scenario(globe: Globe) -> None:
        globe.near.status = 503
        headers = {"authorization": "Bearer secret-token", "idempotency-key": "secret-key", "x-request-id": "secret-id"}
        url = f"{globe.url}/v1/entities/secret-path?secret-query"
        async with globe.http.post(url, data=b"secret-body", headers=headers) as answer:
            assert answer.status == 503
        async with asyncio.timeout(WAIT_S):
            while '"status":503' not in (log := globe.log.read_text(encoding="utf-8")).replace(" ", ""):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert "secret" not in log

    _with_globe(place, scenario)


def _with_region_edge(place: Path, scenario: Callable[[str, Server, aiohttp.ClientSession], Awaitable[None]]) -> None:
    async def main() -> None:
        port, peers_port, api_port = free_ports(3)
        api = Server("api", api_port)
        config = region_edge(
            port=port,
            peers_port=peers_port,
            admin_socket=str(place / "region.sock"),
            api=Upstream(name="us-east", port=api_port),
        )
        async with asyncio.timeout(2 * WAIT_S), aiohttp.ClientSession() as http:
            try:
                async with _envoy(place, "region", port, config) as url:
                    await scenario(url, api, http)
            finally:
                await api.down()

    asyncio.run(main())


def test_a_write_waits_in_its_region_for_an_api_that_is_just_restarting(place: Path) -> None:
    async def scenario(url: str, api: Server, http: aiohttp.ClientSession) -> None:
        coming = asyncio.get_running_loop().call_later(0.4, lambda: asyncio.ensure_future(api.up()))
        async with http.post(url + "/v1/changes", data=b"x" * 100_000) as answer:
            assert answer.status in (200, 503)  # the wait is bounded and jittered; mostly it is long enough
            if answer.status == 200:
                assert api.asked == ["POST /v1/changes 100000"]
        coming.cancel()

    _with_region_edge(place, scenario)


def test_without_an_api_the_edge_says_so_in_bounded_time_and_marks_its_answer(place: Path) -> None:
    async def scenario(url: str, api: Server, http: aiohttp.ClientSession) -> None:
        began = asyncio.get_running_loop().time()
        async with http.get(url + "/v1/entities/x") as answer:
            assert answer.status == 503
            assert answer.headers[UNREACHED] == "1"
            assert (await answer.json())["code"] == "region_unreached"
        assert asyncio.get_running_loop().time() - began < 8

    _with_region_edge(place, scenario)


@pytest.mark.parametrize("status", [200, 404, 421, 503])
def test_the_regions_edge_passes_every_answer_on(place: Path, status: int) -> None:
    async def scenario(url: str, api: Server, http: aiohttp.ClientSession) -> None:
        await api.up()
        api.status = status
        async with http.post(url + "/v1/changes", data=b"x") as answer:
            assert (answer.status, await answer.text()) == (status, "api")
            assert UNREACHED not in answer.headers
        assert api.asked == ["POST /v1/changes 1"]

    _with_region_edge(place, scenario)
