"""One fleet of two regions for all tests that need a whole one; each test makes placements of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet_e2e.moving import wait_until_nothing_moves
from tests.fleet_e2e.running import TWO_REGIONS, RunningFleet, started


@pytest.fixture(scope="session")
def two_regions() -> Iterator[RunningFleet]:
    """``us-east`` and ``eu-west``. A test that breaks something waits until it is whole again."""
    with started(TWO_REGIONS) as fleet:
        yield fleet


@pytest.fixture(autouse=True)
def _begins_at_rest(request: pytest.FixtureRequest) -> None:
    """What a test before this one, or an agent, has begun is over before this one begins."""
    if "two_regions" in request.fixturenames:
        wait_until_nothing_moves(request.getfixturevalue("two_regions"))
