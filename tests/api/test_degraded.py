"""``IG-Degraded`` is on every answer of a degraded placement: over REST and GraphQL, at the first request and later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest
import requests

from intelgraph.control.agent.controller.opening import open_epoch
from intelgraph.control.directory.placements import Directory
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.placement import Declared, Durability, Placement, Tenant

from .site import EU, US, Client, Site, entity, until_known
from .test_graphql import post

pytestmark = pytest.mark.postgres
LESS = Placement(
    id="less", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME,
    declared=Declared(home=US, durability=Durability.REMOTE),
)  # fmt: skip
READ = "query ($id: ID!) { entity(id: $id) { id } }"
Ask = Callable[[Client, str], requests.Response]


@pytest.fixture(scope="module")
def entity_id(site: Site) -> str:
    """An entity of a tenant whose placement is degraded."""

    async def provision() -> None:
        store = SqliteControlStore(site.control)
        connection = await asyncpg.connect(**site.us.postgres.connect_arguments())
        try:
            directory = Directory(store)
            record = await directory.create_placement(LESS)
            await open_epoch(record, site.us.config.admin_database)
            await directory.create_tenant(Tenant(id="oscorp", placement=LESS.id))
            await until_known(connection, LESS.id)
        finally:
            await store.close()
            await connection.close()

    asyncio.run(provision())
    one = entity()
    answer = site.client(tenant="oscorp").write(one)
    assert (answer.status_code, answer.headers["ig-degraded"]) == (200, "standby_lost")
    return str(one["entity"]["id"])


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda client, id_: client.entity(id_), id="rest"),
        pytest.param(lambda client, id_: post(client, READ, {"id": id_}), id="graphql"),
    ],
)
def test_every_answer_of_a_degraded_placement_says_so(site: Site, entity_id: str, ask: Ask) -> None:
    client = site.client(tenant="oscorp", role="analyst")  # a token that the worker has not seen
    answers = [ask(client, entity_id) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [answer.headers.get("ig-degraded") for answer in answers] == ["standby_lost"] * 4
    assert "ig-degraded" not in ask(site.client(tenant="acme"), entity_id).headers


def test_a_write_that_was_handed_to_its_home_says_so_once(site: Site, entity_id: str) -> None:
    answer = site.client(EU, tenant="oscorp").write(entity())
    assert (answer.status_code, answer.headers["ig-region"]) == (200, US)
    assert answer.headers["ig-degraded"] == "standby_lost"
