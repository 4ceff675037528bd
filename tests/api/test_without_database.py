"""A worker whose database is away: what needs none is answered, all else is refused with a type, in every form.

The worker is real, and so are its port, its directory and its issuer; it runs in this process.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from intelgraph.api.app import App
from intelgraph.api.policy import WorkerPolicy
from intelgraph.control import issuer
from intelgraph.control.directory.placements import Directory
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.model.placement import Declared, Durability, Placement, Tenant
from intelgraph.settings import ApiPolicy, Database, Issuer, RegionConfig, SqliteControl
from tests.machine import WAIT_S

from .site import TokenIssuer

US, EU = "us-east", "eu-west"
PLACEMENTS = {
    "acme": Placement(id="both", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME),
    "oscorp": Placement(
        id="less", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME,
        declared=Declared(home=US, durability=Durability.REMOTE),
    ),
    "hooli": Placement(id="europe", home=EU, standby=None, regions=(EU,), epoch=1, durability=Durability.HOME),
}  # fmt: skip
Headers = Mapping[str, str]
Answer = tuple[int, Headers, Any]


class NoServer:
    """A lifeline of a server process that never stops."""

    def hold(self, on_cut: Callable[[], None]) -> None:
        """Nothing will be told."""


class Worker:
    """A running worker, and how it is asked."""

    def __init__(self, url: str, tokens: TokenIssuer, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._tokens = tokens
        self._http = http

    def bearer(self, tenant: str, role: str = "writer") -> dict[str, str]:
        return {"authorization": f"Bearer {self._tokens.token(tenant, role)}"}

    async def get(self, path: str, headers: Headers | None = None) -> Answer:
        async with self._http.get(self._url + path, headers=headers) as answer:
            return answer.status, answer.headers, await answer.json()

    async def graphql(self, query: str, headers: Headers) -> Answer:
        async with self._http.post(self._url + "/graphql", json={"query": query}, headers=headers) as answer:
            return answer.status, answer.headers, await answer.json()


def with_worker(directory: Path, story: Callable[[Worker], Awaitable[None]]) -> None:
    async def run() -> None:
        control = directory / "control.db"
        store = SqliteControlStore(control)
        placed = Directory(store)
        for tenant, placement in PLACEMENTS.items():
            await placed.create_placement(placement)
            await placed.create_tenant(Tenant(id=tenant, placement=placement.id))
        await store.close()
        tokens = TokenIssuer(directory)
        nobody, port = free_ports(2)
        login = Database(host="127.0.0.1", port=nobody, user="ig_api", password="none", database="none")
        config = RegionConfig(
            region=US, zone="us", directory=str(directory), database=login, admin_database=login, peers={},
            control=SqliteControl(path=str(control)),
            issuer=Issuer(issuer=issuer.ISSUER, audience=issuer.AUDIENCE, jwks=str(tokens.jwks)),
            api_host="127.0.0.1", api_port=port, metrics_port=0, api=ApiPolicy(),
        )  # fmt: skip
        switch_s = sys.getswitchinterval()
        app = App(config, WorkerPolicy(), lifeline=NoServer())
        connections = await app.start()
        server = await asyncio.get_running_loop().create_server(connections.make, "127.0.0.1", port)
        try:
            async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as http:
                await story(Worker(f"http://127.0.0.1:{port}", tokens, http))
        finally:
            server.close()
            await connections.stop(1.0)
            await app.stop()
            sys.setswitchinterval(switch_s)

    asyncio.run(run())


def test_what_needs_no_database_is_answered(tmp_path: Path) -> None:
    async def story(worker: Worker) -> None:
        status, headers, told = await worker.get("/healthz")
        assert (status, told, headers["ig-region"]) == (200, {"alive": True}, US)
        status, _, told = await worker.get("/readyz")
        assert (status, told["ready"]) == (503, False) and told["checks"]["database"]
        assert (await worker.get("/openapi.json"))[2]["openapi"]
        status, _, told = await worker.graphql("{ __schema { queryType { name } } }", worker.bearer("acme"))
        assert (status, told) == (200, {"data": {"__schema": {"queryType": {"name": "Query"}}}})

    with_worker(tmp_path, story)


def test_every_refusal_has_its_code_in_the_form_of_its_route(tmp_path: Path) -> None:
    async def story(worker: Worker) -> None:
        for headers, code in (
            ({}, "no_token"),
            ({"authorization": "Bearer none"}, "bad_token"),
            (worker.bearer("nobody"), "unknown_tenant"),
            (worker.bearer("hooli"), "region_not_allowed"),
            (worker.bearer("acme"), "database_unavailable"),
        ):
            rest, graphql = await asyncio.gather(
                worker.get("/v1/entities/x", headers), worker.graphql('{ entity(id: "x") { id } }', headers)
            )
            assert rest[2]["code"] == code
            assert graphql[2]["errors"][0]["extensions"]["code"] == code
            assert rest[0] == graphql[0]

    with_worker(tmp_path, story)


def test_a_degraded_placement_is_told_over_rest_and_graphql_at_the_first_request_and_later(tmp_path: Path) -> None:
    async def story(worker: Worker) -> None:
        async def marks(tenant: str, ask: Callable[[Headers], Awaitable[Answer]]) -> list[str | None]:
            token = worker.bearer(tenant, "analyst")
            return [(await ask(token))[1].get("ig-degraded") for _ in range(2)]

        def rest(headers: Headers) -> Awaitable[Answer]:
            return worker.get("/v1/entities/x", headers)

        def graphql(headers: Headers) -> Awaitable[Answer]:
            return worker.graphql("{ __typename }", headers)

        told = await asyncio.gather(*(marks(tenant, ask) for tenant in ("oscorp", "acme") for ask in (rest, graphql)))
        assert told == [["standby_lost"] * 2, ["standby_lost"] * 2, [None] * 2, [None] * 2]

    with_worker(tmp_path, story)
