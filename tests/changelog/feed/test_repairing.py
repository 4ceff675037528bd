"""One round of repair: what a peer kept beneath its compaction is asked for before its floors and digests are.

Its digests count the kept rows. Whoever had them without the rows would agree with the peer, and miss nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from intelgraph.changelog import repair
from intelgraph.changelog.comparison import Stream
from intelgraph.changelog.feed.process import Feed
from intelgraph.changelog.feed.rounds import Round

US = Stream(origin="us-east", life=1)


class Silent:
    """A connection of which nothing matters but that it is there."""

    async def execute(self, *_: Any) -> None:
        return None


def asked_of_a_peer(monkeypatch: pytest.MonkeyPatch, *, whole: bool) -> list[str]:
    """What is asked of a peer that has compacted what is missing here, in order."""
    asked: list[str] = []

    async def compare(*_: Any, **named: Any) -> repair.Compared:
        return repair.Compared(
            placement=named["placement"], peer="us-east", equal=False, cut={US: 9}, lacking={US: [0]}, snapshot=True
        )

    async def ask_for_missing(*_: Any) -> repair.Reissued:
        asked.append("rows")
        return repair.Reissued(rows=3, whole=whole)

    async def ask_for_snapshot(*_: Any) -> None:
        asked.append("snapshot")

    for each in (compare, ask_for_missing, ask_for_snapshot):
        monkeypatch.setattr(repair, each.__name__, each)
    feed = Feed.__new__(Feed)
    feed.here, feed.log = "eu-west", lambda *_, **__: None  # type: ignore[assignment]
    placement = {"gap": None, "home": "us-east", "epoch": 1, "regions": ["us-east", "eu-west"], "whole_epoch": 0}
    told = {"settled": {}, "life": 1, "position": 9, "placements": {"p": placement}}
    here = {**told, "placements": {"p": {**placement, "gap": "because"}}}
    at = Round(peer="us-east", here=here, there=told, before=None)
    silent: Any = Silent()
    assert asyncio.run(feed.compare_placement(silent, silent, at, "p"))
    return asked


def test_what_was_kept_is_asked_for_before_what_was_compacted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_of_a_peer(monkeypatch, whole=True) == ["rows", "snapshot"]


def test_as_long_as_not_all_of_it_has_come_the_floors_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_of_a_peer(monkeypatch, whole=False) == ["rows"]
