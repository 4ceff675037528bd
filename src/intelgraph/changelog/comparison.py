"""Decides whether two regions hold the same rows, and which buckets of positions one of them lacks. Pure.

Digests are compared up to a stable cut: for each stream (origin, life) the lower of the positions both regions know to
be settled. Up to there neither can still be waiting for anything, so a difference is a gap and not lag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BUCKET_BITS = 12
EVERYTHING = (1 << 62) - 1  # a cut beyond every position: the stream is compared to its end


@dataclass(frozen=True, kw_only=True, order=True)
class Stream:
    """All rows one life of one region ever wrote."""

    origin: str
    life: int


@dataclass(frozen=True, kw_only=True)
class Sum:
    """``rows`` held and the sum of their digests modulo 2^64, up to a position or within a bucket."""

    rows: int
    digest: int


def settled_of(told: Mapping[str, Any]) -> dict[Stream, int]:
    """Read the settled positions out of a region's report."""
    settled = {}
    for name, position in told["settled"].items():
        origin, life = name.rsplit("/", 1)
        settled[Stream(origin=origin, life=int(life))] = position
    return settled


def stable_cut(streams: Sequence[Stream], here: Mapping[Stream, int], there: Mapping[Stream, int]) -> dict[Stream, int]:
    """Return the highest position of each stream that both regions know to be settled; others are left out."""
    cut = {}
    for stream in streams:
        settled = min(here.get(stream, 0), there.get(stream, 0))
        if settled > 0:
            cut[stream] = settled
    return cut


def lacking_buckets(here: Mapping[int, Sum], there: Mapping[int, Sum], floor: int = -1) -> list[int]:
    """Return the buckets above ``floor`` (a position compacted here) of which the other region may hold rows we lack.

    A bucket with more rows here than there is the other region's to ask for.
    """
    lacking = []
    for bucket, theirs in there.items():
        if (bucket + 1) << BUCKET_BITS <= floor + 1:
            continue
        ours = here.get(bucket, Sum(rows=0, digest=0))
        if ours != theirs and theirs.rows >= ours.rows:
            lacking.append(bucket)
    return sorted(lacking)


def lacks_compacted(lacking: Sequence[int], compacted: int) -> bool:
    """Whether one of the ``lacking`` buckets lies in what the other region has compacted up to ``compacted``."""
    return any((bucket + 1) << BUCKET_BITS <= compacted + 1 for bucket in lacking)
