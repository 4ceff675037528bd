"""How well a fleet did in a drill, from the history, what the checker found, and when the fault was. Pure.

Everything is measured at the clients, on the history's clock. Where a figure is not known it is ``None``, which is not
zero: a fault that nobody injected has no RTO, a drill whose home was not lost has none either.

*RTO*: from the fault to the end of the first write that was asked for after it and acknowledged by another region than
the lost one; with several placements the longest. *RPO*: of the writes that were acknowledged before the takeover, how
many the new home did not have (``taken_back``: listed by the fleet or found missing), and how old the oldest of them
was when the fault came. *Unavailable*: a client is without service from the beginning of its first request that did
not succeed (or that took long) to the end of the next that did, or of its last; being told that it lost a race, or
that a bookmark is over, is service.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from intelgraph.drill.checker.verdict import EXPLAINS, Fate, Verdict
from intelgraph.drill.history import END, History, Kind, Operation, Outcome

SERVED = frozenset({"revision_mismatch", "not_found", "superseded", "dangling"})
"""Refusals that are service: a race was lost, what was asked for is not there, a bookmark is over."""
_NO_REQUESTS = frozenset({Kind.MEMBERS, Kind.FOLLOW})
"""What lasts for as long as it does: nobody waits for its end."""
BUCKET_S = 0.1
LATENCY_BUCKET_S = 1.0


class FaultTimes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When the fault was, in seconds of the history. ``region`` was lost by it; ``None`` if no region was."""

    name: str
    injected_s: float
    healed_s: float | None = None
    region: str | None = None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of the operations that succeeded and ended in a span of time; milliseconds."""

    at_s: float
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """How many operations ended in ``BUCKET_S`` from ``at_s``, by outcome. ``lost_races`` were refused rightly."""

    at_s: float
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    lost_races: int = 0


class EpochChange(msgspec.Struct, frozen=True, kw_only=True):
    """The first acknowledged write of an epoch, and whose it is."""

    placement: str
    epoch: int
    home: str
    at_s: float


class Outage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The longest time without service, and who had none."""

    seconds: float
    since_s: float
    client: str = ""


