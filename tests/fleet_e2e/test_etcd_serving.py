"""A whole fleet on etcd serves through losses of links and members: what goes on, what stops, and what is said.

Four stories, one fleet. Whichever region is the home when a story begins is its home; the stories move it. Clients
write all the time, in a `remote` placement that degrades, in one that is strict, and in a `home` placement.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from intelgraph.fleet.etcd.control_status import read_control_status
from intelgraph.fleet.layout.topology import WITNESS
from intelgraph.fleet.wan import asking as wan
from intelgraph.fleet.wan.settings import Ask, Cut
from tests.fleet_e2e.moving import control, hold, known, release, settled_at, until_placed
from tests.fleet_e2e.patient import Patient, Write
from tests.fleet_e2e.running import AWAY, HOME, TWO_REGIONS, RunningFleet, started, until
from tests.machine import contention
from tests.needs import need_etcd
from tests.pausing import pause

pytestmark = [pytest.mark.fleet, pytest.mark.prove]
ON_ETCD = TWO_REGIONS + '\n[control]\nkind = "etcd"\n'
SITES = (HOME, AWAY, WITNESS)
GOES_ON, STRICT, LOCAL = "goes-on", "strict", "local"
PLACEMENTS = (GOES_ON, STRICT, LOCAL)
LEASE_S = 5.0
TAKEN_OVER_S, TAKEN_OVER_WITHOUT_LEADER_S = 10.0, 20.0
SOON_S = 1.5


@pytest.fixture(scope="module")
def fleet() -> Iterator[RunningFleet]:
    need_etcd()
    with started(ON_ETCD) as fleet:
        both = ("--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY)
        fleet.tenant(GOES_ON, *both, "--durability", "remote")
        fleet.tenant(STRICT, *both, "--durability", "remote", "--on-standby-loss", "strict")
        fleet.tenant(LOCAL, *both)
        yield fleet


@pytest.fixture
def home(fleet: RunningFleet) -> Iterator[str]:
    """The region that is every placement's home now; the fleet is whole before and after, and its logs are equal."""
    found = homes(fleet)
    assert len(found) == 1, found
    try:
        yield found.pop()
    finally:
        fleet.cli("wan", "--heal")
        for site in SITES:
            release(fleet, site)
    until(lambda: is_whole(fleet), 40.0, "it does not recover by itself")
    fleet.wait_until_whole()


def homes(fleet: RunningFleet) -> set[str]:
    return {record.placement.home for record in known(fleet).placements.values()}


def is_whole(fleet: RunningFleet) -> bool:
    """Every member follows a leader, and every placement has what was declared."""
    if read_control_status(fleet.fleet).advice is not None or not fleet.cli_any("status", "--quick")["ready"]:
        return False
    found = known(fleet)
    return all(
        record.placement.standby is not None and not record.placement.is_degraded and not found.is_under_way(name)
        for name, record in found.placements.items()
    )


def other(region: str) -> str:
    return AWAY if region == HOME else HOME


def writer(fleet: RunningFleet, tenant: str, door: str, **more: Any) -> Patient:
    return Patient(fleet=fleet, tenant=tenant, door=door, clients=1, pause_s=0.05, **more)


@contextlib.asynccontextmanager
async def all_at_work(*clients: Patient) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client.at_work())
        for client in clients:
            await first_write(client)
        yield


async def first_write(client: Patient) -> None:
    deadline_s = time.monotonic() + client.deadline_s + 2.0 * contention()
    while not acknowledged(client):
        assert time.monotonic() < deadline_s, (client.tenant, client.door, client.writes[-1:])
        await asyncio.sleep(0.02)


def acknowledged(client: Patient, since_s: float = 0.0, until_s: float = float("inf")) -> list[Write]:
    return [write for write in client.writes if write.status == 200 and since_s <= write.ended_s < until_s]


