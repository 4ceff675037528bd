"""Finds gaps by comparing digests with a peer, says so, and fills them by having the peer reissue rows.

A gap is opened before anything is asked for (readers are told at once) and closed only when the digests agree with
those of the placement's home over everything that counts: any other region may lack the same rows. Reissued rows
travel in the ordinary replication stream; the peer's database refuses to send to a region that may not hold them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from intelgraph.changelog.comparison import (
    BUCKET_BITS,
    EVERYTHING,
    Stream,
    Sum,
    lacking_buckets,
    lacks_compacted,
    settled_of,
    stable_cut,
)
from intelgraph.changelog.pace import Pace

if TYPE_CHECKING:
    from asyncpg import Connection


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One placement compared with one peer. ``cut`` is empty when nothing is settled in both yet.

    ``beyond``: of each stream, the last position given out beyond the cut: what lies between was not compared.
    ``covers`` says that the cut reaches over everything that counts in the epoch open at the peer; ``snapshot`` that
    some of what is lacking has been compacted there.
    """

    placement: str
    peer: str
    equal: bool
    cut: dict[Stream, int]
    lacking: dict[Stream, list[int]]
    beyond: dict[Stream, int] = field(default_factory=dict)
    covers: bool = False
    snapshot: bool = False


async def report(connection: Connection) -> dict[str, Any]:
    """Read ``ig.report()``: positions, settled, peers, placements."""
    told: dict[str, Any] = _json(await connection.fetchval("select ig.report()"))
    return told


def _json(text: str) -> Any:
    return json.loads(text)


async def _sums(connection: Connection, placement: str, cut: dict[Stream, int]) -> dict[Stream, Sum]:
    asked = [{"origin": s.origin, "life": s.life, "position": p} for s, p in cut.items()]
    told = _json(await connection.fetchval("select ig.digests($1, $2)", placement, json.dumps(asked)))
    return {Stream(origin=d["origin"], life=d["life"]): Sum(rows=d["rows"], digest=int(d["sum"])) for d in told}


async def _buckets(connection: Connection, placement: str, stream: Stream, upto: int) -> dict[int, Sum]:
    told = _json(
        await connection.fetchval(
            "select ig.digest_buckets($1, $2, $3, $4)", placement, stream.origin, stream.life, upto
        )
    )
    return {int(bucket): Sum(rows=rows, digest=int(digest)) for bucket, (rows, digest) in told.items()}


async def compare(
    here: Connection, there: Connection, *, placement: str, peer: str, stalled: Callable[[Stream], bool] | None = None
) -> Compared:
    """Compare one placement's digests with a peer's, up to the stable cut.

    ``stalled`` says of a stream that nothing of it comes here by itself any more. If its epoch is over as well, it is
    compared to its end: its origin may be gone for good, and settled positions of it will never move.
    """
    told_here, told_there = await report(here), await report(there)
    streams = [_told_stream(one) for one in _json(await there.fetchval("select ig.streams($1)", placement))]
    cut = stable_cut([one.stream for one in streams], settled_of(told_here), settled_of(told_there))
    last_epoch = max((one.last_epoch for one in streams), default=0)
    for one in streams:
        if stalled is not None and one.last_epoch < last_epoch and stalled(one.stream):
            cut[one.stream] = EVERYTHING
    ours, theirs = await _sums(here, placement, cut), await _sums(there, placement, cut)
    stubs: bool = await here.fetchval("select ig.has_stubs($1)", placement)
    lacking = {}
    for stream, upto in cut.items():
        if stubs or ours.get(stream) != theirs.get(stream):
            floor = await here.fetchval(
                "select position from ig.compacted where placement = $1 and origin = $2 and life = $3",
                placement, stream.origin, stream.life,
            )  # fmt: skip
            lacking[stream] = lacking_buckets(
                await _buckets(here, placement, stream, upto),
                await _buckets(there, placement, stream, upto),
                floor=-1 if floor is None else floor,
            )
    return Compared(
        placement=placement,
        peer=peer,
        equal=not stubs and all(ours.get(stream) == theirs.get(stream) for stream in cut),
        cut=cut,
        lacking=lacking,
        beyond={
            stream: last for stream, last in _given_out(told_here, told_there).items() if last > cut.get(stream, 0)
        },
        covers=bool(streams) and all(cut.get(one.stream, -1) >= one.needed for one in streams),
        snapshot=any(lacks_compacted(lacking.get(one.stream, []), one.compacted) for one in streams),
    )


def _given_out(*told: dict[str, Any]) -> dict[Stream, int]:
    """The last position that each of the regions has given out."""
    return {Stream(origin=each["region"], life=each["life"]): each["position"] for each in told}


@dataclass(frozen=True, kw_only=True)
class _ToldStream:
    """A stream as the peer tells of it; a comparison must reach to ``needed`` to say that nothing is missing."""

    stream: Stream
    last_epoch: int
    needed: int
    compacted: int


def _told_stream(told: dict[str, Any]) -> _ToldStream:
    return _ToldStream(
        stream=Stream(origin=told["origin"], life=told["life"]),
        last_epoch=told["last_epoch"],
        needed=told["needed"],
        compacted=-1 if told["compacted"] is None else told["compacted"],
    )


@dataclass(frozen=True, kw_only=True)
class Reissued:
    """How many ``rows`` a peer sent again; ``whole``: all that were asked for, and they have arrived."""

    rows: int
    whole: bool


async def ask_for_missing(pace: Pace, compared: Compared) -> Reissued:
    """Have the peer reissue every bucket we lack rows of, no faster than they arrive."""
    sent: int = 0
    refused = False
    for stream, buckets in sorted(compared.lacking.items()):
        for first, last in _runs(buckets):
            position: int | None = first << BUCKET_BITS
            end = (last + 1) << BUCKET_BITS
            while position is not None and position < end:
                told = _json(
                    await pace.there.fetchval(
                        "select ig.reissue($1, $2, $3, $4, $5)",
                        compared.placement, pace.region, stream.origin, stream.life, position,
                    )
                )  # fmt: skip
                if told["status"] != "ok":
                    refused = True
                    break
                sent += told["rows"]
                position = told["next"]
                if not await pace.portion_sent():
                    return Reissued(rows=sent, whole=False)
    return Reissued(rows=sent, whole=await pace.all_arrived() and not refused)


def _runs(buckets: Sequence[int]) -> list[tuple[int, int]]:
    """Join neighbouring buckets into (first, last) runs."""
    runs: list[tuple[int, int]] = []
    for bucket in buckets:
        if runs and runs[-1][1] == bucket - 1:
            runs[-1] = (runs[-1][0], bucket)
        else:
            runs.append((bucket, bucket))
    return runs


async def ask_for_snapshot(pace: Pace, placement: str) -> None:
    """Have the peer send what it has compacted: the objects of the prefix, its floors and digests.

    Its digests count what it kept beneath: that must have been sent before, for it is not missed any more.
    """
    after: str | None = None
    while True:
        told = _json(await pace.there.fetchval("select ig.reissue_snapshot($1, $2, $3)", placement, pace.region, after))
        if told["status"] != "ok" or told["next"] is None or not await pace.portion_sent():
            return
        after = json.dumps(told["next"])
