"""Faults that a machine or a fleet may not allow say why, what is missing and how to get it, and inject nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from intelgraph.drill import faults
from intelgraph.drill.course import LOST_FOR_S_MIN, check_long_enough
from intelgraph.drill.faults import clock
from intelgraph.drill.faults.disk_full import DiskFull
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import default_topology
from intelgraph.model.errors import PermanentError


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    (tmp_path / "regions/us-east").mkdir(parents=True)
    return Fleet(topology=default_topology(), state=tmp_path, run=tmp_path, ports={}, id="x")


def test_a_clock_is_set_only_in_a_fleet_that_asked_for_it(fleet: Fleet) -> None:
    fault = clock.ahead(fleet, "us-east")
    why = fault.missing()
    assert why is not None and "`fake_clocks = true`" in why and "`make faketime`" in why
    with pytest.raises(PermanentError) as refused:
        fault.inject(1.0)
    assert refused.value.denied.code == "fault_not_injected"
    assert not (fleet.region("us-east") / "clock").exists()


def test_no_disk_is_filled_but_a_small_one_of_the_region_s_own(fleet: Fleet) -> None:
    fault = DiskFull(fleet=fleet, region="us-east")
    why = fault.missing()
    assert why is not None and "mount -t tmpfs" in why
    with pytest.raises(PermanentError) as refused:
        fault.inject(1.0)
    assert refused.value.denied.code == "fault_not_injected"
    assert list(fleet.region("us-east").iterdir()) == []


@pytest.mark.parametrize("name", faults.FAULTS)
def test_a_loss_lasts_as_long_as_a_takeover_takes(fleet: Fleet, name: str) -> None:
    fault = faults.make(name, fleet, "us-east")
    check_long_enough(fault, LOST_FOR_S_MIN)
    if not fault.loses_region:
        check_long_enough(fault, 1.0)
        return
    with pytest.raises(PermanentError, match=rf"it would last 1 s, .* it must last {LOST_FOR_S_MIN:g} s at least"):
        check_long_enough(fault, 1.0)
