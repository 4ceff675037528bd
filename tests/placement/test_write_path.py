"""When a region's writes are said to fail, and when they are believed to get through again."""

from __future__ import annotations

import pytest

from intelgraph.model.errors import Denied
from intelgraph.placement.write_path import Probed, WritePath, WritePathPolicy, judge, overtaken

POLICY = WritePathPolicy()
WHY = Denied(code="write_path", reason="writes fail in us-east: its edge refuses new connections")
WELL = WritePath(steady_s=60.0, is_known=True)


def after(before: WritePath | None, *results: bool, passed_s: float = 1.0) -> WritePath:
    """What is known after probes that got through (``True``) or had no answer."""
    path = before
    for through in results:
        probed = Probed(why=None if through else WHY, waited_s=0.0 if through else POLICY.answer_s)
        path = judge(path, probed, passed_s=passed_s, policy=POLICY)
    assert path is not None
    return path


def test_one_failure_says_nothing_and_two_in_a_row_are_said() -> None:
    assert not after(WELL, False).is_broken
    found = after(WELL, False, False)
    assert found.is_broken and found.why == WHY
    assert not after(WELL, False, True, False).is_broken, "not in a row"


def test_how_long_it_fails_begins_with_the_wait_for_the_first() -> None:
    assert after(WELL, False).failing_s == POLICY.answer_s
    assert after(WELL, False, False, False).failing_s == POLICY.answer_s + 2.0
    assert after(WELL, False, False, True).failing_s == 0.0


def test_time_that_the_agent_did_not_live_through_does_not_count() -> None:
    asleep = after(WELL, False, False, passed_s=3_600.0)
    assert asleep.failing_s <= POLICY.answer_s + POLICY.gap_s_max


def test_a_clock_that_goes_back_counts_nothing() -> None:
    assert after(WELL, False, False, passed_s=-5.0).failing_s == POLICY.answer_s


def test_what_was_said_is_taken_back_when_none_has_failed_for_a_while() -> None:
    broken = after(WELL, False, False)
    again = after(broken, True, True)
    assert again.is_broken and again.why == WHY, "said until it has been well for well_after_s"
    assert after(broken, True, True, True) == WritePath(steady_s=2.0, is_known=True), "and nothing is told of it"
    assert after(broken, True, True, False, True, True).is_broken, "a failure begins the count anew"


def test_how_steady_it_is_begins_anew_with_each_failure() -> None:
    assert after(WELL, True, True).steady_s == 62.0
    assert after(WELL, False, True).steady_s == 0.0
    assert after(WELL, False, True, True).steady_s == 1.0


def test_a_region_that_is_being_started_is_not_broken_and_not_known_to_be_well() -> None:
    starting = after(None, False, False, False)
    assert not starting.is_broken and not starting.is_known
    assert after(None, True).is_known
    assert after(None, *[False] * 12).is_broken, "but not for ever"


def test_a_failure_that_a_later_probe_overtook_leaves_the_path_well_and_unsteady() -> None:
    found = overtaken(WELL)
    assert (found.is_broken, found.failed, found.failing_s, found.steady_s) == (False, 0, 0.0, 0.0)


@pytest.mark.parametrize("field", ["probe_s", "answer_s", "look_s", "gap_s_max"])
def test_a_policy_that_would_see_nothing_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="probed again and again"):
        WritePathPolicy(**{field: 0.0})


def test_a_policy_may_be_as_small_as_it_likes_above_nothing() -> None:
    assert WritePathPolicy(probe_s=0.5, look_s=0.01, said_after=1).said_after == 1
    with pytest.raises(ValueError, match="seen at least once"):
        WritePathPolicy(said_after=0)


def test_what_a_probe_has_made_known_stays_known() -> None:
    assert after(WELL, False) == WritePath(failed=1, failing_s=POLICY.answer_s, is_known=True)
    assert after(WELL, False, False).is_known
    assert after(WELL, True) == WritePath(steady_s=61.0, is_known=True)
    assert after(None, True).steady_s == 1.0
    assert overtaken(None) == WritePath()


def test_a_region_that_starts_is_said_to_be_broken_just_when_its_time_is_over() -> None:
    """The first failure has waited for 1.5 s; after eight and a half more, in steps of half a second, ten are over."""
    assert not after(None, *[False] * 17, passed_s=0.5).is_broken
    assert after(None, *[False] * 18, passed_s=0.5).is_broken


def test_it_is_well_again_just_after_as_long_as_is_waited_for_and_steps_below_a_second_count_as_they_are() -> None:
    broken = after(WELL, False, False)
    again = after(broken, *[True] * 4, passed_s=0.5)
    assert (again.steady_s, again.is_broken) == (1.5, True)
    assert not after(again, True, passed_s=0.5).is_broken
    assert after(WELL, False, False, passed_s=3_600.0).failing_s == POLICY.answer_s + POLICY.gap_s_max
