"""What somebody did to the links by hand is found and said; a standby that is lost costs what was declared, no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import asyncpg
import pytest

from intelgraph.changelog.links import slot_name
from tests.fleet_e2e.moving import known
from tests.fleet_e2e.numbers import scrape
from tests.fleet_e2e.running import AWAY, HOME, RunningFleet, until
from tests.machine import contention

pytestmark = [pytest.mark.fleet, pytest.mark.alone]
FOUND_S = 10.0
BOTH = ("--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY)


def found(fleet: RunningFleet) -> set[tuple[str, str]]:
    """What status says is wrong, and where."""
    return {(each["vantage"], each["code"]) for each in fleet.cli_any("status")["standing"]["findings"]}


def until_found(fleet: RunningFleet, vantage: str, *codes: str) -> None:
    began_s = time.monotonic()
    until(lambda: found(fleet) & {(vantage, code) for code in codes}, 30.0, f"{codes} is not said")
    took_s = time.monotonic() - began_s
    print(f"{' or '.join(codes)} said {took_s:.1f} s after it was done, the command's own time included")
    assert took_s <= FOUND_S * contention(began_s)


async def do(fleet: RunningFleet, region: str, statement: str) -> Any:
    async with fleet.owner(region) as database:
        return await database.fetchval(statement)


@pytest.fixture
def disabled(two_regions: RunningFleet) -> Iterator[Callable[[], None]]:
    """Disables what eu-west hears of us-east, when it is called; enabled again at the end."""
    name = "from_us_east"

    def disable() -> None:
        asyncio.run(do(two_regions, AWAY, f"alter subscription {name} disable"))

    yield disable
    asyncio.run(do(two_regions, AWAY, f"alter subscription {name} enable"))
    two_regions.wait_until_whole()


def write(fleet: RunningFleet, tenant: str, key: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    async def ask() -> tuple[int, dict[str, str], dict[str, Any]]:
        headers = {
            "authorization": f"Bearer {fleet.token(tenant)}",
            "idempotency-key": key,
            "ig-deadline-ms": "3000",
        }
        operation = {"op": "upsert_entity", "entity": {"id": f"e--{key}", "type": "malware", "name": key}}
        timeout = aiohttp.ClientTimeout(total=20)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(f"{fleet.doors[HOME]}/v1/changes", json={"operations": [operation]}, headers=headers) as answer,
        ):
            told = await answer.json(content_type=None)
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, told

    return asyncio.run(ask())


def acknowledged(fleet: RunningFleet, tenant: str) -> tuple[int, str | None, str | None]:
    """How a new write is answered: its status, the durability that is told, and what is degraded.

    Each worker learns of a change after the directory was told of it, so what a test expects here it waits for.
    """
    status, headers, told = write(fleet, tenant, f"w-{time.monotonic_ns()}")
    return status, told.get("durability"), headers.get("ig-degraded")


@pytest.mark.prove
def test_a_slot_dropped_by_hand_is_said_and_what_went_by_is_fetched(two_regions: RunningFleet) -> None:
    fleet = two_regions
    fleet.tenant("slot", *BOTH)
    slot = slot_name(HOME, AWAY)

    async def drop() -> None:
        async with fleet.owner(HOME) as database:
            while True:
                await database.execute(
                    "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1", slot
                )
                try:
                    await database.execute("select pg_drop_replication_slot($1)", slot)
                    return
                except (asyncpg.ObjectInUseError, asyncpg.UndefinedObjectError):
                    await asyncio.sleep(0.01)

    asyncio.run(drop())
    assert write(fleet, "slot", "went-by")[0] == 200
    until_found(fleet, HOME, "slot_lost", "slot_replaced")
    fleet.wait_until_whole()


@pytest.mark.prove
def test_a_subscription_disabled_by_hand_is_said_by_both_sides(
    two_regions: RunningFleet, disabled: Callable[[], None]
) -> None:
    disabled()
    until_found(two_regions, AWAY, "subscription_disabled")
    until_found(two_regions, HOME, "link_down")


@pytest.mark.prove
def test_without_its_standby_a_remote_placement_goes_on_as_home_or_refuses_as_declared(
    two_regions: RunningFleet, disabled: Callable[[], None]
) -> None:
    fleet = two_regions
    fleet.tenant("goes-on", *BOTH, "--durability", "remote")
    fleet.tenant("refuses", *BOTH, "--durability", "remote", "--on-standby-loss", "strict")
    assert [write(fleet, tenant, "before")[0] for tenant in ("goes-on", "refuses")] == [200, 200]
    disabled()
    until(lambda: known(fleet).placements["goes-on"].placement.is_degraded, 30.0, "it is not degraded")
    until(lambda: acknowledged(fleet, "goes-on") == (200, "home", "standby_lost"), 15.0, "it does not go on")

    def refused() -> bool:
        status, headers, told = write(fleet, "refuses", f"refused-{time.monotonic_ns()}")
        return status == 503 and told["code"] == "standby_lost" and "retry-after" in headers

    before = scrape(fleet, f"{HOME}/api").sum("ig_refusals_total", code="standby_lost")
    until(refused, 20.0, "it does not refuse")

    def counted() -> bool:
        return scrape(fleet, f"{HOME}/api").sum("ig_refusals_total", code="standby_lost") > before

    until(counted, 2.0, "a refusal is not counted")
    asyncio.run(do(fleet, AWAY, "alter subscription from_us_east enable"))
    until(lambda: not known(fleet).placements["goes-on"].placement.is_degraded, 60.0, "it stays degraded")
    until(lambda: write(fleet, "refuses", "after")[0] == 200, 30.0, "it goes on refusing")
    until(lambda: acknowledged(fleet, "goes-on") == (200, "remote", None), 15.0, "it goes on as home")


def test_home_writes_are_refused_before_the_standby_lacks_more_than_the_rpo(
    two_regions: RunningFleet, disabled: Callable[[], None]
) -> None:
    fleet = two_regions
    fleet.tenant("bounded", *BOTH, "--rpo", "8")
    assert write(fleet, "bounded", "before")[0] == 200
    before_s = time.monotonic()
    disabled()
    began_s = time.monotonic()
    answers = []
    while time.monotonic() - began_s < 14.0:
        asked_s = time.monotonic()
        status, _, told = write(fleet, "bounded", f"w-{len(answers)}")
        answers.append((asked_s, status, told.get("code")))
        time.sleep(0.1)
    late = [each for each in answers if each[0] > began_s + 8.0 + 1.0]
    assert {each[1:] for each in late} == {(503, "rpo_at_risk")}, answers
    assert scrape(fleet, f"{HOME}/agent").sum("ig_rpo_seconds", placement="bounded") > 8.0
    refused = [each for each in answers if each[2] == "rpo_at_risk"]
    assert scrape(fleet, f"{HOME}/api").sum("ig_refusals_total", code="rpo_at_risk") >= len(refused)
    assert all(status == 200 for at, status, _ in answers if at < before_s + 2.0)
    asyncio.run(do(fleet, AWAY, "alter subscription from_us_east enable"))
    until(lambda: write(fleet, "bounded", f"after-{time.monotonic_ns()}")[0] == 200, 20.0, "it goes on refusing")
