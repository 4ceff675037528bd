"""A part that dies once is back at once; one that keeps dying is tried ever less often, but for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.fleet.supervisor.restart import RestartPolicy, after_death

POLICY = RestartPolicy()


def test_the_first_death_of_a_stable_part_costs_less_than_a_tenth_of_a_second() -> None:
    decided = after_death(POLICY, streak=9, uptime_s=3_600, chance=0.99)
    assert decided.delay_s < 0.1
    assert decided.streak == 1


def test_quick_deaths_in_a_row_wait_ever_longer_up_to_the_most() -> None:
    streak, delays = 0, []
    for _ in range(12):
        decided = after_death(POLICY, streak=streak, uptime_s=0.1, chance=0.5)
        streak = decided.streak
        delays.append(decided.delay_s)
    assert delays == sorted(delays)
    assert delays[-1] == POLICY.most_s


def test_parts_that_die_together_do_not_come_back_together() -> None:
    delays = {after_death(POLICY, streak=5, uptime_s=0, chance=chance / 10).delay_s for chance in range(10)}
    assert len(delays) == 10


@given(
    streak=st.integers(0, 10**6),
    uptime_s=st.floats(0, 1e9),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_the_wait_is_always_bounded(streak: int, uptime_s: float, chance: float) -> None:
    decided = after_death(POLICY, streak=streak, uptime_s=uptime_s, chance=chance)
    assert 0 < decided.delay_s <= POLICY.most_s * (1 + POLICY.jitter)


def test_a_chance_outside_its_range_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="chance"):
        after_death(POLICY, streak=0, uptime_s=0, chance=1.0)
