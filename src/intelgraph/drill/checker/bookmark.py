"""Bookmark: a read that carries a bookmark sees that write or is refused with a type; never silently stale.

What it proves: whenever a read carried the bookmark of a state of an object that it read (an acknowledged write's, or
one that an earlier read was told), it saw that state or a later one (``silently_stale``); ``superseded`` was never said
of a write that was acknowledged as ``remote`` (``superseded_remote``), and of a ``home`` one only if its key is listed
(``superseded_home``); and no bookmark that was given out was called bad (``bookmark_refused``).

Later means a higher (epoch, position) where the answer has a bookmark of its own, else a revision that is not lower,
and of a list that the element is in it.

What it cannot: judge reads of other objects than the bookmark's (the promise is about that write), or tell a refusal
that was needed from one that was not: ``too_far_behind`` is always allowed, so look at how often (``counted``).
"""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.drill.checker.verdict import Anomaly, Verdict, name_of
from intelgraph.drill.history import History, Kind, Operation, Step
from intelgraph.model.bookmark import Bookmark

NAME = "bookmark"


@dataclass(frozen=True, kw_only=True)
class _Given:
    """Who was given a bookmark: the write of that row, or else the first who read it."""

    operation: Operation
    steps: dict[str, Step]


def check(history: History) -> Verdict:
    """Judge every read that carried a bookmark."""
    given = _given(history)
    anomalies: list[Anomaly] = []
    counted = dict.fromkeys(("carried", "seen", "too_far_behind", "superseded", "refused_otherwise"), 0)
    for read in history.operations:
        if read.is_write or read.carried is None:
            continue
        counted["carried"] += 1
        source = given.get((read.tenant, read.carried))
        if read.acknowledged:
            counted["seen"] += 1
            stale = None if source is None else _stale(read, source)
        else:
            told = read.code if read.code in ("too_far_behind", "superseded") else "refused_otherwise"
            counted[told] += 1
            stale = None if source is None else _refused(read, source)
        if stale is not None:
            anomalies.append(stale)
    return Verdict(check=NAME, anomalies=tuple(anomalies), counted=counted)


def _given(history: History) -> dict[tuple[str, str], _Given]:
    found: dict[tuple[str, str], _Given] = {}
    for operation in history.operations:
        if operation.bookmark is None or not operation.acknowledged:
            continue
        place = (operation.tenant, operation.bookmark)
        if operation.is_write or (operation.kind is Kind.GET and place not in found):
            found[place] = _Given(operation=operation, steps={step.object: step for step in operation.steps})
    return found


def _stale(read: Operation, source: _Given) -> Anomaly | None:
    if read.kind is Kind.MEMBERS:
        missing = [name for name in source.steps if source.operation.kind is Kind.INSERT and name not in read.members]
        return _anomaly("silently_stale", read, source, f"and did not see {missing[0]}") if missing else None
    for step in read.steps:
        wanted = source.steps.get(step.object)
        if wanted is not None:
            why = _older(read, step, source.operation, wanted)
            if why is not None:
                return _anomaly("silently_stale", read, source, f"and saw {step.object} {why}")
    return None


def _older(read: Operation, seen: Step, source: Operation, wanted: Step) -> str | None:
    """Why what was seen is older than what was wanted; nothing when it is not."""
    if seen.value is None and seen.elements is None and (wanted.value is not None or wanted.elements is not None):
        return "not there"
    if source.kind is Kind.APPEND and seen.elements is not None:
        return None if wanted.value in seen.elements else f"without its element {wanted.value}"
    got, least = read.at, source.at
    if got is not None and least is not None:
        return None if _rank(got) >= _rank(least) else f"as of {got}"
    if seen.revision is not None and wanted.revision is not None and seen.revision < wanted.revision:
        return f"at revision {seen.revision}, not {wanted.revision}"
    return None


def _rank(bookmark: Bookmark) -> tuple[int, int]:
    return bookmark.epoch, bookmark.position


def _refused(read: Operation, source: _Given) -> Anomaly | None:
    if read.code == "bad_bookmark":
        return _anomaly("bookmark_refused", read, source, "and was told that it is none")
    if read.code != "superseded" or not source.operation.is_write:
        return None
    durability = source.operation.durability or "home"
    return _anomaly(
        f"superseded_{durability}",
        read,
        source,
        f"and was told that the write, acknowledged as {durability}, was cut off",
    )


def _anomaly(kind: str, read: Operation, source: _Given, what: str) -> Anomaly:
    by = source.operation
    return Anomaly(
        check=NAME,
        kind=kind,
        reason=f"{name_of(read)} in {read.region or read.door} carried {read.carried} of {name_of(by)} {what}",
        operations=(by.id, read.id),
        facts={"region": read.region, "staleness_ms": read.staleness_ms, "key": by.key},
    )