class Score(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All figures of one drill."""

    fault: FaultTimes | None
    rto_s: float | None
    rpo_s: float | None
    rpo_writes: int
    lost_writes: int
    """Of ``rpo_writes``, how many nothing explains."""
    write_outage: Outage
    read_outage: Outage
    """Of the one client that had it worst."""
    write_gap: Outage
    read_gap: Outage
    """Of all clients together: the longest time in which nobody was served."""
    patient_writes: Outage = Outage(seconds=0.0, since_s=0.0)
    patient_reads: Outage = Outage(seconds=0.0, since_s=0.0)
    """The worst of the clients that go on to another door."""
    doomed_writes: int = 0
    """Acknowledged after the healing, in an epoch older than one in which a write had been acknowledged by then."""
    operations: dict[str, int]
    """By outcome; ``lost_races`` apart."""
    patient_failed: int
    """Operations of patient clients that ended without an answer that is one, unknown ones included."""
    codes: dict[str, int]
    """How operations ended that did not succeed."""
    retried: dict[str, int]
    """What tries were told that were repeated."""
    staleness_ms_max: float | None
    staleness_unknown: int
    epochs: tuple[EpochChange, ...]
    buckets: tuple[Bucket, ...]
    writes: tuple[Latency, ...]
    reads: tuple[Latency, ...]
    anomalies: dict[str, int]
    """Unexplained ones by check; a check that holds has 0."""
    explained: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether nothing unexplained was found, nothing doomed was acknowledged, and a lost home was replaced."""
        replaced = self.fault is None or self.fault.region is None or self.rto_s is not None
        return replaced and not self.doomed_writes and not any(self.anomalies.values())


def score(
    history: History,
    verdicts: Sequence[Verdict],
    *,
    fault: FaultTimes | None = None,
    fates: Mapping[str, Fate] | None = None,
) -> Score:
    """Put a drill into figures."""
    end_s = min((mark.at_s for mark in history.marks if mark.what == END), default=math.inf)
    during = [each for each in history.operations if each.kind not in _NO_REQUESTS and each.invoked_s < end_s]
    writes = [each for each in during if each.is_write]
    reads = [each for each in during if not each.is_write]
    until_s = max((each.completed_s for each in during), default=0.0)
    back = _taken_back(history, verdicts, fates or {})
    lost = {each.operations[0] for verdict in verdicts for each in verdict.unexplained if each.kind.startswith("lost_")}
    ages = [fault.injected_s - each.completed_s for each in back.values()] if fault is not None else []
    return Score(
        fault=fault,
        rto_s=_rto_s(writes, fault),
        rpo_s=max(0.0, *ages, 0.0) if fault is not None else None,
        rpo_writes=len(back),
        lost_writes=len(lost),
        write_outage=_worst_client(writes),
        read_outage=_worst_client(reads),
        patient_writes=_worst_client(each for each in writes if each.patient),
        patient_reads=_worst_client(each for each in reads if each.patient),
        doomed_writes=_doomed(writes, fault),
        write_gap=_gap(writes, until_s),
        read_gap=_gap(reads, until_s),
        operations=_outcomes(during),
        patient_failed=sum(each.patient and not _served(each) for each in during),
        codes=dict(Counter(each.code or "none" for each in during if not each.acknowledged).most_common()),
        retried=dict(Counter(setback.code for each in during for setback in each.setbacks).most_common()),
        staleness_ms_max=max((each.staleness_ms for each in reads if each.staleness_ms is not None), default=None),
        staleness_unknown=sum(each.acknowledged and each.staleness_ms is None for each in reads),
        epochs=_epochs(writes),
        buckets=_buckets(during, until_s),
        writes=_latencies(writes),
        reads=_latencies(reads),
        anomalies={verdict.check: len(verdict.unexplained) for verdict in verdicts},
        explained={verdict.check: sum(each.explained for each in verdict.anomalies) for verdict in verdicts},
    )


def _served(operation: Operation) -> bool:
    return operation.acknowledged or operation.code in SERVED


def _taken_back(history: History, verdicts: Sequence[Verdict], fates: Mapping[str, Fate]) -> dict[int, Operation]:
    """Acknowledged writes that a new home did not have: listed, or found missing."""
    missing = {
        each.operations[0] for verdict in verdicts for each in verdict.anomalies if each.kind.startswith("lost_")
    }
    return {
        each.id: each
        for each in history.operations
        if each.is_write
        and each.acknowledged
        and (each.id in missing or (each.key is not None and fates.get(each.key) in EXPLAINS))
    }


def _rto_s(writes: Iterable[Operation], fault: FaultTimes | None) -> float | None:
    """The longest over the placements that the lost region had written; a placement that never came back has none."""
    if fault is None or fault.region is None:
        return None
    homes: dict[str, str] = {}
    back: dict[str, float] = {}
    for write in sorted(writes, key=lambda write: write.completed_s):
        at = write.at if write.acknowledged else None
        if at is None:
            continue
        if write.completed_s <= fault.injected_s:
            homes[write.placement] = at.origin
        elif write.invoked_s >= fault.injected_s and at.origin != fault.region and not write.repeated:
            back.setdefault(write.placement, write.completed_s - fault.injected_s)
    affected = [placement for placement, home in homes.items() if home == fault.region]
    if not affected or any(placement not in back for placement in affected):
        return None
    return max(back[placement] for placement in affected)


def _doomed(writes: Iterable[Operation], fault: FaultTimes | None) -> int:
    """How many writes a region acknowledged when it was back and no longer the home. A repeat's commit is older."""
    if fault is None or fault.healed_s is None:
        return 0
    newest, doomed = dict[str, int](), 0
    for write in sorted(writes, key=lambda write: write.completed_s):
        at = write.at if write.acknowledged and not write.repeated else None
        if at is None:
            continue
        newest[write.placement] = max(newest.get(write.placement, 0), at.epoch)
        doomed += at.epoch < newest[write.placement] and write.completed_s >= fault.healed_s
    return doomed


def _worst_client(operations: Iterable[Operation]) -> Outage:
    by_client: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_client[operation.client].append(operation)
    worst = Outage(seconds=0.0, since_s=0.0)
    for client, theirs in by_client.items():
        without_since: float | None = None
        for each in sorted(theirs, key=lambda each: each.completed_s):
            began_s = each.invoked_s if without_since is None else min(without_since, each.invoked_s)
            if each.completed_s - began_s > worst.seconds:
                worst = Outage(seconds=each.completed_s - began_s, since_s=began_s, client=client)
            without_since = None if _served(each) else began_s
    return worst


def _gap(operations: Iterable[Operation], until_s: float) -> Outage:
    """The longest time between two ends of operations that were served, from the first that was asked for."""
    every = list(operations)
    last_s = min((each.invoked_s for each in every), default=until_s)
    worst = Outage(seconds=0.0, since_s=last_s)
    for end_s in [*sorted(each.completed_s for each in every if _served(each)), until_s]:
        if end_s - last_s > worst.seconds:
            worst = Outage(seconds=end_s - last_s, since_s=last_s)
        last_s = end_s
    return worst


def _outcomes(operations: Iterable[Operation]) -> dict[str, int]:
    counted = dict.fromkeys(("ok", "failed", "unknown", "lost_races"), 0)
    for operation in operations:
        counted[_column(operation)] += 1
    return counted


def _column(operation: Operation) -> str:
    if operation.outcome is Outcome.FAIL:
        return "lost_races" if _served(operation) else "failed"
    return "ok" if operation.acknowledged else "unknown"


def _epochs(writes: Iterable[Operation]) -> tuple[EpochChange, ...]:
    found: dict[tuple[str, int], EpochChange] = {}
    for write in sorted(writes, key=lambda write: write.completed_s):
        at = write.at if write.acknowledged else None
        if at is not None and (write.placement, at.epoch) not in found:
            found[write.placement, at.epoch] = EpochChange(
                placement=write.placement, epoch=at.epoch, home=at.origin, at_s=write.completed_s
            )
    return tuple(found.values())


def _buckets(operations: Iterable[Operation], until_s: float) -> tuple[Bucket, ...]:
    counts: list[Counter[str]] = [Counter() for _ in range(math.floor(until_s / BUCKET_S) + 1)]
    for operation in operations:
        counts[math.floor(operation.completed_s / BUCKET_S)][_column(operation)] += 1
    return tuple(Bucket(at_s=round(place * BUCKET_S, 3), **count) for place, count in enumerate(counts))


def _latencies(operations: Iterable[Operation]) -> tuple[Latency, ...]:
    by_bucket: dict[int, list[float]] = defaultdict(list)
    for operation in operations:
        if operation.acknowledged:
            took_ms = (operation.completed_s - operation.invoked_s) * 1000
            by_bucket[math.floor(operation.completed_s / LATENCY_BUCKET_S)].append(took_ms)
    return tuple(
        Latency(
            at_s=place * LATENCY_BUCKET_S,
            count=len(took),
            p50_ms=percentile(took, 50),
            p95_ms=percentile(took, 95),
            p99_ms=percentile(took, 99),
            max_ms=max(took),
        )
        for place, took in sorted(by_bucket.items())
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
