"""What of faults can be said without a fleet: which there are, what each refuses, which way a cut goes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from intelgraph.drill import faults
from intelgraph.drill.faults.links import towards
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import ControlKind, Link, default_topology, port_names, with_control
from intelgraph.fleet.wan.settings import Ask, Cut
from intelgraph.model.errors import PermanentError

HOME, AWAY = "us-east", "eu-west"


def _fleet(directory: Path, kind: ControlKind) -> Fleet:
    topology = with_control(default_topology(), kind)
    return Fleet(
        topology=topology,
        state=directory,
        run=directory / "run",
        ports=dict.fromkeys(port_names(topology), 1),
        id="none",
    )


@pytest.mark.parametrize("name", faults.FAULTS)
def test_a_fault_is_made_from_its_name_and_its_region_alone(name: str, tmp_path: Path) -> None:
    fault = faults.make(name, _fleet(tmp_path, ControlKind.ETCD), HOME)
    assert (fault.name, fault.region) == (name, HOME)


def test_an_unknown_fault_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="crash, pause, partition"):
        faults.make("flood", _fleet(tmp_path, ControlKind.ETCD), HOME)


@pytest.mark.parametrize("name", ["partition", "partition-in", "partition-out", "slow"])
def test_links_are_not_drilled_where_the_control_store_is_one_file(name: str, tmp_path: Path) -> None:
    missing = faults.make(name, _fleet(tmp_path, ControlKind.SQLITE), HOME).missing()
    assert missing is not None
    assert "--control etcd" in missing


@pytest.mark.parametrize("name", ["crash", "pause", "partition"])
def test_a_fleet_that_does_not_run_is_told_before_anything_is_done(name: str, tmp_path: Path) -> None:
    assert faults.make(name, _fleet(tmp_path, ControlKind.ETCD), HOME).missing() is not None


@pytest.mark.parametrize(
    ("into", "out", "first", "second"),
    [
        (
            True,
            True,
            Ask(a_to_b_cut=Cut.SILENT, b_to_a_cut=Cut.SILENT),
            Ask(a_to_b_cut=Cut.SILENT, b_to_a_cut=Cut.SILENT),
        ),
        (True, False, Ask(b_to_a_cut=Cut.SILENT), Ask(a_to_b_cut=Cut.SILENT)),
        (False, True, Ask(a_to_b_cut=Cut.SILENT), Ask(b_to_a_cut=Cut.SILENT)),
    ],
)
def test_a_cut_goes_the_same_way_at_whichever_end_of_a_link_the_region_is(
    into: bool, out: bool, first: Ask, second: Ask
) -> None:
    assert towards(Link(a=HOME, b=AWAY), HOME, into=into, out=out, how=Cut.SILENT) == first
    assert towards(Link(a=AWAY, b=HOME), HOME, into=into, out=out, how=Cut.SILENT) == second


def test_a_fault_that_there_is_not_is_wrong_usage(tmp_path: Path) -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "intelgraph.cli.main",
            "drill",
            "run",
            "region-loss",
            "--region",
            HOME,
            "--fault",
            "flood",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert told.returncode == 2
    assert "crash" in told.stderr
