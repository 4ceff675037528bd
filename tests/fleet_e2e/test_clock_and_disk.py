"""A region's clocks set by an hour, and its disk full, with clients at work: said within ten seconds, nothing lost.

Slots dropped and subscriptions disabled by hand: ``test_standby_lost``. Both faults here want what a machine may lack
(libfaketime, a mount); a test that cannot have its own says so and is skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from intelgraph.drill.faults import clock
from intelgraph.drill.faults.disk_full import DiskFull
from intelgraph.drill.faults.fault import Fault
from intelgraph.fleet.layout.binaries import faketime_library
from intelgraph.fleet.layout.places import Fleet
from tests.fleet_e2e.moving import control, settled_at, until_placed
from tests.fleet_e2e.patient import Patient
from tests.fleet_e2e.running import AWAY, HOME, TWO_REGIONS, RunningFleet, until_true
from tests.machine import contention
from tests.needs import skip_for_want_of

pytestmark = [pytest.mark.fleet, pytest.mark.prove]
FOUND_S = 10.0
TAKEN_OVER_S = 10.0
DEAD_MAN_S = 120.0
BOTH = ("--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY)


@contextlib.contextmanager
def own_file_system(place: Path) -> Iterator[None]:
    """Puts a small file system at a directory, where this account may."""
    place.mkdir(parents=True)
    for directory in (place.parent.parent, place.parent, place):
        directory.chmod(0o711)
    may = sys.platform == "linux" and os.geteuid() == 0
    if may:
        command = ["mount", "-t", "tmpfs", "-o", "size=512m,mode=711", "tmpfs", str(place)]
        may = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield
    finally:
        if may:
            subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def fleet() -> Iterator[RunningFleet]:
    """Two regions whose clocks can be set and the first of which has a small disk, as far as this machine has it."""
    directory = Path(tempfile.mkdtemp(prefix="ig-e2e-"))
    directory.chmod(0o711)
    clocks = "fake_clocks = true\n" if faketime_library() is not None else ""
    try:
        with own_file_system(directory / "state/regions" / HOME):
            fleet = RunningFleet(directory, clocks + TWO_REGIONS)
            try:
                fleet.up()
                yield fleet
            finally:
                fleet.cli("down")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.asynccontextmanager
async def healed(fault: Fault) -> AsyncIterator[None]:
    try:
        yield
    finally:
        print(await asyncio.to_thread(fault.heal))


def can_be_had(fault: Fault) -> None:
    why = fault.missing()
    if why is not None:
        if isinstance(fault, clock.Clock):
            skip_for_want_of(why)
        pytest.skip(why)  # a file system of its own takes root: no command gives that


async def found(fleet: RunningFleet) -> dict[tuple[str, str], str]:
    """What `intelgraph status` says is wrong, by where and what."""
    told = await asyncio.to_thread(fleet.cli_any, "status")
    return {(each["vantage"], each["code"]): each["reason"] for each in told["standing"]["findings"]}


async def until_found(fleet: RunningFleet, wanted: set[tuple[str, str]], since_s: float) -> dict[tuple[str, str], str]:
    told: dict[tuple[str, str], str] = {}

    async def all_said() -> bool:
        told.update(await found(fleet))
        return wanted <= told.keys()

    await until_true(all_said, 30.0, f"{wanted} is not said")
    took_s = time.monotonic() - since_s
    print(f"{sorted(wanted)} said within {took_s:.1f} s, the command's own time included")
    assert took_s <= FOUND_S * contention(since_s)
    return told


async def until_nothing_found(fleet: RunningFleet) -> None:
    async def nothing() -> bool:
        return not await found(fleet)

    await until_true(nothing, 30.0, "something is still said to be wrong")


async def held_everywhere(fleet: RunningFleet, client: Patient) -> None:
    """Every acknowledged write is in both regions' logs."""
    await asyncio.to_thread(fleet.wait_until_whole)
    acknowledged = {each.bookmark for each in client.writes if each.status == 200}
    for region in (HOME, AWAY):
        async with fleet.owner(region) as database:
            rows = await database.fetch(
                "select concat_ws('/', origin, life, epoch, position) as bookmark from ig.change where tenant = $1",
                client.tenant,
            )
        assert acknowledged <= {row["bookmark"] for row in rows}, f"{region} lacks acknowledged writes"


