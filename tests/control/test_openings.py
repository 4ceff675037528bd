"""A region that takes many placements over at once opens all of them, with a few sessions of its database."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from bench.scratch import start_scratch
from intelgraph.changelog.install import install_schema
from intelgraph.control.agent.controller.opening import Openings, opening_in
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.model.placement import Durability, Placement

pytestmark = pytest.mark.postgres
US, EU = "us-east", "eu-west"
PLACEMENTS = 300
"""Three times as many as PostgreSQL takes connections."""


def record(number: int) -> PlacementRecord:
    place = Placement(id=f"p{number}", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME)
    return PlacementRecord(placement=place, digest_key="6b" * 32, version=1)


@pytest.mark.prove
def test_a_loss_of_hundreds_of_placements_is_opened_without_taking_every_session() -> None:
    async def body() -> None:
        with start_scratch(name="openings") as postgres:
            connection = await asyncpg.connect(**postgres.connect_arguments())
            await install_schema(connection, region=US, peers=[EU])
            openings = Openings(opening_in(postgres.login()))
            opened = await asyncio.gather(*(openings.open_epoch(record(number)) for number in range(PLACEMENTS)))
            assert [each.repeated for each in opened] == [False] * PLACEMENTS
            assert await connection.fetchval("select count(*) from ig.placement") == PLACEMENTS
            await connection.close()

    asyncio.run(body())
