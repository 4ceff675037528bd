"""One fleet of two regions for all tests that need a whole one; each test makes placements of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet_e2e.running import TWO_REGIONS, RunningFleet, started


@pytest.fixture(scope="session")
def two_regions() -> Iterator[RunningFleet]:
    """``us-east`` and ``eu-west``. A test that breaks something waits until it is whole again."""
    with started(TWO_REGIONS) as fleet:
        yield fleet
