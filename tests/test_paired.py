"""Ratios over pairs: what drifts in both leaves no trace, and the bounds hold the truth about as often as they say."""

from __future__ import annotations

from random import Random

import pytest

from bench.paired import PAIRS_MIN, paired


def test_what_is_the_same_in_both_of_each_pair_does_not_count() -> None:
    drift = [1.0 + n for n in range(PAIRS_MIN)]
    found = paired([1.1 * each for each in drift], drift)
    assert found.median == pytest.approx(1.1)
    assert (found.low, found.high) == (pytest.approx(1.1), pytest.approx(1.1))
    assert found.pairs == PAIRS_MIN


def test_the_bounds_hold_the_truth_in_most_of_many_series() -> None:
    chance, held = Random(1), 0
    for _ in range(400):
        first = [chance.lognormvariate(0.1, 0.2) for _ in range(20)]
        found = paired(first, [1.0] * 20)
        held += found.low <= 2.718281828**0.1 <= found.high
    assert 0.92 < held / 400 < 0.98


def test_twice_and_half_are_equally_far_from_the_same() -> None:
    series = [2.0, 0.5] * 10
    found = paired(series, [1.0] * 20)
    assert found.mean == pytest.approx(1.0)
    assert found.low * found.high == pytest.approx(1.0)


def test_few_pairs_say_nothing() -> None:
    with pytest.raises(ValueError, match="14 pairs are too few; at least 15"):
        paired([1.0] * 14, [1.0] * 14)
