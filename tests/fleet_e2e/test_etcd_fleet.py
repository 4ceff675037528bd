"""A fleet on etcd, with a witness: who can still read and write the control store when members and links are lost.

Each site is asked through the settings that its own processes have: what is cut is cut for them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import pytest

from intelgraph.control.store.opened import open_store
from intelgraph.control.store.protocol import ControlStore
from intelgraph.fleet.etcd.control_status import read_control_status
from intelgraph.fleet.etcd.members import EtcdPolicy, control_at
from intelgraph.fleet.etcd.status import ControlStatus
from intelgraph.fleet.layout.topology import WITNESS
from intelgraph.fleet.wan import asking as wan
from intelgraph.fleet.wan.settings import Ask, Cut
from intelgraph.model.errors import TransientError
from tests.fleet_e2e.running import AWAY, HOME, TWO_REGIONS, CommandFailed, RunningFleet, started, until, until_true
from tests.machine import contention
from tests.needs import need_etcd
from tests.pausing import paused

pytestmark = [pytest.mark.fleet, pytest.mark.prove]
ON_ETCD = (
    TWO_REGIONS
    + """
[control]
kind = "etcd"
"""
)
SITES = (HOME, AWAY, WITNESS)
FAILS_WITHIN_S = 1.5
POLICY = EtcdPolicy()
ELECTED_WITHIN_S = 3 * POLICY.heartbeat_ms(0) * POLICY.heartbeats_per_election / 1000.0
"""An election begins one to two election times after the leader fell silent, and may have to be held again."""


@pytest.fixture(scope="module")
def on_etcd() -> Iterator[RunningFleet]:
    need_etcd()
    with started(ON_ETCD) as fleet:
        yield fleet


@pytest.fixture
def fleet(on_etcd: RunningFleet) -> Iterator[RunningFleet]:
    """The fleet, whole before and after."""
    yield on_etcd
    heal(on_etcd)
    until(lambda: leader(on_etcd) and status_of(on_etcd)["ready"], 60, "the fleet is not whole")


def status_of(fleet: RunningFleet) -> dict[str, object]:
    try:
        told: dict[str, object] = fleet.cli("status", "--quick")
    except CommandFailed:
        return {"ready": False}
    return told


def members(fleet: RunningFleet) -> ControlStatus:
    return read_control_status(fleet.fleet)


def leader(fleet: RunningFleet) -> str | None:
    """The site that all members call the leader's, while they all have one."""
    control = members(fleet)
    return control.leader if all(member.refusal is None for member in control.members) else None


@asynccontextmanager
async def store_at(fleet: RunningFleet, site: str) -> AsyncIterator[ControlStore]:
    store = open_store(control_at(fleet.fleet, site))
    try:
        yield store
    finally:
        await store.close()


async def write(store: ControlStore, key: str, value: bytes, *, within_s: float) -> float:
    """Write as a careful caller does: read, set, read again after a doubt; returns how long it took."""
    began_s = time.monotonic()
    while True:
        try:
            entry = (await store.read([key])).entries[key]
            if entry.value == value:
                return time.monotonic() - began_s
            await store.compare_and_set(expected={key: entry.version}, writes={key: value})
        except TransientError as error:
            assert error.denied.code == "control_store_unavailable"
            took_s = time.monotonic() - began_s
            assert took_s < within_s * contention(began_s), f"{key} is not written {took_s:.0f} s later: {error}"
            await asyncio.sleep(0.05)


async def refused_soon(store: ControlStore) -> None:
    """A read and a compare-and-set are both refused, with the type of error a caller waits on, and soon."""
    for work in (store.read(["a"]), store.compare_and_set(expected={"refused": 0}, writes={"refused": b"x"})):
        began_s = time.monotonic()
        with pytest.raises(TransientError) as caught:
            await work
        took_s = time.monotonic() - began_s
        assert caught.value.denied.code == "control_store_unavailable"
        assert took_s < FAILS_WITHIN_S * contention(), took_s


def everywhere_writes(fleet: RunningFleet, sites: tuple[str, ...], value: bytes, within_s: float) -> dict[str, float]:
    """Every site writes a key of its own and reads the others'; returns how long each took to write."""

    async def story() -> dict[str, float]:
        took = {}
        for site in sites:
            async with store_at(fleet, site) as store:
                took[site] = await write(store, f"test/{site}", value, within_s=within_s)
        for site in sites:
            async with store_at(fleet, site) as store:
                found = await store.read([f"test/{other}" for other in sites])
                assert {entry.value for entry in found.entries.values()} == {value}, site
        return took

    return asyncio.run(story())


@contextmanager
def members_paused(fleet: RunningFleet, *sites: str) -> Iterator[None]:
    """Pause the members of etcd at some sites."""
    with paused(*(fleet.main_process(f"{site}/etcd").pid for site in sites)):
        yield


