"""A region is lost, taken over from by itself, comes back, gives up what it had not sent, and is moved home again."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from typing import Any

import aiohttp
import pytest

from intelgraph.changelog.links import slot_name
from tests.fleet_e2e.moving import control, hold, release, settled_at, until_placed
from tests.fleet_e2e.numbers import Numbers, scrape
from tests.fleet_e2e.patient import Patient
from tests.fleet_e2e.running import AWAY, GLOBAL, HOME, RunningFleet, until
from tests.machine import WAIT_S, contention, is_over

pytestmark = [pytest.mark.fleet, pytest.mark.alone]
TAKEN_OVER_S = 10.0
"""At worst, from the loss to the first write that is acknowledged elsewhere."""


def outcome(fleet: RunningFleet, tenant: str, key: str) -> str:
    request = urllib.request.Request(f"{fleet.doors[AWAY]}/v1/outcomes/{key}")
    request.add_header("authorization", f"Bearer {fleet.token(tenant)}")
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
        told: dict[str, Any] = json.load(answer)
    return str(told["outcome"])


def test_a_remote_placement_survives_its_home_with_every_write_and_no_failed_request(
    two_regions: RunningFleet,
) -> None:
    fleet, tenant = two_regions, "loss-remote"
    fleet.tenant(tenant, "--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY, "--durability", "remote")
    clients = Patient(fleet=fleet, tenant=tenant, door=GLOBAL)
    before = {part: scrape(fleet, f"{AWAY}/{part}") for part in ("agent", "api")}

    async def body() -> float:
        async with control(fleet) as store, clients.at_work():
            await until_true_writes(clients, 20)
            lost_s = time.monotonic()
            await asyncio.to_thread(hold, fleet, HOME)
            await until_placed(store, tenant, settled_at(AWAY), 20.0, "nobody took over")
            await asyncio.sleep(2.0)
        return lost_s

    lost_s = asyncio.run(body())
    try:
        opened_s = clients.first_of_epoch_s(2)
        assert opened_s is not None
        print(f"remote: writes again {opened_s - lost_s:.2f} s after the loss; {len(clients.writes)} writes, "
              f"slowest {clients.slowest_s:.2f} s")  # fmt: skip
        assert clients.failed == []
        assert opened_s - lost_s <= TAKEN_OVER_S * contention(lost_s)
        there = entities(fleet, tenant)
        lacking = {write.entity for write in clients.writes} - there
        assert not lacking, "every acknowledged write's object is there"
        counted_as_seen(fleet, tenant, before, opened_s - lost_s, contention(lost_s))
    finally:
        release(fleet, HOME)
        come_back(fleet, tenant)


def counted_as_seen(fleet: RunningFleet, tenant: str, before: dict[str, Numbers], seen_s: float, slower: float) -> None:
    """The taker's numbers tell of this failover what its clients have seen; the lost region's lease stands still."""
    ended = before["agent"].sum("ig_plans_total", kind="failover", outcome="done")

    def counted() -> bool:
        return scrape(fleet, f"{AWAY}/agent").sum("ig_plans_total", kind="failover", outcome="done") > ended

    until(counted, 10.0, "the failover is not counted")
    now = {part: scrape(fleet, f"{AWAY}/{part}") for part in before}

    def since(part: str, name: str, **labels: str) -> float:
        return now[part].sum(name, **labels) - before[part].sum(name, **labels)

    failovers = since("agent", "ig_plans_total", kind="failover", outcome="done")
    assert failovers >= 1
    assert since("agent", "ig_rto_seconds_count") == since("agent", "ig_failover_repair_seconds_count") == failovers
    rto_s, repair_s = (since("agent", f"ig_{name}_seconds_sum") / failovers for name in ("rto", "failover_repair"))
    print(f"ig_rto_seconds {rto_s:.2f}, ig_failover_repair_seconds {repair_s:.2f}; clients saw {seen_s:.2f} s")
    assert abs(rto_s - seen_s) < 2.0 * slower, "the clock starts at the last sign of life, up to a second earlier"
    assert 0 < repair_s < rto_s
    assert now["agent"].sum("ig_placement_home", placement=tenant) == 1
    assert now["agent"].sum("ig_placement_epoch", placement=tenant) == 2
    assert now["agent"].sum("ig_lease_held") == 1
    assert now["agent"].sum("ig_lease_unchanged_seconds", region=HOME) > seen_s
    assert now["api"].sum("ig_lease_remaining_seconds") > 0
    assert since("api", "ig_held_write_seconds_count") >= 1, "writes that came meanwhile were held"
    assert since("api", "ig_held_write_seconds_sum") / since("api", "ig_held_write_seconds_count") < seen_s + slower
    assert now["api"].sum("ig_held_writes") == 0, "and let go"


def test_what_a_lost_home_had_not_sent_comes_back_adopted_or_as_a_conflict(two_regions: RunningFleet) -> None:
    fleet, tenant = two_regions, "loss-home"
    fleet.tenant(tenant, "--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY)

    async def body() -> tuple[str, str]:
        at_home, elsewhere = (Patient(fleet=fleet, tenant=tenant, door=door) for door in (HOME, AWAY))
        async with control(fleet) as store, aiohttp.ClientSession() as http:
            await at_home.write(http, "e--both", "first")
            await until_here(fleet, tenant, "e--both")
            fleet.cli("wan", HOME, AWAY, "--cut", "a-to-b", "--reset")
            unsent = await at_home.write(http, "e--only-there", "not sent")
            contested = await at_home.write(http, "e--both", "not sent either")
            assert (unsent.status, contested.status) == (200, 200)
            await asyncio.to_thread(until, lambda: told_as_behind(fleet, tenant), 10.0, "nobody counts what is unsent")
            await asyncio.to_thread(hold, fleet, HOME)
            fleet.cli("wan", HOME, AWAY, "--heal")
            await until_placed(store, tenant, settled_at(AWAY), 30.0, "nobody took over")
            newer = await elsewhere.write(http, "e--both", "newer")
            assert newer.status == 200
        return unsent.key, contested.key

    unsent, contested = asyncio.run(body())
    assert [outcome(fleet, tenant, key) for key in (unsent, contested)] == ["unknown", "unknown"]
    release(fleet, HOME)
    until(lambda: outcome(fleet, tenant, unsent) == "adopted", 60.0, "what was not sent is not adopted")
    until(lambda: outcome(fleet, tenant, contested) == "conflict", 10.0, "the conflict is not listed")
    rows = fleet.cli("salvage", "list", "--placement", tenant)["rows"]

    def counted() -> bool:
        return scrape(fleet, f"{AWAY}/agent").sum("ig_salvaged_rows_total", decision="adopted") >= 1

    until(counted, 10.0, "the adoption is not counted")
    until(lambda: scrape(fleet, f"{AWAY}/agent").sum("ig_salvage_waiting_rows", placement=tenant) == 1, 10.0, "no row")
    assert [(row["class"], [each["id"] for each in row["objects"]]) for row in rows] == [("conflict", ["e--both"])]
    shown = fleet.cli("salvage", "show", "--placement", tenant, rows[0]["row"])
    assert [(each["then"]["name"], each["now"]["revision"]) for each in shown["objects"]] == [
        ("not sent either", 2**32 + 1)
    ]
    fleet.cli("salvage", "reject", "--placement", tenant, rows[0]["row"], "--reason", "the newer one is right")
    assert outcome(fleet, tenant, contested) == "rejected"
    until(lambda: scrape(fleet, f"{AWAY}/agent").sum("ig_salvage_waiting_rows", placement=tenant) == 0, 10.0, "a row")
    audit = (fleet.region_directory(AWAY) / "audit" / "operators.jsonl").read_text().splitlines()
    assert json.loads(audit[-1])["reason"] == "the newer one is right"
    come_back(fleet, tenant)
    assert entities(fleet, tenant) == {"e--both", "e--only-there"}


def test_a_planned_move_and_the_way_back_fail_no_request(two_regions: RunningFleet) -> None:
    fleet, tenant = two_regions, "planned"
    fleet.tenant(tenant, "--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY, "--durability", "remote")
    clients = Patient(fleet=fleet, tenant=tenant, door=GLOBAL, clients=8)

    async def body() -> None:
        async with clients.at_work():
            await until_true_writes(clients, 50)
            for target in (AWAY, HOME, AWAY):
                told = await asyncio.to_thread(fleet.move, "switchover", "--placement", tenant, "--to", target)
                assert [(plan["plan"]["abandoned"], plan["plan"]["next"]) for plan in told["plans"]] == [(None, 4)]
                await asyncio.sleep(1.0)

    asyncio.run(body())
    print(f"planned: {len(clients.writes)} writes, slowest {clients.slowest_s:.2f} s")
    assert clients.failed == []
    assert clients.slowest_s < 2.0 * contention(clients.writes[0].began_s)
    assert sorted({write.epoch for write in clients.writes}) == [1, 2, 3, 4]


def told_as_behind(fleet: RunningFleet, tenant: str) -> bool:
    """Whether the home's numbers say how old what its standby lacks is, and the standby's how long it heard nothing."""
    home, away = (scrape(fleet, f"{region}/agent") for region in (HOME, AWAY))
    return (
        home.sum("ig_rpo_seconds", placement=tenant) > 1.0
        and home.sum("ig_slot_backlog_bytes", slot=slot_name(HOME, AWAY)) > 0
        and away.sum("ig_replication_round_trip_seconds", origin=HOME) > 1.0
    )


async def until_true_writes(clients: Patient, count: int) -> None:
    """Wait until so many writes were acknowledged."""
    began_s = time.monotonic()
    while len(clients.writes) - len(clients.failed) < count:
        assert not is_over(WAIT_S, began_s), f"only {len(clients.writes)} writes: {clients.failed[:1]}"
        await asyncio.sleep(0.05)


async def until_here(fleet: RunningFleet, tenant: str, entity: str) -> None:
    """Wait until an entity is in the other region."""
    began_s = time.monotonic()
    while entity not in await asyncio.to_thread(entities, fleet, tenant):
        assert not is_over(WAIT_S, began_s), f"{entity} has not arrived"
        await asyncio.sleep(0.05)


def entities(fleet: RunningFleet, tenant: str) -> set[str]:
    """The ids of a tenant's entities, as the other region has them."""
    request = urllib.request.Request(f"{fleet.doors[AWAY]}/v1/entities?limit=1000")
    request.add_header("authorization", f"Bearer {fleet.token(tenant)}")
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
        return {each["id"] for each in json.load(answer)["objects"]}


def come_back(fleet: RunningFleet, tenant: str) -> None:
    """Wait until the lost region is whole and standby again, and move everything home."""

    async def body() -> None:
        async with control(fleet) as store:
            await until_placed(store, tenant, settled_at(AWAY, HOME), 60.0, "the lost region is not standby again")

    asyncio.run(body())
    fleet.wait_until_whole()
    fleet.move("failback", "--all")
    fleet.wait_until_whole()
