"""Whatever is killed under load, service is back within 3 s through every door, and no acknowledged write is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil
import pytest

from intelgraph.fleet.layout.topology import GLOBAL_EDGE
from intelgraph.fleet.supervisor.process import Identity, look
from tests.fleet_e2e.history import faults, longest_gap_s
from tests.fleet_e2e.load import Load
from tests.fleet_e2e.running import AWAY, HOME, RunningFleet, until
from tests.machine import contention
from tests.pausing import paused

pytestmark = [pytest.mark.fleet, pytest.mark.alone]
BACK_S = 3.0
LINK = f"wan:{HOME}--{AWAY}"
#: Every placement lives in both regions; what differs is when a write of it is acknowledged.
TENANTS = ("killed-home", "killed-remote")


@pytest.fixture(scope="module")
def load(two_regions: RunningFleet) -> Iterator[Load]:
    """A load on a fleet that is whole; at the end of the module the whole history must be good."""
    both = ("--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY)
    two_regions.tenant(TENANTS[0], *both)
    two_regions.tenant(TENANTS[1], *both, "--durability", "remote")
    load = Load(fleet=two_regions, tenants=TENANTS)
    with load.running():
        yield load


@dataclass(frozen=True, kw_only=True)
class Victim:
    """Whom to kill: a part, and which of its processes."""

    part: str
    which: Callable[[Sequence[Identity]], Identity]


def the_part(found: Sequence[Identity]) -> Identity:
    return found[0]


def a_worker(found: Sequence[Identity]) -> Identity:
    """A process that the API's server process started."""
    others = ("resource_tracker", "intelgraph.exposition")
    workers = [
        each for each in found[1:] if _parent(each) == found[0].pid and not any(name in str(each) for name in others)
    ]
    assert workers, "the server process has no worker"
    return workers[-1]


def a_backend(found: Sequence[Identity]) -> Identity:
    """A session of the door."""
    sessions = [each for each in found if each.command and "ig_api" in each.command[0]]
    assert sessions, f"the door has no session among {[each.command for each in found]}"
    return sessions[0]


def _parent(identity: Identity) -> int:
    return psutil.Process(identity.pid).ppid()


VICTIMS = {
    "an API worker": Victim(part=f"{HOME}/api", which=a_worker),
    "the API's server process": Victim(part=f"{HOME}/api", which=the_part),
    "the other region's API": Victim(part=f"{AWAY}/api", which=the_part),
    "the home's edge": Victim(part=f"{HOME}/edge", which=the_part),
    "the other region's edge": Victim(part=f"{AWAY}/edge", which=the_part),
    "the global edge": Victim(part=GLOBAL_EDGE, which=the_part),
    "the WAN link": Victim(part=LINK, which=the_part),
    "the home's agent": Victim(part=f"{HOME}/agent", which=the_part),
    "the witness's agent": Victim(part="witness/agent", which=the_part),
    "the home's feed": Victim(part=f"{HOME}/feed", which=the_part),
    "the other region's feed": Victim(part=f"{AWAY}/feed", which=the_part),
    "a backend of the home's PostgreSQL": Victim(part=f"{HOME}/postgres", which=a_backend),
    "the home's PostgreSQL": Victim(part=f"{HOME}/postgres", which=the_part),
    "the other region's PostgreSQL": Victim(part=f"{AWAY}/postgres", which=the_part),
}


#: Of what both regions have, and of what the agents of both do, one in every run and the other in `make prove`.
IN_PROOFS = {
    "the global edge",
    "the home's agent",
    "the home's edge",
    "the home's feed",
    "the WAN link",
    "a backend of the home's PostgreSQL",
    "the other region's API",
    "the other region's edge",
    "the other region's feed",
    "the other region's PostgreSQL",
    "the witness's agent",
    "an API worker",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.prove] if name in IN_PROOFS else []) for name in VICTIMS]
)
def test_service_is_back_within_3_s_of_killing(name: str, two_regions: RunningFleet, load: Load) -> None:
    victim = VICTIMS[name]
    target = victim.which(two_regions.processes(victim.part))
    killed_at = time.monotonic()
    os.kill(target.pid, signal.SIGKILL)
    load.wait_for_success(killed_at)
    # An outage may begin late: a connection that was open is lost only when it is used.
    while time.monotonic() < killed_at + BACK_S + 0.5:
        time.sleep(0.05)
    over_at = time.monotonic()
    load.wait_for_success(over_at)
    gaps = {lane: longest_gap_s(load.worked[lane], killed_at, over_at) for lane in load.lanes()}
    slower = contention(killed_at)
    print(f"{name}: longest gap {max(gaps.values()):.2f} s (machine {slower:.1f} times slower than alone)")
    slow = {lane: round(gap, 2) for lane, gap in gaps.items() if gap > BACK_S * slower}
    assert not slow, f"{slow}: {load.last_failures(list(slow))}"
    assert look(target.pid) != target
    until(lambda: two_regions.processes(victim.part), 10.0, f"{victim.part} was not started again")


def test_killing_the_supervisor_interrupts_nothing(two_regions: RunningFleet, load: Load) -> None:
    supervisor = two_regions.supervisor()
    parts = [f"{region}/{kind}" for region in (HOME, AWAY) for kind in ("postgres", "agent", "api", "feed", "edge")]
    parts += [GLOBAL_EDGE, LINK]
    before = {part: two_regions.main_process(part) for part in parts}
    failures = {lane: len(load.failed[lane]) for lane in load.lanes()}
    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: look(supervisor.pid) != supervisor, 5.0, "the supervisor still runs")
    time.sleep(1.0)
    two_regions.up()
    assert two_regions.supervisor() != supervisor
    assert {part: two_regions.main_process(part) for part in parts} == before
    load.wait_for_success(time.monotonic())
    assert {lane: len(load.failed[lane]) for lane in load.lanes()} == failures
    # What it took over it also restarts.
    os.kill(before[f"{AWAY}/edge"].pid, signal.SIGKILL)
    load.wait_for_success(time.monotonic())
    assert two_regions.main_process(f"{AWAY}/edge") != before[f"{AWAY}/edge"]


@pytest.mark.parametrize(
    "part",
    [
        f"{HOME}/postgres",
        *(pytest.param(each, marks=pytest.mark.prove) for each in (f"{AWAY}/postgres", f"{HOME}/api")),
    ],
)
def test_service_goes_on_when_a_frozen_part_goes_on(part: str, two_regions: RunningFleet, load: Load) -> None:
    with paused(*(identity.pid for identity in two_regions.processes(part))):
        time.sleep(2.0)
    woken_at = time.monotonic()
    load.wait_for_success(woken_at)
    assert time.monotonic() - woken_at < (BACK_S + 5) * contention(woken_at)


def test_every_acknowledged_write_is_in_both_regions_exactly_once(two_regions: RunningFleet, load: Load) -> None:
    load.finish()
    two_regions.wait_until_whole()
    assert len(load.writes) > 500
    assert not load.problems, load.problems[:5]
    unanswered = [write for write in load.writes if not write.acknowledged]
    assert not unanswered, f"{len(unanswered)} of {len(load.writes)} writes never had a certain answer"
    assert not (found := faults(load.writes, load.reads, asyncio.run(load.held()))), found[:10]
