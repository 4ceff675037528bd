"""Passes over the rows beyond a cut: page by page, again after a decision, and no more until something has changed."""

from __future__ import annotations

from intelgraph.changelog.salvage_policy import NOTHING_RESERVED, Reserved
from intelgraph.control.agent.controller.salvage_pass import SHORTER_MAX, SalvagePass
from intelgraph.control.agent.controller.salvaging import PAGE_OBJECTS_MAX

BEFORE, SINCE = (3, "1/5/5"), (3, "1/9/9")


def test_a_pass_that_decides_nothing_is_the_last_until_something_changes() -> None:
    stands = SalvagePass().turned(BEFORE, after=None, decided=False, people=5)
    assert (stands.people, stands.is_due(BEFORE), stands.is_due(SINCE)) == (5, False, True)


def test_after_a_pass_that_decided_in_any_of_its_pages_comes_another() -> None:
    stands = SalvagePass().turned(BEFORE, after="us/1/2/7", decided=True, people=2)
    assert stands.is_due(BEFORE) and stands.after == "us/1/2/7"
    stands = stands.turned(BEFORE, after=None, decided=False, people=1)
    assert (stands.people, stands.after, stands.is_due(BEFORE)) == (3, None, True)


def test_what_changed_while_a_pass_was_under_way_is_gone_through_again() -> None:
    stands = SalvagePass().turned(BEFORE, after="us/1/2/7", decided=False, people=0)
    stands = stands.turned(SINCE, after=None, decided=False, people=0)
    assert stands.is_due(SINCE) and not stands.is_due(BEFORE)


def test_what_waits_for_people_is_told_before_a_long_pass_ends_and_never_less_than_it_was() -> None:
    stands = SalvagePass().turned(BEFORE, after="us/1/2/7", decided=False, people=40)
    assert stands.people == 40
    stands = stands.turned(BEFORE, after=None, decided=False, people=10)
    again = stands.turned(SINCE, after="us/1/2/7", decided=False, people=3)
    assert again.people == 50
    assert again.turned(SINCE, after=None, decided=False, people=0).people == 3


def test_what_interrupts_a_pass_makes_it_begin_anew() -> None:
    stands = SalvagePass().turned(BEFORE, after="us/1/2/7", decided=False, people=4).interrupted()
    assert (stands.after, stands.people, stands.is_due(BEFORE)) == (None, 4, True)


def test_a_page_that_took_too_long_is_tried_again_with_less_and_later_ones_are_as_short() -> None:
    stands = SalvagePass().turned(BEFORE, after="us/1/2/7", decided=True, people=0)
    again = stands.timed_out().timed_out()
    assert (again.after, again.decided, again.shorter) == ("us/1/2/7", True, 2)
    again = again.turned(BEFORE, after="us/1/2/9", decided=True, people=0)
    assert again.shorter == 2
    again = again.turned(BEFORE, after=None, decided=False, people=0)
    assert again.shorter == 1
    for _ in range(100):
        again = again.timed_out()
    assert again.shorter == SHORTER_MAX and PAGE_OBJECTS_MAX < 4**SHORTER_MAX


def test_deletions_wait_through_a_whole_pass_before_one_in_which_they_do_not() -> None:
    reserved = Reserved(needs=frozenset({("t", "a")}))
    stands = SalvagePass().turned(
        BEFORE, after="us/1/2/7", decided=False, people=1, passed_over=True, reserved=reserved
    )
    assert stands.waits and stands.reserved == reserved
    stands = stands.turned(BEFORE, after=None, decided=False, people=0)
    assert (stands.waits, stands.is_due(BEFORE), stands.reserved, stands.people) == (False, True, NOTHING_RESERVED, 1)
    stands = stands.turned(BEFORE, after="us/1/2/7", decided=True, people=1)
    assert not stands.waits
    stands = stands.turned(BEFORE, after=None, decided=False, people=0)
    assert stands.waits and stands.is_due(BEFORE)
    stands = stands.turned(BEFORE, after=None, decided=False, people=1)
    assert stands.waits and not stands.is_due(BEFORE)


def test_deletions_wait_for_another_pass_after_one_that_decided_and_none_comes_after_one_that_insisted() -> None:
    stands = SalvagePass().turned(BEFORE, after="us/1/2/7", decided=False, people=1, passed_over=True)
    assert stands.turned(BEFORE, after=None, decided=True, people=0).waits
    stands = stands.turned(BEFORE, after=None, decided=False, people=0)
    stands = stands.turned(BEFORE, after=None, decided=False, people=1, passed_over=True)
    assert not stands.is_due(BEFORE) and stands.waits
