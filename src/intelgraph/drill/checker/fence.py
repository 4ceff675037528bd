"""Fence: the epochs of acknowledged commits never go back, and positions rise.

What it proves, per placement: after a write of an epoch was acknowledged, no write that is asked for later is
acknowledged in an older one (``epoch_went_back``), and none that was asked for earlier gets its acknowledgement in an
older one (``late_acknowledgement``: what a paused home does when it goes on); an epoch is written by one region
(``two_homes``); a place in the log is given out once (``bookmark_reused``); and of two writes of one object, one after
the other in one stream, the later has the higher position (``position_went_back``). No list of keys excuses any.

What it cannot: see a write that was acknowledged to nobody who kept a history, nor tell an answer that was sent in time
and travelled for longer than the takeover took from one that was sent too late (it complains). A repeat of a key is
answered with its first outcome, so its acknowledgement may be of an older epoch; only its commit is judged.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from intelgraph.drill.checker.verdict import Anomaly, Verdict, name_of
from intelgraph.drill.history import History, Operation
from intelgraph.model.bookmark import Bookmark

NAME = "fence"
_Placed = tuple[Operation, Bookmark]


def check(history: History) -> Verdict:
    """Judge the acknowledged writes of each placement."""
    by_placement: dict[str, list[_Placed]] = defaultdict(list)
    for operation in history.operations:
        at = operation.at if operation.is_write and operation.acknowledged else None
        if at is not None:
            by_placement[operation.placement].append((operation, at))
    anomalies: list[Anomaly] = []
    for writes in by_placement.values():
        writes.sort(key=lambda write: write[0].completed_s)
        anomalies += _epochs(writes)
        anomalies += _homes(writes)
        anomalies += _positions(writes)
    every = [write for writes in by_placement.values() for write in writes]
    anomalies += _reused(every)
    epochs = {(operation.placement, at.epoch) for operation, at in every}
    counted = {"acknowledged": len(every), "epochs": len(epochs), "placements": len(by_placement)}
    return Verdict(check=NAME, anomalies=tuple(anomalies), counted=counted)


class _Highest:
    """The highest rank among the writes that were acknowledged before an instant."""

    def __init__(self, ranked: Iterable[tuple[Operation, int]]) -> None:
        """``ranked`` is in the order of acknowledgement."""
        self._ends: list[float] = []
        self._best: list[tuple[Operation, int]] = []
        for operation, rank in ranked:
            self._ends.append(operation.completed_s)
            higher = not self._best or rank > self._best[-1][1]
            self._best.append((operation, rank) if higher else self._best[-1])

    def before(self, instant_s: float) -> tuple[Operation, int] | None:
        """The write and its rank."""
        place = bisect_left(self._ends, instant_s)
        return self._best[place - 1] if place else None


def _epochs(writes: list[_Placed]) -> list[Anomaly]:
    highest = _Highest((operation, at.epoch) for operation, at in writes)
    found = []
    for operation, at in writes:
        for kind, instant_s, what in (
            ("epoch_went_back", operation.invoked_s, "was asked for"),
            ("late_acknowledgement", operation.completed_s, "was acknowledged"),
        ):
            newer = highest.before(instant_s)
            if newer is None or newer[1] <= at.epoch or (operation.repeated and kind == "late_acknowledgement"):
                continue
            by, epoch = newer
            found.append(
                Anomaly(
                    check=NAME,
                    kind=kind,
                    reason=f"{name_of(operation)} {what} {instant_s - by.completed_s:.3f} s after {name_of(by)} was "
                    f"acknowledged in epoch {epoch} of {operation.placement}, and was acknowledged in epoch {at.epoch}",
                    operations=(by.id, operation.id),
                    facts={"epoch": at.epoch, "newer": epoch, "origin": at.origin, "key": operation.key},
                )
            )
            break
    return found


def _homes(writes: list[_Placed]) -> list[Anomaly]:
    homes: dict[int, _Placed] = {}
    found: dict[tuple[int, str], Anomaly] = {}
    for operation, at in writes:
        first, first_at = homes.setdefault(at.epoch, (operation, at))
        if first_at.origin != at.origin and (at.epoch, at.origin) not in found:
            found[at.epoch, at.origin] = Anomaly(
                check=NAME,
                kind="two_homes",
                reason=f"epoch {at.epoch} of {operation.placement} was written in {first_at.origin} "
                f"({name_of(first)}) and in {at.origin} ({name_of(operation)})",
                operations=(first.id, operation.id),
                facts={"epoch": at.epoch},
            )
    return list(found.values())


def _positions(writes: list[_Placed]) -> list[Anomaly]:
    streams: dict[tuple[str, str, str, int, int], list[_Placed]] = defaultdict(list)
    for operation, at in writes:
        for step in operation.steps:
            streams[operation.tenant, step.object, at.origin, at.life, at.epoch].append((operation, at))
    found = []
    for (_, name, *_rest), theirs in streams.items():
        if len(theirs) == 1:
            continue
        highest = _Highest((operation, at.position) for operation, at in theirs)
        for operation, at in theirs:
            earlier = highest.before(operation.invoked_s)
            if earlier is not None and earlier[1] >= at.position and earlier[0].id != operation.id:
                found.append(
                    Anomaly(
                        check=NAME,
                        kind="position_went_back",
                        reason=f"{name_of(operation)} of {name} began after {name_of(earlier[0])} was acknowledged at "
                        f"position {earlier[1]}, and is at {at.position}",
                        operations=(earlier[0].id, operation.id),
                        objects=(name,),
                    )
                )
    return found


def _reused(writes: list[_Placed]) -> list[Anomaly]:
    first: dict[tuple[str, int, int], Operation] = {}
    found = []
    for operation, at in writes:
        other = first.setdefault((at.origin, at.life, at.position), operation)
        if other.id != operation.id:
            found.append(
                Anomaly(
                    check=NAME,
                    kind="bookmark_reused",
                    reason=f"{name_of(other)} and {name_of(operation)} were both answered with {at}",
                    operations=(other.id, operation.id),
                )
            )
    return found
