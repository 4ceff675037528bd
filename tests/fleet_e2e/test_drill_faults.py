"""A quick drill of each fault on etcd with a witness: writes are back in time, and nothing unexplained is found.

The long ones, nine of each, are `make prove` (tests/proof/test_region_loss.py).
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from intelgraph.drill.faults.links import answer_s, paths
from intelgraph.drill.faults.processes import is_stopped, processes_of
from intelgraph.drill.report import Report
from intelgraph.fleet.layout.topology import ControlKind
from tests.fleet_e2e.drilling import drill, home, leader
from tests.fleet_e2e.running import AWAY, HOME, CommandFailed, RunningFleet, started, until
from tests.fleet_e2e.test_etcd_fleet import ON_ETCD
from tests.machine import WAIT_S, contention
from tests.needs import need_etcd

pytestmark = [pytest.mark.fleet, pytest.mark.alone]
FOR_S = 11.0
RTO_S_MAX, READS_S_MAX = 10.0, 1.0


@pytest.fixture(scope="module")
def fleet() -> Iterator[RunningFleet]:
    need_etcd()
    with started(ON_ETCD) as running:
        yield running


def _lost(fleet: RunningFleet) -> str:
    """The region to lose: not the one whose member of etcd leads (`make prove` loses that too)."""
    return AWAY if leader(fleet) == HOME else HOME


def _holds(report: Report, began_s: float) -> None:
    score, slower = report.score, contention(began_s)
    found = [anomaly.reason for verdict in report.verdicts for anomaly in verdict.unexplained]
    assert not found, found[:5]
    print(f"RTO {score.rto_s}, reads {score.patient_reads}, writes {score.patient_writes}, {report.about}")
    assert score.rto_s is not None, "nobody took over"
    assert score.rto_s <= RTO_S_MAX * slower
    assert score.patient_reads.seconds <= READS_S_MAX * slower
    assert score.lost_writes == 0
    assert score.doomed_writes == 0
    assert {mark.what for mark in report.marks} == {"fault", "injected", "heal", "healed", "end"}
    assert score.epochs[-1].home != score.epochs[0].home


@pytest.mark.parametrize(
    "fault",
    [
        "crash",
        pytest.param("pause", marks=pytest.mark.prove),
        pytest.param("partition", marks=pytest.mark.prove),
        pytest.param("partition-in", marks=pytest.mark.prove),
        pytest.param("partition-out", marks=pytest.mark.prove),
    ],
)
def test_a_lost_home_is_replaced_unattended_and_nothing_acknowledged_is_lost(fleet: RunningFleet, fault: str) -> None:
    began_s = time.monotonic()
    report = drill(fleet, fault=fault, region=_lost(fleet), durability="remote", for_s=FOR_S)
    _holds(report, began_s)
    assert report.score.rpo_writes == 0


@pytest.mark.prove
def test_what_a_home_alone_had_acknowledged_is_listed_and_explains_what_is_missing(fleet: RunningFleet) -> None:
    began_s = time.monotonic()
    report = drill(fleet, fault="partition-out", region=_lost(fleet), durability="home", for_s=FOR_S)
    _holds(report, began_s)
    assert report.score.rpo_writes > 0, "the home acknowledged nothing while it was cut off: nothing was tried"


def test_drills_are_kept_and_shown_again(fleet: RunningFleet) -> None:
    kept = fleet.cli("drill", "list")["drills"]
    assert kept, "no drill is kept"
    newest = kept[0]
    assert newest["finished"]
    assert fleet.cli("drill", "show", newest["id"])["score"]["rto_s"] == newest["rto_s"]
    with pytest.raises(CommandFailed, match="unknown_drill"):
        fleet.cli("drill", "show", "20200101-000000-crash")


@contextlib.contextmanager
def _drilling(fleet: RunningFleet, fault: str, region: str) -> Iterator[subprocess.Popen[str]]:
    """A drill that would last for minutes, as soon as its fault is there."""
    command = [sys.executable, "-m", "intelgraph.cli.main", "drill", "run", "region-loss", "--region", region]
    command += ["--fault", fault, "--for", "5m", "--topology", str(fleet.topology)]
    running = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=fleet.directory
    )
    try:
        assert running.stderr is not None
        said = []
        for line in running.stderr:
            said.append(line)
            if "injected:" in line:
                break
        else:
            pytest.fail("".join(said))
        yield running
    finally:
        running.kill()
        running.wait(WAIT_S)


@pytest.mark.prove
def test_the_dead_man_heals_when_the_drill_is_killed(fleet: RunningFleet) -> None:
    region = _lost(fleet)
    with _drilling(fleet, "pause", region) as running:
        assert any(is_stopped(each) for each in processes_of(fleet.fleet, region))
        running.send_signal(signal.SIGKILL)
        until(lambda: not any(is_stopped(each) for each in processes_of(fleet.fleet, region)), 15, "it is still paused")
    assert fleet.cli("drill", "list")["drills"][0]["finished"] is False


def test_a_drill_that_is_interrupted_heals_and_says_so(fleet: RunningFleet) -> None:
    region = _lost(fleet)
    with _drilling(fleet, "partition", region) as running:
        assert all(answer_s(path, 0.2) is None for path in paths(fleet.fleet, region))
        running.send_signal(signal.SIGINT)
        assert running.stderr is not None
        said = running.stderr.read()
        assert running.wait(WAIT_S) == 130, said
    assert "healed:" in said, said
    assert all(answer_s(path) is not None for path in paths(fleet.fleet, region))


def test_a_fleet_on_one_file_is_refused_partitions_with_the_reason(two_regions: RunningFleet) -> None:
    assert two_regions.fleet.topology.control.kind is ControlKind.SQLITE
    with pytest.raises(CommandFailed, match="--control etcd"):
        two_regions.cli("drill", "run", "region-loss", "--region", HOME, "--fault", "partition")
    assert home(two_regions, "drill-remote") is None, "something was made for a drill that was refused"
