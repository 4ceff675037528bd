"""Leases on two clocks: whatever the schedule, the holder never acknowledges once a watcher believes the lease over.

A little world with true time. The holder's and the watcher's clocks run at rates that differ by no more than ``drift``
over a lease. The holder renews when it likes: each step of a renewal (clock read, counter raised) and each look of the
watcher (counter read, clock read) may be late by any time, and either may be paused anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelgraph.placement.lease import LeasePolicy, Watched, granted_until, is_over, look
from tests.cases import cases

POLICY = LeasePolicy()
# Rates within which a lease's length differs by at most the drift on either clock.
SLOW = 1 - POLICY.drift_s / POLICY.lease_s
FAST = 1 + POLICY.drift_s / POLICY.lease_s

waits = st.one_of(st.floats(0, 0.3), st.floats(0, 8), st.sampled_from((0.0, 0.5, 1.0, 4.75, 5.0, 5.25, 5.5, 20.0)))
steps = st.lists(
    st.tuples(st.sampled_from(("begin", "raise", "read", "note", "read and note", "renew")), waits),
    min_size=4,
    max_size=60,
)
rates = st.one_of(st.floats(SLOW, FAST), st.sampled_from((SLOW, 1.0, FAST)))


@dataclass(kw_only=True)
class World:
    """The truth, and what both sides know of it."""

    holder_rate: float
    watcher_rate: float
    now_s: float = 0.0
    counter: int = 0
    began_s: float | None = None
    until_s: float = float("-inf")
    read: int | None = None
    watched: Watched | None = None
    watching: LeasePolicy = POLICY

    @property
    def holder_s(self) -> float:
        return 1000 + self.now_s * self.holder_rate

    @property
    def watcher_s(self) -> float:
        return 7 + self.now_s * self.watcher_rate

    def do(self, step: str) -> None:
        if step in ("begin", "renew"):
            self.began_s = self.holder_s
        if step in ("raise", "renew") and self.began_s is not None and not self.taken:
            self.counter += 1
            self.until_s = granted_until(self.began_s, POLICY)
            self.began_s = None
        if step in ("read", "read and note"):
            self.read = self.counter
        if step in ("note", "read and note") and self.read is not None:
            self.watched = look(
                self.watched, counter=self.read, version=self.read, now_s=self.watcher_s, policy=self.watching
            )
            self.read = None

    @property
    def taken(self) -> bool:
        """Whether the watcher may take over: the lease is over for it, at the version that the store has still."""
        return (
            is_over(self.watched, self.watching) and self.watched is not None and self.watched.counter == self.counter
        )

    @property
    def acknowledges(self) -> bool:
        return self.holder_s < self.until_s


@settings(max_examples=cases(2_000), deadline=None)
@given(holder_rate=rates, watcher_rate=rates, schedule=steps)
def test_the_holder_has_stopped_whenever_a_watcher_may_take_over(
    holder_rate: float, watcher_rate: float, schedule: list[tuple[str, float]]
) -> None:
    """A renewal that comes before the take-over changes the version; one after it reads the new epoch."""
    world = World(holder_rate=holder_rate, watcher_rate=watcher_rate)
    world.do("renew")
    for step, wait_s in schedule:
        world.now_s += wait_s
        world.do(step)
        assert not (world.taken and world.acknowledges)


def test_the_world_above_catches_a_watcher_that_waits_too_short_a_time() -> None:
    """The same world, where the watcher leaves out both margins: it must be able to fail."""
    hasty = LeasePolicy(lease_s=POLICY.lease_s - 2 * POLICY.drift_s)
    world = World(holder_rate=SLOW, watcher_rate=FAST, watching=hasty)
    world.do("renew")
    world.do("read and note")
    both = False
    while world.acknowledges:
        world.now_s += 0.05
        world.do("read and note")
        both |= world.taken and world.acknowledges
    assert both


def test_a_watcher_that_was_paused_has_seen_no_more_than_one_gap() -> None:
    watched = look(None, counter=1, version=7, now_s=0.0, policy=POLICY)
    watched = look(watched, counter=1, version=7, now_s=3_600.0, policy=POLICY)
    assert watched.still_s == POLICY.look_gap_max_s
    assert not is_over(watched, POLICY)


def test_a_lease_that_was_never_seen_is_not_over() -> None:
    assert not is_over(None, POLICY)


@pytest.mark.parametrize("times", [{"renew_s": 5.0}, {"drift_s": 0.0}, {"renew_s": 0.0}, {"lease_s": 1.4}])
def test_times_by_which_no_lease_could_be_kept_are_refused(times: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot be renewed"):
        LeasePolicy(**times)


@pytest.mark.parametrize(("lease_s", "is_kept"), [(1.6, True), (1.5, False)])
def test_a_lease_outlasts_a_renewal_and_the_drift_on_both_sides(lease_s: float, is_kept: bool) -> None:
    if is_kept:
        assert LeasePolicy(lease_s=lease_s).over_after_s == lease_s + 0.25
        return
    with pytest.raises(ValueError, match="cannot be renewed"):
        LeasePolicy(lease_s=lease_s)


def test_the_holder_gives_up_the_drift_and_counts_from_when_it_began() -> None:
    assert granted_until(10.0, POLICY) == 14.75


def test_stillness_is_what_was_seen_and_begins_anew_with_another_counter_or_another_version() -> None:
    first = look(None, counter=1, version=7, now_s=10.0, policy=POLICY)
    assert first == Watched(counter=1, version=7, still_s=0.0, looked_s=10.0)
    again = look(first, counter=1, version=7, now_s=10.25, policy=POLICY)
    assert again == Watched(counter=1, version=7, still_s=0.25, looked_s=10.25)
    assert look(again, counter=1, version=7, now_s=10.0, policy=POLICY).still_s == 0.25, "a clock that goes back"
    for counter, version in ((2, 7), (1, 8)):
        moved = look(again, counter=counter, version=version, now_s=10.5, policy=POLICY)
        assert moved == Watched(counter=counter, version=version, still_s=0.0, looked_s=10.5)