@contextmanager
def cut(fleet: RunningFleet, *pairs: tuple[str, str], how: str = "both") -> Iterator[None]:
    """Cut links between sites, as `intelgraph wan` does, without a second for each command."""
    for a, b in pairs:
        link = fleet.fleet.topology.link(a, b)
        turned = {"both": how, "a-to-b": "b-to-a", "b-to-a": "a-to-b"}[how] if (link.a, link.b) != (a, b) else how
        a_to_b = Cut.SILENT if turned in ("a-to-b", "both") else None
        b_to_a = Cut.SILENT if turned in ("b-to-a", "both") else None
        wan.ask(fleet.fleet, link, Ask(a_to_b_cut=a_to_b, b_to_a_cut=b_to_a))
    try:
        yield
    finally:
        heal(fleet)


def heal(fleet: RunningFleet) -> None:
    """Heal every link."""
    for link in fleet.fleet.topology.links:
        wan.ask(fleet.fleet, link, Ask(heal=True))


def test_two_regions_and_a_witness_vote_and_a_tenant_is_served(fleet: RunningFleet) -> None:
    control = members(fleet)
    assert [member.site for member in control.members] == list(SITES)
    assert control.leader in SITES
    assert len({member.term for member in control.members}) == 1
    fleet.tenant("on-etcd", "--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY)

    async def one_write() -> None:
        change = {"operations": [{"op": "upsert_entity", "entity": {"id": "e", "type": "tool", "name": "e"}}]}
        headers = {"authorization": f"Bearer {fleet.token('on-etcd')}", "idempotency-key": "one"}
        async with aiohttp.ClientSession(fleet.doors[AWAY], headers=headers) as door:
            async with door.post("/v1/changes", json=change) as answer:
                assert answer.status == 200, await answer.text()
            async with door.get("/v1/entities/e", headers={"ig-bookmark": answer.headers["ig-bookmark"]}) as read:
                assert read.status == 200, await read.text()

    asyncio.run(one_write())
    told = fleet.cli_any("status")
    assert told["control"]["leader"] in SITES
    assert {member["site"] for member in told["control"]["members"]} == set(SITES)


def test_another_kind_of_store_is_refused_to_a_fleet_that_has_one(fleet: RunningFleet) -> None:
    with pytest.raises(CommandFailed, match="this fleet's placements are in etcd"):
        fleet.cli("up", "--control", "sqlite")


@pytest.mark.parametrize("site", SITES)
def test_the_death_of_any_one_member_stops_nobody(fleet: RunningFleet, site: str) -> None:
    everywhere_writes(fleet, SITES, b"before", 10)
    old = fleet.main_process(f"{site}/etcd")
    os.kill(old.pid, signal.SIGKILL)
    took = everywhere_writes(fleet, SITES, f"without {site}".encode(), 10)
    assert max(took.values()) < ELECTED_WITHIN_S + FAILS_WITHIN_S * contention(), took
    until(lambda: leader(fleet), 20, "the member has not come back")


@pytest.mark.parametrize("site", SITES)
def test_a_member_that_is_paused_is_passed_over(fleet: RunningFleet, site: str) -> None:
    everywhere_writes(fleet, SITES, b"before", 10)
    with members_paused(fleet, site):
        others = tuple(other for other in SITES if other != site)
        took = everywhere_writes(fleet, (*others, site), f"{site} sleeps".encode(), 10)
    assert max(took.values()) < ELECTED_WITHIN_S + FAILS_WITHIN_S * contention(), took


def test_a_paused_leader_is_replaced_and_then_each_call_is_quick(fleet: RunningFleet) -> None:
    everywhere_writes(fleet, SITES, b"before", 10)
    led = until(lambda: leader(fleet), 10, "nobody leads")

    async def story() -> None:
        async with store_at(fleet, led) as store:
            elected_s = ELECTED_WITHIN_S + 2 * FAILS_WITHIN_S * contention()
            await write(store, "test/paused-leader", b"1", within_s=elected_s)
            for number in range(20):
                began_s = time.monotonic()
                value = b"quick %d" % number
                await write(store, "test/paused-leader", value, within_s=FAILS_WITHIN_S * contention())
                assert time.monotonic() - began_s < FAILS_WITHIN_S * contention()

    with members_paused(fleet, led):
        asyncio.run(story())
        successor = members(fleet).leader
        assert successor not in (None, led)


def test_two_regions_that_are_cut_from_each_other_both_go_on_through_the_witness(fleet: RunningFleet) -> None:
    everywhere_writes(fleet, SITES, b"before", 10)
    with cut(fleet, (HOME, AWAY)):
        until(lambda: members(fleet).leader, 20, "nobody leads")
        for number in range(3):
            took = everywhere_writes(fleet, SITES, b"apart %d" % number, 15)
            assert number == 0 or max(took.values()) < FAILS_WITHIN_S * contention(), took
    everywhere_writes(fleet, SITES, b"after", 10)


@pytest.mark.parametrize("how", ["a-to-b", "b-to-a"])
def test_two_regions_that_hear_each_other_one_way_only_both_go_on(fleet: RunningFleet, how: str) -> None:
    with cut(fleet, (HOME, AWAY), how=how):
        for number in range(3):
            took = everywhere_writes(fleet, SITES, f"{how} {number}".encode(), 15)
        assert max(took.values()) < FAILS_WITHIN_S * contention(), took


@pytest.mark.parametrize("alone", [HOME, AWAY])
def test_a_region_that_reaches_nobody_is_told_so_soon_and_comes_back(fleet: RunningFleet, alone: str) -> None:
    others = tuple(site for site in SITES if site != alone)
    everywhere_writes(fleet, SITES, b"before", 10)

    async def in_the_dark() -> None:
        async with store_at(fleet, alone) as store:
            until_s = time.monotonic() + 5
            while time.monotonic() < until_s:
                await refused_soon(store)

    with cut(fleet, *((alone, other) for other in others)):
        asyncio.run(in_the_dark())
        took = everywhere_writes(fleet, others, f"without {alone}".encode(), 10)
        assert max(took.values()) < FAILS_WITHIN_S * contention(), took
        told = next(member for member in members(fleet).members if member.site == alone)
        assert told.refusal == "it has no leader: it does not reach a majority"
        # An operator's commands reach every member, whatever is cut.
        fleet.cli("placement", "list")
    began_s = time.monotonic()
    everywhere_writes(fleet, (alone, *others), b"after", 15)
    assert time.monotonic() - began_s < 15 * contention(began_s)


def test_the_loss_of_the_witness_stops_nobody(fleet: RunningFleet) -> None:
    everywhere_writes(fleet, SITES, b"before", 10)
    with cut(fleet, (HOME, WITNESS), (AWAY, WITNESS)), members_paused(fleet, WITNESS):
        everywhere_writes(fleet, (HOME, AWAY), b"first without the witness", 10)
        took = everywhere_writes(fleet, (HOME, AWAY), b"without the witness", 10)
        assert max(took.values()) < FAILS_WITHIN_S * contention(), took


def test_the_loss_of_every_member_is_told_and_passes(fleet: RunningFleet) -> None:
    everywhere_writes(fleet, SITES, b"before", 10)

    async def nobody() -> None:
        for site in SITES:
            async with store_at(fleet, site) as store:
                await refused_soon(store)

    with members_paused(fleet, *SITES):
        asyncio.run(nobody())
    everywhere_writes(fleet, SITES, b"after the pause", 15)
    for site in SITES:
        os.kill(fleet.main_process(f"{site}/etcd").pid, signal.SIGKILL)
    everywhere_writes(fleet, SITES, b"after the crash", 30)


def test_the_death_of_the_ways_between_the_members_is_soon_forgotten(fleet: RunningFleet) -> None:
    everywhere_writes(fleet, SITES, b"before", 10)
    os.kill(fleet.main_process("wan:etcd-peers").pid, signal.SIGKILL)
    began_s = time.monotonic()
    took = everywhere_writes(fleet, SITES, b"after", 15)
    assert max(took.values()) < 2 * ELECTED_WITHIN_S * contention(began_s), took


def test_a_watch_at_a_site_whose_member_is_cut_off_goes_on_over_the_wan(fleet: RunningFleet) -> None:
    everywhere_writes(fleet, SITES, b"before", 10)

    async def story() -> None:
        seen: list[bytes | None] = []
        async with store_at(fleet, AWAY) as watcher, store_at(fleet, WITNESS) as writer:
            since = (await watcher.read()).revision

            async def follow() -> None:
                nonlocal since
                while b"last" not in seen:
                    try:
                        async for change in watcher.watch("watched/", since=since):
                            since = change.revision
                            seen.extend(entry.value for entry in change.entries)
                            if b"last" in seen:
                                return
                    except TransientError as error:
                        assert error.denied.code == "control_store_unavailable"
                        await asyncio.sleep(0.05)

            async def has_seen_one() -> bool:
                return bool(seen)

            task = asyncio.create_task(follow())
            await write(writer, "watched/first", b"first", within_s=15)
            await until_true(has_seen_one, 15, "the watch has not begun")
            await asyncio.to_thread(fleet.cli, "wan", HOME, AWAY, "--cut", "both")
            for number in range(10):
                await write(writer, f"watched/{number}", b"%d" % number, within_s=15)
                await asyncio.sleep(0.3)
            await write(writer, "watched/last", b"last", within_s=15)
            await asyncio.wait_for(task, 15)
        # A key for each: of several writes to one, the last might be told alone.
        assert seen == [b"first", *(b"%d" % number for number in range(10)), b"last"]

    asyncio.run(story())
