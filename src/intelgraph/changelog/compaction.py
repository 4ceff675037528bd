"""Chooses how far a placement's log may be compacted, and has every region do it.

A row may go only when it can never be asked for or undone again: every region the placement allows has settled beyond
it (so no future home can lack it), and ``keep_rows`` positions stay as history for bookmarks, repeats of idempotency
keys and the feed. Each region folds its own prefix; state and digests do not change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intelgraph.changelog.comparison import BUCKET_BITS, Stream, settled_of
from intelgraph.changelog.repair import report

if TYPE_CHECKING:
    from asyncpg import Connection


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """What one region did with one stream: ``rows`` deleted up to ``floor``, or why nothing was."""

    region: str
    stream: Stream
    rows: int
    floor: int
    refused: str | None = None


def safe_floors(settled: Iterable[Mapping[Stream, int]], keep_rows: int) -> dict[Stream, int]:
    """Return, per stream, the last position of the last whole bucket that every region has settled beyond.

    ``settled`` has one mapping for each region the placement allows; a stream any of them has not heard of is kept.
    """
    regions = list(settled)
    if not regions:
        return {}
    floors = {}
    for stream in set.intersection(*(set(region) for region in regions)):
        reach = min(region[stream] for region in regions) - keep_rows
        floor = ((max(reach, 0) + 1) >> BUCKET_BITS << BUCKET_BITS) - 1
        if floor > 0:
            floors[stream] = floor
    return floors


async def compact_placement(
    regions: Mapping[str, Connection], *, placement: str, keep_rows: int, dry_run: bool = False
) -> list[Compacted]:
    """Compact one placement in all its regions; ``regions`` are owners' connections to every one of them."""
    floors = safe_floors([settled_of(await report(at)) for at in regions.values()], keep_rows)
    done = []
    for name, at in regions.items():
        for stream, floor in sorted(floors.items()):
            if dry_run:
                done.append(Compacted(region=name, stream=stream, rows=0, floor=floor, refused="dry run"))
                continue
            told = json.loads(
                await at.fetchval("select ig.compact($1, $2, $3, $4)", placement, stream.origin, stream.life, floor)
            )
            refused = told["reason"] if told["status"] == "refused" else None
            done.append(Compacted(region=name, stream=stream, rows=told.get("rows", 0), floor=floor, refused=refused))
    return done
