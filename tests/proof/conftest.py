"""The fleet of the proofs about losses: two regions and a witness, on etcd, with a WAN of 40 ms there and back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet_e2e.running import AWAY, HOME, TWO_REGIONS, RunningFleet, started
from tests.needs import need_etcd

_TOPOLOGY = (
    TWO_REGIONS
    + f"""
[control]
kind = "etcd"

[[link]]
between = ["{HOME}", "{AWAY}"]
delay_ms = 20
"""
)


@pytest.fixture(scope="module")
def fleet() -> Iterator[RunningFleet]:
    need_etcd()
    with started(_TOPOLOGY) as running:
        yield running
