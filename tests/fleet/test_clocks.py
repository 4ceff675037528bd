"""A process whose wall clock is set: it sees the step, and its threads wait for each other as they would without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from intelgraph.fleet.layout import clocks
from intelgraph.fleet.layout.binaries import faketime_library
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import default_topology
from tests.needs import skip_for_want_of

PROBE = """
import json, resource, threading, time

def work():
    end = time.process_time() + 0.5
    while time.process_time() < end:
        sum(range(2_000))

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"time": time.time(), "switches": used.ru_nvcsw + used.ru_nivcsw}))
"""
SWITCHES_MAX = 5_000
"""Of half a second of two threads at work: some 300 without the library, 15,000 with waits that end at once."""


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    if faketime_library() is None:
        skip_for_want_of("there is no libfaketime: `make faketime` gets it")
    topology = replace(default_topology(), fake_clocks=True)
    for region in topology.regions:
        (tmp_path / "regions" / region.name).mkdir(parents=True)
    fleet = Fleet(topology=topology, state=tmp_path, run=tmp_path, ports={}, id="x")
    clocks.prepare(fleet)
    return fleet


@pytest.mark.parametrize("ahead_s", [0, 3_600, -3_600])
def test_a_clock_is_set_and_threads_wait_as_long_as_they_should(fleet: Fleet, ahead_s: int) -> None:
    clocks.set_ahead(fleet, "us-east", ahead_s)
    environment = {**os.environ, **clocks.environment(fleet, "us-east")}
    ran = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, timeout=60)
    seen = json.loads(ran.stdout)
    assert abs(time.time() - seen["time"] + ahead_s) < 30
    assert seen["switches"] < SWITCHES_MAX
