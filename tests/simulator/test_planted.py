"""A simulation that finds nothing proves nothing: random schedules, which know nothing of a mistake, find it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from intelgraph.simulator.running import replay
from intelgraph.simulator.schedule import run, schedule

from .planted.mistakes import BY_NAME, MISTAKES
from .planted.search import SCHEDULES_MAX, found_by

SEEDS: Mapping[str, int] = {
    "stale read before an epoch's opening": 21,
    "a lease check left out after the commit": 12,
    "renewal without the heartbeat": 20,
    "a grant given while the plan is unfinished": 1,
    "an observer that counts its own silence against others": 1109,
    "a plan moved without compare-and-set": 25,
    "the standby taken without its position known": 386,
    "two-region steadiness skipped": 11,
    "the cut computed before the lock": 450,
    "a taken-back plan whose epoch is never opened": 386,
    "salvage adopting over newer data": 16,
    "a drained region chosen as target": 104,
}
"""Of each mistake that chance finds soon: a seed under which it does (``python -m tests.simulator.planted``)."""
FOUND_MIN = 10


@pytest.mark.parametrize("name", SEEDS)
def test_a_planted_mistake_is_found_and_the_seed_shows_it_again(name: str) -> None:
    seed = SEEDS[name]
    assert run(schedule(seed)).promise is None, "nothing is broken where nothing is planted"
    with BY_NAME[name].plant():
        outcome = run(schedule(seed))
        assert outcome.promise is not None
        _, told, again = replay(seed)
    assert (again.promise, again.what) == (outcome.promise, outcome.what)
    assert outcome.promise in told[-1]


@pytest.mark.alone
@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_chance_finds_ten_of_the_twelve() -> None:
    found = {mistake.name: found_by(mistake, SCHEDULES_MAX) for mistake in MISTAKES}
    assert sum(each is not None for each in found.values()) >= FOUND_MIN, found


def test_what_chance_may_miss_has_a_unit_test() -> None:
    assert len(MISTAKES) == 12
    assert all(mistake.unit_test for mistake in MISTAKES if mistake.name not in SEEDS)
