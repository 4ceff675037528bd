"""Four regions over two zones serve as two do: written in one, read in all that may, refused where not, logs equal."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fleet_e2e.running import GLOBAL, RunningFleet, started

pytestmark = [pytest.mark.fleet, pytest.mark.prove]
TOPOLOGY = Path(__file__).parents[1] / "fleet" / "four-regions.toml"
REGIONS = ("us-east", "us-west", "eu-west", "eu-central")


@pytest.fixture(scope="module")
def fleet() -> Iterator[RunningFleet]:
    """The four-region example with a tenant everywhere, and one in Europe alone, whose home is the farther one."""
    with started('state = "state"\n' + TOPOLOGY.read_text(encoding="utf-8")) as fleet:
        fleet.tenant("everywhere", "--regions", ",".join(REGIONS), "--home", "us-west", "--standby", "eu-central")
        fleet.tenant("europe", "--regions", "eu-central,eu-west", "--standby", "eu-west", "--durability", "remote")
        yield fleet


def test_a_write_through_any_door_is_read_in_every_region(fleet: RunningFleet) -> None:
    async def story() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
            for door, url in fleet.doors.items():
                status, told = await _write(http, fleet, url, "everywhere", door)
                assert status == 200, told
                for region in REGIONS:
                    status, seen = await _read(http, fleet, fleet.doors[region], "everywhere", told["bookmark"])
                    assert (status, seen.get("name")) == (200, door), (door, region, seen)

    asyncio.run(story())


def test_a_european_tenant_is_served_in_both_european_regions_and_nowhere_else(fleet: RunningFleet) -> None:
    async def story() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
            status, told = await _write(http, fleet, fleet.doors["eu-west"], "europe", "x")
            assert (status, told["durability"]) == (200, "remote")
            for region in REGIONS:
                status, seen = await _read(http, fleet, fleet.doors[region], "europe", told["bookmark"])
                assert status == (200 if region.startswith("eu-") else 421), seen
            # A read has no body, so the global edge may take it to the next region until one may serve the tenant.
            status, seen = await _read(http, fleet, fleet.doors[GLOBAL], "europe", told["bookmark"])
            assert status == 200, seen

    asyncio.run(story())


def test_all_logs_are_equal(fleet: RunningFleet) -> None:
    compared = fleet.cli("verify", "--wait", "20")["compared"]
    assert len(compared) == 6 + 1
    assert all(line["equal"] and line["rows"] > 0 for line in compared)


async def _write(
    http: aiohttp.ClientSession, fleet: RunningFleet, url: str, tenant: str, name: str
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {fleet.token(tenant)}", "Idempotency-Key": str(uuid.uuid4())}
    body = {"operations": [{"op": "upsert_entity", "entity": {"id": "e", "type": "malware", "name": name}}]}
    async with http.post(f"{url}/v1/changes", json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def _read(
    http: aiohttp.ClientSession, fleet: RunningFleet, url: str, tenant: str, bookmark: str
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {fleet.token(tenant)}", "IG-Bookmark": bookmark}
    async with http.get(f"{url}/v1/entities/e", headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)
