"""The lag governor: it throttles, and refuses before the bound, whatever is measured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from intelgraph.placement.governor import Admit, AtRisk, admit
from intelgraph.placement.policy import GovernorPolicy

POLICY = GovernorPolicy()
ages = st.floats(0, 200)
measured = st.floats(0, POLICY.unknown_s_max)
bounds = st.floats(1, 86_400)


def decided(oldest_s: float | None, measured_s_ago: float, rpo_s_max: float) -> Admit | AtRisk:
    return admit(oldest_s, measured_s_ago=measured_s_ago, rpo_s_max=rpo_s_max, policy=POLICY)


def severity(said: Admit | AtRisk) -> float:
    return said.delay_s if isinstance(said, Admit) else float("inf")


@given(ages, ages, measured, bounds)
def test_it_never_eases_as_the_standby_falls_behind(one: float, other: float, ago: float, bound: float) -> None:
    younger, older = sorted((one, other))
    assert severity(decided(younger, ago, bound)) <= severity(decided(older, ago, bound))


@given(ages, measured, measured, bounds)
def test_it_never_eases_as_the_measurement_ages(age: float, one: float, other: float, bound: float) -> None:
    fresh, stale = sorted((one, other))
    assert severity(decided(age, fresh, bound)) <= severity(decided(age, stale, bound))


@given(ages, measured, bounds)
def test_a_write_that_is_taken_is_done_before_the_bound(age: float, ago: float, bound: float) -> None:
    said = decided(age, ago, bound)
    if isinstance(said, Admit):
        assert age + ago + said.delay_s < bound * POLICY.refuse_from
        assert 0 <= said.delay_s <= POLICY.delay_s_max


@given(st.floats(0, 0.5), bounds)
def test_below_half_of_the_bound_nothing_is_felt(share: float, bound: float) -> None:
    assert decided(share * bound, 0.0, bound) == Admit(delay_s=0.0)


def test_it_throttles_more_and_more_and_then_says_why_it_refuses() -> None:
    assert [severity(decided(age, 0.0, 60.0)) for age in (30.0, 36.0, 42.0, 48.0)] == [0.0, 0.25, 0.5, 0.75]
    said = decided(53.5, 0.5, 60.0)
    assert isinstance(said, AtRisk) and said.retry_after_s == 1.0
    assert said.denied.code == "rpo_at_risk"
    assert said.denied.reason == (
        "the write is refused: the standby lacks writes that are 54.0 s old; they may become 60 s old before the "
        "placement is at risk"
    )


def test_what_is_not_known_refuses() -> None:
    for said in (decided(None, 0.0, 60.0), decided(0.0, POLICY.unknown_s_max + 0.1, 60.0)):
        assert isinstance(said, AtRisk)
        assert said.denied.reason == (
            "the write is refused: how far the standby is behind is not known; the bound is 60 s"
        )


def test_programs_read_the_bound_and_the_age_in_milliseconds() -> None:
    said, unknown = decided(53.5121, 0.50002, 60.0), decided(None, 0.0, 60.0)
    assert isinstance(said, AtRisk) and said.denied.facts == {"rpo_s_max": 60.0, "oldest_s": 54.012}
    assert isinstance(unknown, AtRisk) and unknown.denied.facts == {"rpo_s_max": 60.0}
    assert unknown.denied.code == "rpo_at_risk"


def test_a_measurement_is_believed_until_it_is_too_old() -> None:
    assert decided(0.0, POLICY.unknown_s_max, 60.0) == Admit(delay_s=0.0)
    hasty = GovernorPolicy(unknown_s_max=0.5)
    assert isinstance(admit(0.0, measured_s_ago=0.6, rpo_s_max=60.0, policy=hasty), AtRisk)


def test_ages_below_a_second_count_as_they_are_and_none_is_below_zero() -> None:
    assert decided(0.2, 0.2, 1.0) == Admit(delay_s=0.0)
    patient = GovernorPolicy(unknown_s_max=60.0)
    assert admit(-30.0, measured_s_ago=36.0, rpo_s_max=60.0, policy=patient) == Admit(delay_s=0.25)
    assert admit(36.0, measured_s_ago=-30.0, rpo_s_max=60.0, policy=patient) == Admit(delay_s=0.25)


def test_a_write_that_would_be_done_just_at_the_bound_is_refused() -> None:
    """At 40 s of 64 it would be delayed for 8 s, and what the standby lacks would be 48 s old: three quarters."""
    policy = GovernorPolicy(throttle_from=0.5, refuse_from=0.75, delay_s_max=16.0)
    assert admit(39.0, measured_s_ago=0.0, rpo_s_max=64.0, policy=policy) == Admit(delay_s=7.0)
    assert isinstance(admit(40.0, measured_s_ago=0.0, rpo_s_max=64.0, policy=policy), AtRisk)
