"""The checker of histories finds what is wrong with known-bad ones, and nothing in a good one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fleet_e2e.history import Read, Region, Row, Write, faults, longest_gap_s

T = "tenant"


def _write(number: int, **changes: object) -> Write:
    write = Write(
        tenant=T,
        key=f"key-{number}",
        entity="e",
        stamp=f"stamp-{number}",
        sent_at_s=10.0 * number,
        acked_at_s=10.0 * number + 1,
        bookmark=f"us-east/1/1/{number}",
        revision=number,
    )
    return replace(write, **changes)  # type: ignore[arg-type]


def _row(number: int, **changes: object) -> Row:
    row = Row(
        bookmark=f"us-east/1/1/{number}",
        tenant=T,
        key=f"key-{number}",
        entity="e",
        stamp=f"stamp-{number}",
        revision=number,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def _region(*rows: Row, state: tuple[int, str] | None = None) -> Region:
    last = max(rows, key=lambda row: row.rank)
    return Region(rows=rows, entities={(T, "e"): state or (last.revision, last.stamp)})


GOOD = _region(_row(1), _row(2))
WRITES = [_write(1), _write(2)]


def test_a_good_history_has_no_faults() -> None:
    reads = [Read(tenant=T, entity="e", region="eu-west", least=1, seen=2)]
    assert faults(WRITES, reads, {"us-east": GOOD, "eu-west": GOOD}) == []


def test_a_write_without_an_answer_may_have_happened_or_not() -> None:
    unknown = _write(3, acked_at_s=None, bookmark=None, revision=None)
    assert faults([*WRITES, unknown], [], {"us-east": GOOD}) == []
    with_it = _region(_row(1), _row(2), _row(3))
    assert faults([*WRITES, unknown], [], {"us-east": with_it}) == []


@pytest.mark.parametrize(
    ("what", "writes", "regions"),
    [
        ("was acknowledged and is not there", WRITES, {"us-east": GOOD, "eu-west": _region(_row(1))}),
        ("is there 2 times", WRITES, {"us-east": _region(_row(1), _row(2), _row(3, key="key-2", stamp="stamp-2"))}),
        ("with other content", WRITES, {"us-east": _region(_row(1), _row(2, stamp="torn"))}),
        ("was answered", [_write(1), _write(2, bookmark="us-east/1/1/7")], {"us-east": GOOD}),
        ("was answered", [_write(1), _write(2, revision=3)], {"us-east": GOOD}),
        ("no client used", [_write(1)], {"us-east": GOOD}),
        ("no client used", WRITES, {"us-east": _region(_row(1), _row(2), _row(3, key=None))}),
        ("revisions of e", WRITES, {"us-east": _region(_row(1), _row(2, revision=1))}),
        ("state of e", WRITES, {"us-east": _region(_row(1), _row(2), state=(1, "stamp-1"))}),
        ("exists without a row", [], {"us-east": Region(rows=(), entities={(T, "e"): (1, "x")})}),
        ("differ in 1 rows", [_write(1)], {"us-east": _region(_row(1)), "eu-west": GOOD}),
        ("differ in their entities", WRITES, {"us-east": GOOD, "eu-west": _region(_row(1), _row(2), state=(2, "x"))}),
        ("no region was looked at", WRITES, {}),
    ],
)
def test_a_bad_history_is_told(what: str, writes: list[Write], regions: dict[str, Region]) -> None:
    assert any(what in fault for fault in faults(writes, [], regions))


def test_a_stale_read_is_told() -> None:
    stale = Read(tenant=T, entity="e", region="eu-west", least=2, seen=1)
    assert any("saw revision 1" in fault for fault in faults(WRITES, [stale], {"us-east": GOOD}))


def test_an_order_against_real_time_is_told() -> None:
    swapped = [_write(1, sent_at_s=20.0, acked_at_s=21.0), _write(2, sent_at_s=10.0, acked_at_s=11.0)]
    assert any("ordered behind" in fault for fault in faults(swapped, [], {"us-east": GOOD}))


def test_the_longest_gap_counts_what_reaches_in_and_what_never_ends() -> None:
    assert longest_gap_s([0.0, 1.0, 5.0, 6.0], 2.0, 6.0) == 4.0
    assert longest_gap_s([0.0, 1.0], 2.0, 9.0) == 8.0
    assert longest_gap_s([], 2.0, 9.0) == 7.0
    assert longest_gap_s([1.0, 2.0, 3.0, 4.0], 2.0, 3.5) == 1.0
