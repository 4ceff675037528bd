"""``verify --wait`` waits until all that was written before it is settled in both regions, and for no later row."""

from __future__ import annotations

from intelgraph.changelog.comparison import Stream
from intelgraph.changelog.repair import Compared
from intelgraph.operations.verification import Verified

HOME = Stream(origin="us-east", life=1)


def line(*, cut: int, beyond: int | None) -> Verified:
    compared = Compared(
        placement="both",
        peer="eu-west",
        equal=True,
        cut={HOME: cut} if cut else {},
        lacking={},
        beyond={} if beyond is None else {HOME: beyond},
    )
    return Verified(compared=compared, one="us-east", gap=None, rows=cut, waits_for=())


def test_what_was_written_before_is_waited_for() -> None:
    ends = line(cut=5, beyond=9).ends
    assert not line(cut=5, beyond=9).compares(ends)
    assert not line(cut=8, beyond=12).compares(ends)
    assert line(cut=9, beyond=12).compares(ends)
    assert line(cut=9, beyond=None).compares(ends)


def test_nothing_settled_yet_is_waited_for_too() -> None:
    assert not line(cut=0, beyond=3).compares(line(cut=0, beyond=3).ends)
    assert line(cut=0, beyond=None).compares({})
