"""A history without the ``home`` writes that the fleet itself lists as left behind at a takeover.

A ``home`` write may be missing after its home is lost, as long as its key is listed; a ``remote`` one may not, whatever
is listed. To strike a write out is to judge as if nobody had asked for it: it goes, and so does what reads saw of it.
A write without a certain answer promised nothing, so it is struck too when it is listed. One that certainly failed is
never struck: should a row of it turn up, that is a fault.

A write that was tried at a home before it was lost, and again with its key at the next, has two rows, and the first was
left behind. The write stays; but what readers in the first row's region saw of it while the clients ran was seen before
anybody was told that it happened, and goes. If the lost home had acknowledged it, the second row is that of a try which
still waited at another door, and younger than the acknowledgement: the write is judged as one without an answer, except
that an insert must be there in the end. What is read in the end, in every region, always stays.

A write of the graph is never taken out: a deletion leaves no trace in a read that could be taken out with it. When it
is listed it is judged as one without an answer, which may have happened or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from intelgraph.drill.checker.verdict import EXPLAINS, Fate
from intelgraph.drill.history import END, History, Kind, Operation, Outcome, Step, may_be_revision

_UNSURE = frozenset({Kind.RELATE, Kind.DELETE})
_Seen = dict[tuple[str, str], set[tuple[int | None, int | None]]]


@dataclass(frozen=True, kw_only=True)
class Struck:
    """What is left, and the writes that were taken out."""

    history: History
    operations: tuple[Operation, ...]


def strike(
    history: History, fates: Mapping[str, Fate], left_behind: Mapping[str, frozenset[str]] | None = None
) -> Struck:
    """Take out every listed write that may be missing, and its traces in what others saw.

    ``left_behind``: by key, the regions in which a row of it was left although another row of it counts.
    """
    out = tuple(operation for operation in history.operations if _may_be_missing(operation, fates))
    taken = {operation.id for operation in out if operation.kind not in _UNSURE}
    unsure = {operation.id for operation in out if operation.kind in _UNSURE}
    twice = tuple(
        operation
        for operation in history.operations
        if operation.is_write and operation.id not in taken | unsure and operation.key in (left_behind or {})
    )
    if not out and not twice:
        return Struck(history=history, operations=())
    early = _early(history, twice, left_behind or {})
    traces: _Seen = defaultdict(set)
    for operation in out:
        if operation.id in taken:
            for step in operation.steps:
                traces[operation.tenant, step.object].add((step.value, step.revision))
    unnamed = {each.id for each in twice if _was_left(each, left_behind or {})}
    left = (
        _without_answer(each) if each.id in unsure else _written_later(each) if each.id in unnamed else each
        for each in history.operations
        if each.id not in taken and each.id not in early
    )
    kept = (_without(operation, traces) for operation in left)
    return Struck(history=history.without(each for each in kept if each is not None), operations=(*out, *twice))


def _written_later(operation: Operation) -> Operation:
    """The write by its second row: it stays, but when it came to count nobody was told."""
    if operation.kind is Kind.INSERT:
        return msgspec.structs.replace(operation, bookmark=None)
    return _without_answer(operation)


def _without_answer(operation: Operation) -> Operation:
    return msgspec.structs.replace(operation, bookmark=None, outcome=Outcome.UNKNOWN)


def _was_left(operation: Operation, left_behind: Mapping[str, frozenset[str]]) -> bool:
    """Whether the row that a home alone had acknowledged was left behind: the write is there, its bookmark is over."""
    at = operation.at
    return operation.durability == "home" and at is not None and at.origin in left_behind[operation.key or ""]


def _early(history: History, twice: tuple[Operation, ...], left_behind: Mapping[str, frozenset[str]]) -> set[int]:
    """The reads that saw a row that was left behind, in its region, while the clients ran."""
    seen: dict[str, _Seen] = defaultdict(lambda: defaultdict(set))
    for operation in twice:
        for region in left_behind[operation.key or ""]:
            for step in operation.steps:
                seen[region][operation.tenant, step.object].add((step.value, step.revision))
    end_s = min((mark.at_s for mark in history.marks if mark.what == END), default=float("inf"))
    return {
        each.id
        for each in history.operations
        if each.kind in (Kind.GET, Kind.LISTS, Kind.ACCOUNTS)
        and each.region in seen
        and each.invoked_s < end_s
        and any(_saw_any(each, step, seen[each.region]) for step in each.steps)
    }


def _saw_any(read: Operation, step: Step, seen: _Seen) -> bool:
    written = seen.get((read.tenant, step.object), set())
    if read.kind is Kind.LISTS:
        return any(value in (step.elements or ()) for value, _ in written)
    return _saw(step, written, read.kind)


def _may_be_missing(operation: Operation, fates: Mapping[str, Fate]) -> bool:
    if not operation.is_write or operation.key is None or fates.get(operation.key) not in EXPLAINS:
        return False
    if operation.outcome is Outcome.OK:
        return operation.durability == "home"
    return operation.outcome is Outcome.UNKNOWN


def _without(operation: Operation, traces: _Seen) -> Operation | None:
    """The operation as if the struck writes had not been; nothing if all that it says is about one of them."""
    if operation.kind in (Kind.GET, Kind.ACCOUNTS):
        return (
            None
            if any(
                _saw(step, traces[operation.tenant, step.object], operation.kind)
                for step in operation.steps
                if (operation.tenant, step.object) in traces
            )
            else operation
        )
    if operation.kind in (Kind.LISTS, Kind.APPEND):
        return _shortened(operation, traces)
    if operation.kind in (Kind.MEMBERS, Kind.PAGES):
        left = tuple(each for each in operation.members if (operation.tenant, each) not in traces)
        return operation if len(left) == len(operation.members) else msgspec.structs.replace(operation, members=left)
    return operation


def _saw(step: Step, written: set[tuple[int | None, int | None]], kind: Kind) -> bool:
    if kind is Kind.GET:
        return any(value == step.value for value, _ in written)
    return any(value == step.value and may_be_revision(revision, step.revision) for value, revision in written)


def _shortened(operation: Operation, traces: _Seen) -> Operation:
    steps = []
    for step in operation.steps:
        gone = {value for value, _ in traces.get((operation.tenant, step.object), ())}
        if gone and step.elements is not None:
            # Without the struck elements its revision says nothing any more.
            left = tuple(each for each in step.elements if each not in gone)
            step = msgspec.structs.replace(step, elements=left, revision=None)
        steps.append(step)
    return msgspec.structs.replace(operation, steps=tuple(steps))
