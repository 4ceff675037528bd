"""Which clock is wrong: what most vantage points say; without a majority nobody knows."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from intelgraph.control.agent.leases.clock_quorum import ahead_s


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({}, None),
        ({"eu-west": 0.4}, 0.0),
        ({"eu-west": -3600.0}, None),
        ({"eu-west": -3600.5, "witness": -3599.5}, 3600.0),
        ({"eu-west": 3600.5, "witness": 3599.5}, -3600.0),
        ({"eu-west": 3600.0, "witness": 0.3}, 0.0),
        ({"eu-west": 3600.0, "witness": -3600.0}, None),
        ({"eu-west": 3600.0, "eu-north": 3600.0, "witness": 0.0}, None),
    ],
    ids=["alone", "agree", "two disagree", "ahead", "back", "another is wrong", "all differ", "two against two"],
)
def test_the_clock_here_is_judged_by_most(others: Mapping[str, float], expected: float | None) -> None:
    assert ahead_s(others) == expected
