"""A simulation that finds nothing proves nothing: each planted mistake is found, by the promise it breaks."""

from __future__ import annotations

import pytest

from intelgraph.control.simulator.running import replay, simulate

from .planted import BUGS

SCHEDULES_MAX = 400
"""Far fewer than the 10,000 that must show nothing."""
BATCH = 40


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_mistake_is_found(name: str) -> None:
    bug = BUGS[name]
    for first in range(0, SCHEDULES_MAX, BATCH):
        found = simulate(range(first, first + BATCH), parts=bug.parts, processes=1).violations
        if found:
            break
    assert found, f"nothing found in {SCHEDULES_MAX} schedules"
    assert {promise for _, promise, _, _ in found} <= set(bug.promises), found
    seed, promise, what, _ = found[0]
    _, told, outcome = replay(seed, parts=bug.parts)
    assert (outcome.promise, outcome.what) == (promise, what), "the seed shows it again"
    assert promise in told[-1]


def test_what_broke_is_shown_with_fewer_faults() -> None:
    bug = BUGS["waiter not waiting"]
    seed = next(one[0] for one in simulate(range(200), parts=bug.parts, processes=1).violations)
    whole, _, _ = replay(seed, parts=bug.parts)
    small, _, outcome = replay(seed, parts=bug.parts, smallest=True)
    assert outcome.promise in bug.promises
    assert len(small.faults) + len(small.orders) < len(whole.faults) + len(whole.orders)
