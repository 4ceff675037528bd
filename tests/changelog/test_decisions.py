"""The log's pure decisions: what two digests say, how far a log may be compacted, who has flushed what."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from intelgraph.changelog.compaction import safe_floors
from intelgraph.changelog.comparison import BUCKET_BITS, Stream, Sum, lacking_buckets, stable_cut
from intelgraph.changelog.durability import Flushed, Waiting, lsn_number, pause_s, reached
from intelgraph.changelog.feed.rounds import GapWatch

US = Stream(origin="us-east", life=1)
EU = Stream(origin="eu-west", life=1)
positions = st.integers(min_value=1, max_value=1 << 20)
sums = st.builds(Sum, rows=st.integers(0, 5), digest=st.integers(0, 3))


def test_a_stream_one_region_has_not_settled_is_not_compared() -> None:
    assert stable_cut([US, EU], {US: 10, EU: 4}, {US: 7}) == {US: 7}


@given(st.dictionaries(st.integers(0, 9), sums))
def test_equal_buckets_lack_nothing(buckets: dict[int, Sum]) -> None:
    assert lacking_buckets(buckets, buckets) == []


@given(st.dictionaries(st.integers(0, 9), sums), st.dictionaries(st.integers(0, 9), sums))
def test_where_regions_differ_at_least_one_of_them_asks(ours: dict[int, Sum], theirs: dict[int, Sum]) -> None:
    ours_asks, they_ask = set(lacking_buckets(ours, theirs)), set(lacking_buckets(theirs, ours))
    for bucket in set(ours) | set(theirs):
        if ours.get(bucket, Sum(rows=0, digest=0)) != theirs.get(bucket, Sum(rows=0, digest=0)):
            assert bucket in ours_asks | they_ask


def test_a_compacted_bucket_is_never_asked_for() -> None:
    theirs = {0: Sum(rows=9, digest=1), 1: Sum(rows=9, digest=1)}
    assert lacking_buckets({}, theirs, floor=(1 << BUCKET_BITS) - 1) == [1]


@given(st.lists(st.dictionaries(st.sampled_from([US, EU]), positions), min_size=1, max_size=4), st.integers(0, 9000))
def test_nothing_is_compacted_that_any_region_has_not_settled(settled: list[dict[Stream, int]], keep: int) -> None:
    for stream, floor in safe_floors(settled, keep).items():
        assert all(region[stream] >= floor + keep for region in settled)
        assert (floor + 1) % (1 << BUCKET_BITS) == 0


def test_an_unknown_flush_position_is_below_every_other() -> None:
    assert lsn_number(None) < lsn_number("0/0") < lsn_number("0/1") < lsn_number("1/0")


@given(
    st.lists(st.tuples(st.sampled_from("abc"), positions), max_size=9),
    st.dictionaries(st.sampled_from("ab"), st.builds(Flushed, since=positions, upto=positions)),
)
def test_a_write_is_confirmed_by_its_own_standby_and_only_from_its_position_on(
    targets: list[tuple[str, int]], flushed: dict[str, Flushed]
) -> None:
    waiting = [Waiting(slot=slot, target=target, done=cast(Any, None)) for slot, target in targets]
    confirmed = reached(waiting, flushed)
    for waiter in waiting:
        it = flushed.get(waiter.slot)
        assert (waiter in confirmed) == (it is not None and it.upto >= waiter.target > it.since)


@given(st.lists(st.floats(0, 100)))
def test_looks_are_never_closer_nor_further_apart_than_they_may_be(usual_waits_s: list[float]) -> None:
    assert 0.001 <= pause_s(usual_waits_s) <= 0.01


def test_a_gap_stays_until_a_comparison_reaches_what_the_home_had_written() -> None:
    watch = GapWatch()
    assert not watch.may_close("p", "marks were lost", home=US, reached=9, cut={US: 7})
    assert not watch.may_close("p", "marks were lost", home=US, reached=20, cut={US: 8})
    assert watch.may_close("p", "marks were lost", home=US, reached=30, cut={US: 9})


def test_a_gap_that_is_said_anew_is_looked_into_anew() -> None:
    watch = GapWatch()
    assert not watch.may_close("p", "first", home=US, reached=9, cut={US: 7})
    assert not watch.may_close("p", "second", home=US, reached=20, cut={US: 9})
    assert watch.may_close("p", "second", home=US, reached=20, cut={US: 20})


def test_a_gap_whose_home_has_changed_is_looked_into_anew() -> None:
    watch = GapWatch()
    assert not watch.may_close("p", "marks were lost", home=US, reached=1_000_000, cut={US: 7})
    assert not watch.may_close("p", "marks were lost", home=EU, reached=20, cut={EU: 19})
    assert watch.may_close("p", "marks were lost", home=EU, reached=30, cut={EU: 20})


def test_a_comparison_that_did_not_look_at_the_home_closes_nothing() -> None:
    assert not GapWatch().may_close("p", "a gap", home=US, reached=1, cut={EU: 99})
