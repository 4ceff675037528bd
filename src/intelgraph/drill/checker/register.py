"""Register: each object behaves as one register, and a read is no older than it says.

What it proves, exactly, for histories in which no value of an object is written twice: there is an order of the writes
and reads of each object in which every read sees the write before it, and in which whatever ended before another began
comes first. A write of unknown outcome may be in the order anywhere after its beginning or not at all. A read that says
it may be ``staleness_ms`` old counts as if it had begun that much earlier; one that does not know its age as if it had
begun with the history, so that it must only have been true once.

If there is none the history is ``not_linearizable``, or a read of it was ``older_than_it_says``.

How: all that write or read one value are a cluster, with ``first_end`` (the earliest end) and ``last_begin`` (the
latest beginning). One cluster must come before another if its first end is before the other's last beginning. An order
exists if and only if no two clusters must each come before the other: in a longer cycle the one with the greatest
``last_begin`` and its successor are already such a pair. (Gibbons and Korach, 1997, found this in other words.)

What it cannot: judge objects together (``list-append`` does), or find what no read has seen. After a takeover that
lost ``home`` writes it complains rightly; the keys that the fleet lists then explain it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

from intelgraph.drill.checker.verdict import Anomaly, Verdict, name_of
from intelgraph.drill.history import History, Kind, Operation, Outcome
from intelgraph.model.errors import refuse

NAME = "register"
_NEVER, _ALWAYS = float("inf"), float("-inf")


@dataclass(kw_only=True)
class _Cluster:
    """The write and the reads of one value. Nothing being there is a value whose write ended before everything."""

    value: int | None
    write: Operation | None
    reads: list[Operation] = field(default_factory=list)

    @property
    def first_end(self) -> tuple[float, Operation | None]:
        """The earliest end, and whose it is."""
        if self.write is None:
            return _ALWAYS, None
        ends = [(read.completed_s, read) for read in self.reads]
        if self.write.acknowledged:
            ends.append((self.write.completed_s, self.write))
        return min(ends, key=lambda end: end[0], default=(_NEVER, self.write))

    @property
    def last_begin(self) -> tuple[float, Operation | None]:
        """The latest beginning, and whose it is."""
        begins = [(read.since_s, read) for read in self.reads]
        if self.write is not None:
            begins.append((self.write.invoked_s, self.write))
        return max(begins, key=lambda begin: begin[0], default=(_ALWAYS, None))


def check(history: History) -> Verdict:
    """Judge each register by itself."""
    registers: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    counted = {"writes": 0, "reads": 0, "registers": 0}
    for operation in history.operations:
        if operation.kind is Kind.PUT or (operation.kind is Kind.GET and operation.acknowledged):
            counted["writes" if operation.is_write else "reads"] += 1
            for step in operation.steps:
                registers[operation.tenant, step.object].append(operation)
    counted["registers"] = len(registers)
    anomalies = [each for (_, name), theirs in registers.items() for each in _judge(name, theirs)]
    return Verdict(check=NAME, anomalies=tuple(anomalies), counted=counted)


def _judge(name: str, operations: list[Operation]) -> list[Anomaly]:
    clusters: dict[int | None, _Cluster] = {None: _Cluster(value=None, write=None)}
    for write in operations:
        if write.is_write:
            value = _value(write, name)
            if value in clusters:
                raise refuse("bad_history", f"the value {value} of {name} is written twice: reads of it mean nothing")
            clusters[value] = _Cluster(value=value, write=write)
    found = []
    for read in operations:
        if not read.is_write:
            cluster = clusters.get(_value(read, name))
            wrong = _impossible(name, read, cluster)
            if wrong is not None:
                found.append(wrong)
            elif cluster is not None:
                cluster.reads.append(read)
    candidates = [each for each in clusters.values() if each.reads or (each.write and each.write.acknowledged)]
    pair = _no_order(candidates)
    if pair is not None:
        found.append(_disorder(name, pair))
    return found


def _value(operation: Operation, name: str) -> int | None:
    return next(step.value for step in operation.steps if step.object == name)


def _impossible(name: str, read: Operation, cluster: _Cluster | None) -> Anomaly | None:
    """What is wrong with one read by itself."""
    if cluster is None:
        kind, why, write = "phantom", "which nobody wrote", None
    elif cluster.write is None:
        return None
    elif cluster.write.outcome is Outcome.FAIL:
        kind, why, write = "aborted_read", f"but {name_of(cluster.write)} was refused", cluster.write
    elif read.completed_s < cluster.write.invoked_s:
        kind, why, write = "read_of_the_future", f"before {name_of(cluster.write)} began", cluster.write
    else:
        return None
    return Anomaly(
        check=NAME,
        kind=kind,
        reason=f"{name_of(read)} saw {_value(read, name)} in {name}, {why}",
        operations=(read.id,) if write is None else (write.id, read.id),
        objects=(name,),
    )


def _no_order(clusters: list[_Cluster]) -> tuple[_Cluster, _Cluster] | None:
    """Two clusters that must each come before the other: ends before begins, both ways."""
    ordered = sorted(clusters, key=lambda cluster: cluster.first_end[0])
    ends = [cluster.first_end[0] for cluster in ordered]
    begins = [cluster.last_begin[0] for cluster in ordered]
    # For each prefix in the order of ends, where its latest and second latest beginnings are.
    best: list[tuple[int, int]] = []
    top, second = -1, -1
    for place, begin in enumerate(begins):
        if top < 0 or begin > begins[top]:
            top, second = place, top
        elif second < 0 or begin > begins[second]:
            second = place
        best.append((top, second))
    for place, begin in enumerate(begins):
        before = bisect_left(ends, begin)
        if before == 0:
            continue
        first, other = best[before - 1]
        partner = other if first == place else first
        if partner >= 0 and partner != place and begins[partner] > ends[place]:
            return ordered[place], ordered[partner]
    return None


def _disorder(name: str, pair: tuple[_Cluster, _Cluster]) -> Anomaly:
    one, other = pair
    sentences, involved, aged = [], [], False
    for earlier, later in ((one, other), (other, one)):
        end, begin = earlier.first_end[1], later.last_begin[1]
        ended = "nothing was there" if end is None else f"{name_of(end)} ({earlier.value}) ended"
        began = "the history" if begin is None else f"{name_of(begin)} ({later.value})"
        age = "" if begin is None or not begin.staleness_ms else f", even if {begin.staleness_ms:g} ms old,"
        aged = aged or bool(age)
        sentences.append(f"{ended} before {began}{age} began")
        involved += [each.id for each in (end, begin, earlier.write, later.write) if each is not None]
    return Anomaly(
        check=NAME,
        kind="older_than_it_says" if aged else "not_linearizable",
        reason=f"no order of {name} fits: {sentences[0]}, and {sentences[1]}",
        operations=tuple(dict.fromkeys(involved)),
        objects=(name,),
    )
