"""List-append: lists that only grow, written several at a time, show one order of all transactions (after Elle).

Every element is appended once, so the longest list that anybody saw of an object is the order of its versions, and
every list that was seen says which version it is. What it proves, per object: no element that was refused is in a list
(``aborted_read``), none is there twice (``duplicate``) or out of nowhere (``phantom``), no list ends in the middle of
one transaction's elements (``intermediate_read``), every list is a beginning of the longest (``incompatible_order``),
each transaction's own answer agrees with what it appended and read before (``internal``), and an acknowledged element
is in the last list that had to show it, and in every list that shows an element which was asked for later
(``lost_append``). What nobody looked at is not known to be there, as in ``set``: when the history has ended, an element
that nobody read after its acknowledgement is an anomaly (``unread``); before, one that no answer at all has shown.
And over all objects of a tenant: the transactions have an order in which each comes after those whose versions it
overwrites (ww) or saw (wr), before those that overwrite what it saw (rw), and after what had ended when it began. A
cycle is named by what it needs: ``G0`` ww alone, ``G1c`` ww and wr, ``G-single`` one rw, ``G2`` several; ``-realtime``
if it needs time (``G1c`` always does: here what reads does not write). With all of these absent what was seen is
strictly serializable, except that a read that says it is ``staleness_ms`` old counts as if it had begun that much
earlier.

What a transaction that writes read of objects that it does not write is judged like any other read.

What it cannot: know versions that nobody saw: an unread element orders nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from intelgraph.drill.checker.serial_order import Versions, cycles
from intelgraph.drill.checker.verdict import Anomaly, Verdict, name_of
from intelgraph.drill.history import END, History, Kind, Operation, Outcome, Step

NAME = "list-append"


@dataclass(kw_only=True)
class _List:
    """Everything about one object: who appended what, and the lists that were seen of it."""

    name: str
    writers: dict[int, Operation] = field(default_factory=dict)
    seen: list[tuple[Operation, tuple[int, ...]]] = field(default_factory=list)

    @property
    def longest(self) -> tuple[Operation | None, tuple[int, ...]]:
        """The longest list, and who saw it."""
        return max(self.seen, key=lambda seen: len(seen[1]), default=(None, ()))


def check(history: History) -> Verdict:
    """Judge the lists of every tenant."""
    by_tenant: dict[str, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        if operation.kind is Kind.APPEND or (operation.kind is Kind.LISTS and operation.acknowledged):
            by_tenant[operation.tenant].append(operation)
    anomalies: list[Anomaly] = []
    counted = dict.fromkeys(("appends", "reads", "lists", "elements"), 0)
    for operations in by_tenant.values():
        lists = _lists(operations)
        ended = any(mark.what == END for mark in history.marks)
        anomalies += [found for each in operations if each.acknowledged for found in _internal(each)]
        for each in lists.values():
            anomalies += _judge(each, ended=ended)
        anomalies += cycles(operations, [_versions(each) for each in lists.values()], NAME)
        counted["appends"] += sum(each.is_write for each in operations)
        counted["reads"] += sum(not each.is_write for each in operations)
        counted["lists"] += len(lists)
        counted["elements"] += sum(len(each.longest[1]) for each in lists.values())
    return Verdict(check=NAME, anomalies=tuple(anomalies), counted=counted)


def _lists(operations: list[Operation]) -> dict[str, _List]:
    lists: dict[str, _List] = {}
    for operation in operations:
        for step in operation.steps:
            each = lists.setdefault(step.object, _List(name=step.object))
            if operation.is_write and step.value is not None:
                each.writers[step.value] = operation
            if operation.acknowledged and step.elements is not None and _is_last(operation, step):
                each.seen.append((operation, step.elements))
    return lists


def _is_last(operation: Operation, step: Step) -> bool:
    """A transaction that appends to one list several times shows the others only the last."""
    return next(each for each in reversed(operation.steps) if each.object == step.object) is step


def _versions(of: _List) -> Versions:
    _, order = of.longest
    known = [of.writers.get(element) for element in order]
    compatible = [(operation, len(seen)) for operation, seen in of.seen if seen == order[: len(seen)]]
    return Versions(name=of.name, writers=known, seen=compatible)


def _judge(of: _List, *, ended: bool) -> list[Anomaly]:
    found: dict[tuple[str, int], Anomaly] = {}
    by, order = of.longest
    # Almost every list is a beginning of the longest: then only the longest has to be looked at element by element.
    for operation, seen in [(by, order), *(each for each in of.seen if each[1] != order[: len(each[1])])]:
        if operation is None:
            continue
        for each in _elements(of, operation, seen):
            found.setdefault((each.kind, each.operations[0]), each)
        if seen != order[: len(seen)] and by is not None:
            each = _incompatible(of, operation, seen, by, order)
            found.setdefault((each.kind, 0), each)
    for operation, seen in of.seen:
        torn = _intermediate(of, operation, seen)
        if torn is not None:
            found.setdefault((torn.kind, torn.operations[0]), torn)
    lost = _lost(of)
    return [*found.values(), *lost.values(), *_unread(of, lost.keys(), ended=ended)]


def _elements(of: _List, reader: Operation, seen: tuple[int, ...]) -> list[Anomaly]:
    found = []
    if len(set(seen)) < len(seen):
        twice = next(element for place, element in enumerate(seen) if element in seen[:place])
        involved = (of.writers[twice].id, reader.id) if twice in of.writers else (reader.id,)
        found.append(_anomaly("duplicate", of, involved, f"{name_of(reader)} saw {twice} twice in {of.name}"))
    for element in seen:
        writer = of.writers.get(element)
        if writer is None:
            why = f"{name_of(reader)} saw {element} in {of.name}, which nobody appended"
            found.append(_anomaly("phantom", of, (reader.id,), why))
        elif writer.outcome is Outcome.FAIL:
            why = f"{name_of(reader)} saw {element} in {of.name}, but {name_of(writer)} was refused ({writer.code})"
            found.append(_anomaly("aborted_read", of, (writer.id, reader.id), why))
    return found


def _intermediate(of: _List, reader: Operation, seen: tuple[int, ...]) -> Anomaly | None:
    writer = of.writers.get(seen[-1]) if seen else None
    if writer is None or writer.id == reader.id or len(writer.steps) == 1:
        return None
    last = next(step.value for step in reversed(writer.steps) if step.object == of.name)
    if last == seen[-1]:
        return None
    why = f"{name_of(reader)} saw {of.name} end with {seen[-1]}, in the middle of {name_of(writer)}"
    return _anomaly("intermediate_read", of, (writer.id, reader.id), why)


def _incompatible(
    of: _List, reader: Operation, seen: tuple[int, ...], by: Operation, order: tuple[int, ...]
) -> Anomaly:
    place = next(i for i, pair in enumerate(zip(seen, order, strict=False)) if pair[0] != pair[1])
    why = (
        f"{name_of(reader)} saw {seen[place]} at place {place} of {of.name}, where {name_of(by)} saw {order[place]}: "
        "neither list is a beginning of the other"
    )
    writers = [of.writers[element].id for element in (seen[place], order[place]) if element in of.writers]
    return _anomaly("incompatible_order", of, tuple(dict.fromkeys([*writers, reader.id, by.id])), why)


def _internal(operation: Operation) -> Iterator[Anomaly]:
    """What the steps of one transaction say of each other: what it read is what it had read and appended, and no less.

    A step with a value appends it; its list, if it has one, is the list after that.
    """
    known: dict[str, tuple[int, ...] | None] = {}
    own: dict[str, tuple[int, ...]] = {}
    for step in operation.steps:
        before, name = known.get(step.object), step.object
        if operation.is_write and step.value is not None:
            own[name] = (*own.get(name, ()), step.value)
            before = None if before is None else (*before, step.value)
        seen, mine = step.elements, own.get(name, ())
        known[name] = before if seen is None else seen
        if seen is None:
            continue
        if (before is not None and seen != before) or (mine and seen[-len(mine) :] != mine):
            expected = f"{list(before)}" if before is not None else f"a list that ends with {list(mine)}"
            yield Anomaly(
                check=NAME,
                kind="internal",
                reason=f"{name_of(operation)} was answered {list(seen)} for {name}; by its own steps it is {expected}",
                operations=(operation.id,),
                objects=(name,),
            )


def _lost(of: _List) -> dict[int, Anomaly]:
    """By element."""
    latest = max(of.seen, key=lambda seen: seen[0].since_s, default=None)
    by, order = of.longest
    if latest is None or by is None:
        return {}
    reader, there, shown = latest[0], frozenset(latest[1]), frozenset(order)
    last_s = max((of.writers[each].invoked_s for each in order if each in of.writers), default=float("-inf"))
    found = {}
    for element, writer in of.writers.items():
        if not writer.acknowledged:
            continue
        if element not in there and writer.completed_s < reader.since_s:
            why = f"{name_of(reader)}, which began later, did not see it"
            found[element] = _lost_append(of, element, reader, why)
        elif element not in shown and writer.completed_s < last_s:
            why = f"{name_of(by)} saw without it a list with an element that was asked for later"
            found[element] = _lost_append(of, element, by, why)
    return found


def _lost_append(of: _List, element: int, reader: Operation, why: str) -> Anomaly:
    writer = of.writers[element]
    reason = (
        f"{name_of(writer)} of {element} to {of.name} was acknowledged ({writer.durability or 'home'}) at "
        f"{writer.completed_s:.3f} s, and {why}"
    )
    return _anomaly("lost_append", of, (writer.id, reader.id), reason)


def _unread(of: _List, lost: Collection[int], *, ended: bool) -> list[Anomaly]:
    """At most one: the acknowledged element that waits longest for somebody to be shown it.

    A history that has not ended may still be read; what no answer has shown at all, its own neither, is unread anyhow.
    """
    looks = [(reader, seen) for reader, seen in of.seen if not (ended and reader.is_write)]
    last_s = max((reader.since_s for reader, _ in looks if not reader.is_write), default=float("-inf"))
    shown = frozenset(element for _, seen in looks for element in seen) if not ended else frozenset()
    unread = [
        (element, writer)
        for element, writer in of.writers.items()
        if writer.acknowledged
        and writer.completed_s >= last_s
        and element not in shown
        and element not in lost
        and not any(element in seen and reader.invoked_s > writer.completed_s for reader, seen in looks)
    ]
    if not unread:
        return []
    element, writer = min(unread, key=lambda each: each[1].completed_s)
    why = (
        f"{name_of(writer)} of {element} to {of.name} was acknowledged at {writer.completed_s:.3f} s, and nobody read "
        f"{of.name} after that ({len(unread)} elements)"
    )
    return [_anomaly("unread", of, (writer.id,), why)]


def _anomaly(kind: str, of: _List, operations: tuple[int, ...], reason: str) -> Anomaly:
    return Anomaly(check=NAME, kind=kind, reason=reason, operations=operations, objects=(of.name,))