def refused_soon(client: Patient) -> list[str]:
    """The codes of the last refusals; each says its reason and when to try again."""
    told = [json.loads(write.body) for write in client.writes if write.status == 503]
    for each in told:
        assert each["reason"] and each["retry_after_s"] > 0, each
    return [each["code"] for each in told]


async def read(fleet: RunningFleet, tenant: str, door: str) -> dict[str, str]:
    """Read at a door; the answer's headers."""
    headers = {"authorization": f"Bearer {fleet.token(tenant)}"}
    timeout = aiohttp.ClientTimeout(total=SOON_S * contention())
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.get(f"{fleet.doors[door]}/v1/entities?limit=1", headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return {name.lower(): value for name, value in answer.headers.items()}


def one_writer(*clients: Patient) -> None:
    """The epochs of one placement's acknowledged writes never go back, and each epoch was written in one region."""
    writes = sorted((write for client in clients for write in acknowledged(client)), key=lambda write: write.ended_s)
    origins: dict[int, set[str]] = {}
    for write in writes:
        origins.setdefault(write.epoch, set()).add(write.bookmark.split("/")[0])
    assert all(len(each) == 1 for each in origins.values()), origins
    newest: dict[int, float] = {}
    for write in writes:
        newest.setdefault(write.epoch, write.began_s)
    for write in writes:
        newer = [began_s for epoch, began_s in newest.items() if epoch > write.epoch]
        assert not newer or write.began_s <= min(newer) + LEASE_S, write


def cut_all(fleet: RunningFleet, *pairs: tuple[str, str]) -> None:
    """Cut links at once: a command for each would leave the first one cut for a while, and its standby lost."""
    for a, b in pairs:
        wan.ask(fleet.fleet, fleet.fleet.topology.link(a, b), Ask(a_to_b_cut=Cut.SILENT, b_to_a_cut=Cut.SILENT))


async def until_so(condition: Callable[[], Any], wait_s: float, otherwise: str) -> None:
    await asyncio.to_thread(until, condition, wait_s, otherwise)


async def status_says_no_majority(fleet: RunningFleet) -> None:
    told = await asyncio.to_thread(fleet.cli_any, "status")
    assert told["standing"]["refusal"]
    assert "no majority" in told["control"]["advice"], told["control"]


def test_two_regions_cut_from_each_other_that_reach_the_witness_keep_one_writer(fleet: RunningFleet, home: str) -> None:
    here = {tenant: writer(fleet, tenant, home) for tenant in (GOES_ON, LOCAL)}
    there = {tenant: writer(fleet, tenant, other(home)) for tenant in PLACEMENTS}
    hasty = writer(fleet, STRICT, home, deadline_s=1.0)

    async def body() -> float:
        async with all_at_work(*here.values(), *there.values(), hasty):
            await asyncio.to_thread(cut_all, fleet, (HOME, AWAY))
            cut_s = time.monotonic()
            await until_so(lambda: known(fleet).placements[GOES_ON].placement.is_degraded, 15.0, "not degraded")
            degraded_s = time.monotonic()
            await until_so(lambda: acknowledged(here[GOES_ON], degraded_s), 3.0 * contention(), "not as home")
            print(f"degraded {degraded_s - cut_s:.1f} s after the cut, writes again {time.monotonic() - cut_s:.1f} s")
            await until_so(lambda: "standby_lost" in refused_soon(hasty), 10.0, "strict is not refused")
            last_s = time.monotonic()
            assert here[LOCAL].silence_s(cut_s, last_s) < 2.0 * contention()
            assert not acknowledged(hasty, last_s - 1.0)
            assert await asyncio.to_thread(homes, fleet) == {home}
            await asyncio.to_thread(fleet.cli, "wan", "--heal")
            healed_s = time.monotonic()
            await until_so(lambda: acknowledged(hasty, healed_s), 20.0, "the strict one stays refused")
        return last_s

    asyncio.run(body())
    for client in (*here.values(), *there.values()):
        assert client.failed == [], (client.tenant, client.door, client.failed[:1])
    for tenant in PLACEMENTS:
        one_writer(there[tenant], here.get(tenant, hasty))
    assert homes(fleet) == {home}


async def the_tail_is_settled(fleet: RunningFleet, tail: set[str], away: str) -> None:
    """The home that was lost is standby again, and what it acknowledged alone is adopted or listed, key by key."""
    async with control(fleet) as store:
        await until_placed(store, LOCAL, settled_at(away, other(away)), 40.0, "it does not come back as standby")
    async with aiohttp.ClientSession() as http:
        headers = {"authorization": f"Bearer {fleet.token(LOCAL)}"}
        outcomes: dict[str, str] = {}
        deadline_s = time.monotonic() + 20.0 * contention()
        while len(outcomes) < len(tail):
            for key in tail - outcomes.keys():
                async with http.get(f"{fleet.doors[away]}/v1/outcomes/{key}", headers=headers) as answer:
                    told = (await answer.json())["outcome"]
                if told not in ("unknown", "home-only"):
                    outcomes[key] = told
            assert time.monotonic() < deadline_s, f"{len(tail) - len(outcomes)} writes are not settled"
            await asyncio.sleep(0.1)
        print(
            f"the tail of {len(tail)}:",
            {each: list(outcomes.values()).count(each) for each in {*outcomes.values()}},
        )
        assert {*outcomes.values()} <= {"adopted", "conflict", "remote"}


def test_a_home_that_reaches_nothing_stops_before_the_other_takes_over(fleet: RunningFleet, home: str) -> None:
    away = other(home)
    here = {tenant: writer(fleet, tenant, home, deadline_s=1.0) for tenant in PLACEMENTS}
    there = {tenant: writer(fleet, tenant, away) for tenant in PLACEMENTS}
    had_leader = read_control_status(fleet.fleet).leader == home

    async def body() -> float:
        async with all_at_work(*here.values(), *there.values()):
            placed = (await asyncio.to_thread(known, fleet)).placements
            epochs = {name: record.placement.epoch for name, record in placed.items()}
            await asyncio.to_thread(cut_all, fleet, (home, away), (home, WITNESS))
            cut_s = time.monotonic()
            bound_s = (TAKEN_OVER_WITHOUT_LEADER_S if had_leader else TAKEN_OVER_S) * contention()
            for tenant in (GOES_ON, LOCAL):
                opened = lambda tenant=tenant: there[tenant].first_of_epoch_s(epochs[tenant] + 1)  # noqa: E731
                try:
                    await until_so(opened, cut_s + bound_s - time.monotonic(), f"nobody writes {tenant}")
                except AssertionError:
                    print((await asyncio.to_thread(fleet.cli_any, "status"))["standing"])
                    raise
                took_s = (opened() or 0.0) - cut_s
                print(f"{tenant}: writes again {took_s:.2f} s after the cut (leader lost: {had_leader})")
            # Strict: the lost home is named standby, so writes wait for it.
            taken = (await asyncio.to_thread(known, fleet)).placements[STRICT].placement
            assert (taken.home, taken.standby) == (away, home)
            headers = await read(fleet, LOCAL, home)
            assert int(headers["ig-directory-age-ms"]) > 4_000, headers
            await asyncio.sleep(1.0)
            for tenant in PLACEMENTS:
                late = acknowledged(here[tenant], cut_s + LEASE_S + 0.1)
                assert late == [], f"{tenant} was acknowledged in a region without a lease"
                assert "lease_over" in refused_soon(here[tenant])
            await asyncio.to_thread(fleet.cli, "wan", "--heal")
        return cut_s

    cut_s = asyncio.run(body())
    for tenant in PLACEMENTS:
        one_writer(here[tenant], there[tenant])
    for tenant in (GOES_ON, LOCAL):
        assert there[tenant].failed == [], there[tenant].failed[:1]
    alone = acknowledged(here[LOCAL], cut_s, cut_s + LEASE_S + 0.1)
    assert alone, "home writes went on until the lease was over"
    tail = {write.key for write in alone if write.bookmark.startswith(home)}

    asyncio.run(the_tail_is_settled(fleet, tail, away))


def test_without_the_witness_serving_goes_on_and_the_loss_of_the_home_waits_for_it(
    fleet: RunningFleet, home: str
) -> None:
    away = other(home)
    clients = [writer(fleet, tenant, home) for tenant in PLACEMENTS]

    async def without_the_witness() -> None:
        async with all_at_work(*clients):
            await asyncio.to_thread(hold, fleet, WITNESS)
            await asyncio.sleep(LEASE_S + 1.5)

    asyncio.run(without_the_witness())
    for client in clients:
        assert client.failed == [], client.failed[:1]
        assert client.slowest_s < 3.0 * contention(), (client.tenant, client.slowest_s)
    hold(fleet, home)
    hasty = writer(fleet, GOES_ON, away, deadline_s=1.0)
    waiting = writer(fleet, STRICT, away)

    async def then_the_home() -> None:
        async with aiohttp.ClientSession() as http:
            await asyncio.sleep(LEASE_S + 2.0)
            last = await hasty.write(http, "x--refused", "refused")
            assert last.status == 503, last
            print("refused with:", refused_soon(hasty)[-1], json.loads(last.body)["reason"])
            headers = await read(fleet, GOES_ON, away)
            assert int(headers["ig-directory-age-ms"]) > 2_000
            await status_says_no_majority(fleet)
            held = asyncio.create_task(waiting.write(http, "x--held", "held"))
            await asyncio.to_thread(release, fleet, WITNESS)
            assert (await held).status in (200, 503)
            async with control(fleet) as store:
                for tenant in PLACEMENTS:
                    await until_placed(store, tenant, settled_at(away), 25.0 * contention(), "nobody took over")

    asyncio.run(then_the_home())


def test_without_any_member_writes_last_as_long_as_leases_and_all_comes_back(fleet: RunningFleet, home: str) -> None:
    for how in ("paused", "killed"):
        clients = {tenant: writer(fleet, tenant, home) for tenant in PLACEMENTS}
        hasty = writer(fleet, LOCAL, other(home), deadline_s=1.0)

        async def body(how: str, clients: dict[str, Patient], hasty: Patient) -> None:
            async with all_at_work(*clients.values(), hasty):
                back = await asyncio.to_thread(lose_every_member, fleet, how)
                try:
                    lost_s = time.monotonic()
                    await asyncio.sleep(LEASE_S + 1.0)
                    for tenant, client in clients.items():
                        assert acknowledged(client, lost_s + 1.0, lost_s + LEASE_S), f"{tenant} goes on: {how}"
                        assert not acknowledged(client, lost_s + LEASE_S + 0.1), f"{tenant} outlives its lease: {how}"
                    for door in (HOME, AWAY):
                        assert int((await read(fleet, LOCAL, door))["ig-directory-age-ms"]) > 4_000
                    await status_says_no_majority(fleet)
                finally:
                    await asyncio.to_thread(back)
                back_s = time.monotonic()
                for client in clients.values():
                    await until_so(lambda client=client: acknowledged(client, back_s), 15.0, "not back")
                print(f"{how}: writes again within {time.monotonic() - back_s:.1f} s")

        asyncio.run(body(how, clients, hasty))
        assert {*refused_soon(hasty)} & {"lease_over", "home_unreachable"}, refused_soon(hasty)
        for client in clients.values():
            assert client.failed == [], (client.tenant, client.failed[:1])
    assert homes(fleet) == {home}


def lose_every_member(fleet: RunningFleet, how: str) -> Callable[[], None]:
    """Pause or kill every member of etcd; returns what brings them back."""
    parts = [f"{site}/etcd" for site in SITES]
    if how == "paused":
        return pause(*(fleet.main_process(part).pid for part in parts))
    for part in parts:
        hold(fleet, part)
    return lambda: [release(fleet, part) for part in parts] and None