@pytest.mark.parametrize("step", [clock.ahead, clock.back], ids=["ahead", "back"])
def test_a_clock_set_by_an_hour_is_said_and_no_client_notices(
    fleet: RunningFleet, step: Callable[[Fleet, str], clock.Clock]
) -> None:
    asyncio.run(clock_set(fleet, step(fleet.fleet, HOME)))


async def clock_set(fleet: RunningFleet, fault: clock.Clock) -> None:
    can_be_had(fault)
    tenant = fault.name
    fleet.tenant(tenant, *BOTH, "--durability", "remote")
    at_home, away = (Patient(fleet=fleet, tenant=tenant, door=door, clients=2, pause_s=0.05) for door in (HOME, AWAY))
    async with at_home.at_work(), away.at_work():
        async with healed(fault):
            began_s = time.monotonic()
            print(await asyncio.to_thread(fault.inject, DEAD_MAN_S))
            told = await until_found(
                fleet, {(HOME, "clock_stepped"), (HOME, "clocks_apart"), (AWAY, "clocks_apart")}, began_s
            )
            assert "look at its time service" in told[HOME, "clock_stepped"]
        await until_nothing_found(fleet)
        await asyncio.to_thread(end_apply_worker, fleet)
        until_s = time.monotonic()
        await until_true(lambda: is_applied(fleet), FOUND_S, f"{HOME} hears nothing of {AWAY}")
        print(f"{HOME} hears of {AWAY} again {time.monotonic() - until_s:.1f} s after its apply worker ended")
    for client in (at_home, away):
        assert not client.failed, client.failed[:3]
        assert client.slowest_s < 5.0 * contention(began_s), "a clock that was set holds up writes"
        assert {write.epoch for write in client.writes} == {1}, "a clock that was set moved the placement"
    await held_everywhere(fleet, at_home)


def end_apply_worker(fleet: RunningFleet) -> None:
    """End what applies the other region's rows at home: it must be started again although its last start is "later"."""

    async def end() -> None:
        async with fleet.owner(HOME) as database:
            assert await database.fetchval(
                "select count(pg_terminate_backend(pid, 5000)) from pg_stat_subscription where pid is not null"
            )

    asyncio.run(end())


async def is_applied(fleet: RunningFleet) -> bool:
    async with fleet.owner(HOME) as database:
        return bool(await database.fetchval("select exists (select from pg_stat_subscription where pid is not null)"))


def test_a_home_whose_disk_is_full_is_taken_over_from_and_comes_back_alone(fleet: RunningFleet) -> None:
    asyncio.run(disk_full(fleet, DiskFull(fleet=fleet.fleet, region=HOME)))


async def disk_full(fleet: RunningFleet, fault: DiskFull) -> None:
    can_be_had(fault)
    fleet.tenant("full", *BOTH, "--durability", "remote")
    fleet.tenant("alone", "--regions", HOME, "--home", HOME)
    client = Patient(fleet=fleet, tenant="full", door=AWAY)
    alone = Patient(fleet=fleet, tenant="alone", door=HOME, clients=1)
    async with client.at_work(), control(fleet) as store:
        async with alone.at_work():
            async with healed(fault):
                began_s = time.monotonic()
                print(await asyncio.to_thread(fault.inject, DEAD_MAN_S))
                await until_found(fleet, {(HOME, "disk_full")}, began_s)
                await until_placed(store, "full", settled_at(AWAY), 20.0, "nobody took over")
                await until_true(taken_up(client), 10.0, "the taker takes no writes")
                first_s = client.first_of_epoch_s(2)
                assert first_s is not None
                print(f"writes again {first_s - began_s:.1f} s after the disk was filled")
                assert first_s - began_s <= TAKEN_OVER_S * contention(began_s)
                told = await found(fleet)
                assert "make room" in told[HOME, "disk_full"]
            acknowledged = len(alone.writes) - len(alone.failed)
            await until_placed(store, "full", settled_at(AWAY, HOME), 60.0, "the region did not come back by itself")
        assert len(alone.writes) - len(alone.failed) > acknowledged, "what lives in the region alone was not written"
    assert not client.failed, client.failed[:3]
    assert {each.status for each in alone.failed} <= {503}, alone.failed[:3]
    assert all("retry_after" in each.body for each in alone.failed)
    await held_everywhere(fleet, client)
    await until_nothing_found(fleet)


def taken_up(client: Patient) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def condition() -> bool:
        return client.first_of_epoch_s(2) is not None

    return condition
