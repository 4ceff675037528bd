"""A history without the ``home`` writes that the fleet itself lists as left behind at a takeover.

A ``home`` write may be missing after its home is lost, as long as its key is listed; a ``remote`` one may not, whatever
is listed. To strike a write out is to judge as if nobody had asked for it: it goes, and so does what reads saw of it.
A write without a certain answer promised nothing, so it is struck too when it is listed. One that certainly failed is
never struck: should a row of it turn up, that is a fault.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from intelgraph.drill.checker.verdict import EXPLAINS, Fate
from intelgraph.drill.history import History, Kind, Operation, Outcome, Step

_Seen = dict[tuple[str, str], set[tuple[int | None, int | None]]]


@dataclass(frozen=True, kw_only=True)
class Struck:
    """What is left, and the writes that were taken out."""

    history: History
    operations: tuple[Operation, ...]


def strike(history: History, fates: Mapping[str, Fate]) -> Struck:
    """Take out every listed write that may be missing, and its traces in what others saw."""
    out = tuple(operation for operation in history.operations if _may_be_missing(operation, fates))
    if not out:
        return Struck(history=history, operations=())
    taken = {operation.id for operation in out}
    traces: _Seen = defaultdict(set)
    for operation in out:
        for step in operation.steps:
            traces[operation.tenant, step.object].add((step.value, step.revision))
    kept = (_without(operation, traces) for operation in history.operations if operation.id not in taken)
    return Struck(history=history.without(each for each in kept if each is not None), operations=out)


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
    if operation.kind is Kind.MEMBERS:
        left = tuple(each for each in operation.members if (operation.tenant, each) not in traces)
        return operation if len(left) == len(operation.members) else msgspec.structs.replace(operation, members=left)
    return operation


def _saw(step: Step, written: set[tuple[int | None, int | None]], kind: Kind) -> bool:
    if kind is Kind.GET:
        return any(value == step.value for value, _ in written)
    return (step.value, step.revision) in written


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
