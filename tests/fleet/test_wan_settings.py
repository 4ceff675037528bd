"""What a link does is a value: changes are laid over it, temporary ones end by themselves, healing leaves the delay."""

from __future__ import annotations

import pytest

from intelgraph.fleet.wan.settings import Ask, Cut, change, expire, fresh, resume
from intelgraph.model.errors import IntelGraphError


def test_a_fresh_link_is_open_with_the_topologys_delay() -> None:
    settings = fresh(40).effective
    assert (settings.a_to_b.delay_ms, settings.b_to_a.delay_ms) == (40, 40)
    assert (settings.a_to_b.cut, settings.b_to_a.cut) == (Cut.NONE, Cut.NONE)


def test_one_direction_is_cut_and_the_other_is_not() -> None:
    kept = change(fresh(40), Ask(a_to_b_cut=Cut.SILENT), now_unix_s=0)
    assert kept.effective.a_to_b.cut is Cut.SILENT
    assert kept.effective.b_to_a.cut is Cut.NONE
    assert kept.effective.a_to_b.delay_ms == 40


def test_a_temporary_cut_ends_by_itself_and_what_was_before_holds_again() -> None:
    before = change(fresh(0), Ask(b_to_a_delay_ms=5), now_unix_s=0)
    cut = change(before, Ask(a_to_b_cut=Cut.RESET, for_s=30), now_unix_s=100)
    assert cut.effective.a_to_b.cut is Cut.RESET
    assert expire(cut, now_unix_s=129.9).effective.a_to_b.cut is Cut.RESET
    assert expire(cut, now_unix_s=130).effective == before.effective


def test_a_temporary_cut_does_not_outlive_its_time_by_a_clock_set_back() -> None:
    cut = change(fresh(0), Ask(a_to_b_cut=Cut.SILENT, for_s=30), now_unix_s=1e9)
    assert expire(cut, now_unix_s=1e6).effective == fresh(0).effective


def test_healing_ends_cuts_and_temporary_settings_and_keeps_the_delay() -> None:
    slow = change(fresh(0), Ask(a_to_b_delay_ms=80, b_to_a_delay_ms=80), now_unix_s=0)
    cut = change(slow, Ask(a_to_b_cut=Cut.SILENT, b_to_a_cut=Cut.SILENT, for_s=60), now_unix_s=0)
    assert change(cut, Ask(heal=True), now_unix_s=1).effective == slow.effective


def test_a_relay_that_restarts_goes_on_with_what_it_was_asked() -> None:
    cut = change(fresh(40), Ask(a_to_b_cut=Cut.SILENT), now_unix_s=0)
    assert resume(cut, default_delay_ms=40, now_unix_s=10) == cut


def test_a_topology_with_another_delay_starts_afresh() -> None:
    cut = change(fresh(40), Ask(a_to_b_cut=Cut.SILENT), now_unix_s=0)
    assert resume(cut, default_delay_ms=10, now_unix_s=10) == fresh(10)


@pytest.mark.parametrize(
    "ask", [Ask(a_to_b_delay_ms=-1), Ask(b_to_a_delay_ms=1e9), Ask(for_s=0), Ask(for_s=1e9), Ask(for_s=float("nan"))]
)
def test_settings_out_of_range_are_refused(ask: Ask) -> None:
    with pytest.raises(IntelGraphError, match="refused"):
        change(fresh(0), ask, now_unix_s=0)


def test_a_lasting_delay_does_not_make_a_temporary_cut_last() -> None:
    cut = change(fresh(0), Ask(a_to_b_cut=Cut.SILENT, b_to_a_cut=Cut.SILENT, for_s=30), now_unix_s=0)
    slow = change(cut, Ask(a_to_b_delay_ms=40, b_to_a_delay_ms=40), now_unix_s=10)
    assert (slow.effective.a_to_b.cut, slow.effective.a_to_b.delay_ms) == (Cut.SILENT, 40)
    after = expire(slow, now_unix_s=30).effective
    assert (after.a_to_b.cut, after.b_to_a.cut) == (Cut.NONE, Cut.NONE)
    assert (after.a_to_b.delay_ms, after.b_to_a.delay_ms) == (40, 40)
