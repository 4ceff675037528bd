"""Judges a history: what clients were told against what every region holds. Pure, and independent of the product.

A history that shows nothing lost, doubled, torn or stale has no faults. The checker is itself tried on histories that
are known to be bad (``test_history``): one that never complains would prove nothing.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Write:
    """One write as its client saw it. ``acked_at_s`` is ``None`` where no certain answer ever came."""

    tenant: str
    key: str
    entity: str
    stamp: str
    sent_at_s: float
    acked_at_s: float | None = None
    bookmark: str | None = None
    revision: int | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether the client was told that it happened."""
        return self.acked_at_s is not None


@dataclass(frozen=True, kw_only=True)
class Read:
    """One answered read with a bookmark: ``least`` is the revision that the bookmark stands for."""

    tenant: str
    entity: str
    region: str
    least: int
    seen: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One accepted row of the log in one region; one object a row. ``key`` is ``None`` for a key nobody used."""

    bookmark: str
    tenant: str
    key: str | None
    entity: str
    stamp: str
    revision: int

    @property
    def rank(self) -> tuple[int, int]:
        """Epoch and position."""
        _, _, epoch, position = self.bookmark.split("/")
        return int(epoch), int(position)


@dataclass(frozen=True, kw_only=True)
class Region:
    """What one region holds: its accepted rows, and each entity's ``(revision, stamp)`` by (tenant, id)."""

    rows: Sequence[Row]
    entities: Mapping[tuple[str, str], tuple[int, str]]


def faults(writes: Sequence[Write], reads: Iterable[Read], regions: Mapping[str, Region]) -> list[str]:
    """Every way in which the history breaks a promise, as sentences; empty when it breaks none."""
    found: list[str] = []
    for name, region in regions.items():
        found += _against_answers(name, writes, region)
        found += _within(name, region)
    found += _between(regions)
    found += _order(writes)
    found += [
        f"a read of {read.entity} in {read.region} saw revision {read.seen}; its bookmark stands for {read.least}"
        for read in reads
        if read.seen < read.least
    ]
    return found


def _against_answers(name: str, writes: Sequence[Write], region: Region) -> list[str]:
    rows: dict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for row in region.rows:
        rows[row.tenant, row.key].append(row)
    found = []
    for write in writes:
        held = rows.pop((write.tenant, write.key), [])
        if len(held) > 1:
            found.append(f"{name}: the write {write.key} is there {len(held)} times")
        elif write.acknowledged and not held:
            found.append(f"{name}: the write {write.key} was acknowledged and is not there")
        for row in held:
            if (row.entity, row.stamp) != (write.entity, write.stamp):
                found.append(f"{name}: the write {write.key} is there with other content")
            if write.acknowledged and (row.bookmark, row.revision) != (write.bookmark, write.revision):
                found.append(
                    f"{name}: the write {write.key} was answered {write.bookmark} revision {write.revision}; "
                    f"it is {row.bookmark} revision {row.revision}"
                )
    found += [f"{name}: {len(left)} rows carry a key that no client used" for left in rows.values()]
    return found


def _within(name: str, region: Region) -> list[str]:
    by_entity: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in region.rows:
        by_entity[row.tenant, row.entity].append(row)
    found = []
    for entity, rows in by_entity.items():
        rows.sort(key=lambda row: row.rank)
        if [row.revision for row in rows] != list(range(1, len(rows) + 1)):
            found.append(f"{name}: the revisions of {entity[1]} in log order are {[row.revision for row in rows]}")
        last = rows[-1]
        if region.entities.get(entity) != (last.revision, last.stamp):
            found.append(f"{name}: the state of {entity[1]} is not that of its last row")
    found += [f"{name}: {entity[1]} exists without a row" for entity in region.entities.keys() - by_entity.keys()]
    return found


def _between(regions: Mapping[str, Region]) -> list[str]:
    if not regions:
        return ["no region was looked at"]
    first_name, first = next(iter(regions.items()))
    found = []
    for name, region in regions.items():
        differing = set(first.rows) ^ set(region.rows)
        if differing:
            found.append(f"{first_name} and {name} differ in {len(differing)} rows")
        if first.entities != region.entities:
            found.append(f"{first_name} and {name} differ in their entities")
    return found


def _order(writes: Sequence[Write]) -> list[str]:
    """A write that was sent after another's answer has the higher revision, object by object."""
    by_entity: dict[tuple[str, str], list[Write]] = defaultdict(list)
    for write in writes:
        if write.acknowledged:
            by_entity[write.tenant, write.entity].append(write)
    found = []
    for entity, theirs in by_entity.items():
        theirs.sort(key=lambda write: write.revision or 0)
        latest_sent = float("-inf")
        for write in theirs:
            # Every write of a lower revision must have been sent before this one was answered.
            latest_sent = max(latest_sent, write.sent_at_s)
            if write.acked_at_s is not None and write.acked_at_s < latest_sent:
                found.append(f"the write {write.key} of {entity[1]} is ordered behind one sent after its answer")
    return found


def longest_gap_s(successes: Sequence[float], since_s: float, until_s: float) -> float:
    """The longest time without a success that overlaps the window; an open end counts to ``until_s``."""
    before = max((at for at in successes if at <= since_s), default=since_s)
    inside = sorted(at for at in successes if since_s < at < until_s)
    after = min((at for at in successes if at >= until_s), default=until_s)
    points = [before, *inside, after]
    return max(later - earlier for earlier, later in itertools.pairwise(points))
