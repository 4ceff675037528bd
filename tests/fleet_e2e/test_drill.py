"""A drill's workload against a real fleet: its history has nothing to find, also when the home's parts are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from intelgraph.drill.checker import check
from intelgraph.drill.history import History, Kind, read_history
from intelgraph.drill.mix import MixSettings
from intelgraph.drill.workload import Recorder, Target, Workload, WorkloadSettings
from tests.fleet_e2e.running import AWAY, GLOBAL, HOME, RunningFleet
from tests.machine import contention

pytestmark = [pytest.mark.fleet, pytest.mark.alone]
RUN_S = 8.0
REFUSALS = {"revision_mismatch", "dangling", "not_found"}
"""What the mix itself leads to, for certain: another client changed an object, or deleted what is to be related."""


def _target(fleet: RunningFleet, tenant: str) -> Target:
    fleet.tenant(tenant, "--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY, "--durability", "remote")
    urls = {region: url for region, url in fleet.doors.items() if region != GLOBAL}
    return Target(tenant=tenant, placement=tenant, regions=(HOME, AWAY), urls=urls, token=lambda: fleet.token(tenant))


async def _drill(
    fleet: RunningFleet, target: Target, settings: WorkloadSettings, path: Path, disturb: Callable[[Recorder], None]
) -> None:
    """Run the workload, disturb it after a quarter of its time, and look at everything when the logs are equal."""
    with Recorder(path, Recorder.header([target], seed=settings.seed)) as recorder:
        async with Workload(target, settings, recorder, run="d1") as workload:
            await workload.open()
            stop = asyncio.Event()
            running = asyncio.create_task(workload.run(stop))
            await asyncio.sleep(RUN_S / 4)
            await asyncio.to_thread(disturb, recorder)
            await asyncio.sleep(RUN_S * 3 / 4)
            stop.set()
            await running
            await asyncio.to_thread(fleet.wait_until_whole)
            await workload.read_in_the_end()
            assert workload.not_sent == 0


def _history(
    fleet: RunningFleet, tenant: str, settings: WorkloadSettings, path: Path, disturb: Callable[[Recorder], None]
) -> History:
    began_s = time.monotonic()
    asyncio.run(_drill(fleet, _target(fleet, tenant), settings, path, disturb))
    history = read_history(path)
    _says_enough(history, contention(began_s))
    return history


def _has_nothing_to_find(history: History) -> None:
    verdicts = check(history)
    found = [anomaly.reason for verdict in verdicts for anomaly in verdict.anomalies]
    assert not found, found[:10]


def _says_enough(history: History, times_slower: float) -> None:
    """Each check had something to judge; on a busy machine clients do less in the same time."""
    counted = {verdict.check: verdict.counted for verdict in check(history)}
    assert counted["set"]["acknowledged"] > 50 / times_slower
    assert counted["list-append"]["elements"] > 20 / times_slower
    assert min(counted["register"].values()) > 0
    assert counted["bank"]["reads"] > 5 / times_slower
    assert counted["bookmark"]["seen"] > 50 / times_slower
    assert counted["fence"]["acknowledged"] > 100 / times_slower


@pytest.mark.prove
@pytest.mark.parametrize("rate_per_s", [pytest.param(80.0, id="open"), pytest.param(None, id="closed")])
def test_without_a_fault_there_is_nothing_to_find(
    rate_per_s: float | None, two_regions: RunningFleet, tmp_path: Path
) -> None:
    settings = WorkloadSettings(seed=7, rate_per_s=rate_per_s)
    tenant = f"drill-calm-{'open' if rate_per_s else 'closed'}"
    history = _history(two_regions, tenant, settings, tmp_path / "history.jsonl", lambda recorder: None)
    _has_nothing_to_find(history)
    failed = [each for each in history.operations if not each.acknowledged and each.code not in REFUSALS]
    assert not failed, failed[:3]
    assert {each.kind for each in history.operations} == set(Kind)


@pytest.mark.prove
@pytest.mark.parametrize("part", ["api", "postgres"])
def test_patient_clients_lose_nothing_and_see_no_failure_when_a_part_of_the_home_is_killed(
    part: str, two_regions: RunningFleet, tmp_path: Path
) -> None:
    victims = []

    def kill(recorder: Recorder) -> None:
        victim = two_regions.main_process(f"{HOME}/{part}")
        recorder.mark("fault", f"kill -9 of {HOME}/{part}")
        victims.append(victim)
        os.kill(victim.pid, signal.SIGKILL)

    settings = WorkloadSettings(seed=11, rate_per_s=60.0, patient_share=1.0, mix=MixSettings(contention=0.2))
    history = _history(two_regions, f"drill-{part}", settings, tmp_path / "history.jsonl", kill)
    _has_nothing_to_find(history)
    failed = [each for each in history.operations if not each.acknowledged and each.code not in REFUSALS]
    assert not failed, failed[:3]
    assert [mark.what for mark in history.marks] == ["fault", "end"]
    assert two_regions.main_process(f"{HOME}/{part}") not in victims, "nothing was killed"
