"""Bank: transfers move, they neither make nor lose; every read of all accounts adds up to what was deposited.

What it proves: each whole read saw every account (``missing_account``) and the total (``wrong_total``), that is one
snapshot and transfers whole, whatever became of the unknown ones; each balance it saw is one that a deposit or a
transfer made at that revision (``unexplained_balance``), and none that was refused (``aborted_read``); and no two
acknowledged transfers made the same revision of an account (``lost_update``: the second built on what the first had
replaced). Transfers and reads have one order, as ``list-append`` judges it for lists: so a read that saw halves of two
transfers is found even if its total is right (``G-single``), and so is one that lacks what had ended before it began,
even if as old as it says (``-realtime``).

What it cannot: order transfers of an account without revisions, unless no two of them overlap and all balances differ.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from intelgraph.drill.checker.serial_order import Versions, cycles
from intelgraph.drill.checker.verdict import Anomaly, Verdict, name_of
from intelgraph.drill.history import History, Kind, Operation, Outcome, Step, may_be_revision

NAME = "bank"


@dataclass(kw_only=True)
class _Bank:
    """One tenant's accounts: what was deposited, and who made which revision of which account."""

    deposited: dict[str, int] = field(default_factory=dict)
    made: dict[tuple[str, int], list[tuple[Operation, int | None]]] = field(default_factory=lambda: defaultdict(list))
    unnumbered: dict[str, list[tuple[Operation, int | None]]] = field(default_factory=lambda: defaultdict(list))
    """By account, acknowledged writes that do not tell which revision they made."""
    unsure: dict[str, list[tuple[Operation, int | None, int | None]]] = field(default_factory=lambda: defaultdict(list))
    """By account, writes without an answer, their balance and the revision that they make unless in another epoch."""


def check(history: History) -> Verdict:
    """Judge the bank of every tenant that has one."""
    by_tenant: dict[str, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        if operation.kind in (Kind.DEPOSIT, Kind.TRANSFER, Kind.ACCOUNTS):
            by_tenant[operation.tenant].append(operation)
    anomalies: list[Anomaly] = []
    counted = dict.fromkeys(("transfers", "reads", "accounts"), 0)
    for operations in by_tenant.values():
        bank = _bank(operations)
        reads = [each for each in operations if each.kind is Kind.ACCOUNTS and each.acknowledged]
        forks = list(_forks(bank))
        anomalies += forks
        if bank.deposited:
            judged = [(read, list(_judge(bank, read))) for read in reads]
            anomalies += [found for _, theirs in judged for found in theirs]
            # A read that is wrong by itself has no place in an order, nor have accounts that went two ways.
            right = [read for read, theirs in judged if not theirs]
            orders = [] if forks else _orders(bank, right)
            anomalies += cycles([each for each in operations if each.is_write] + right, orders, NAME)
        counted["transfers"] += sum(each.kind is Kind.TRANSFER for each in operations)
        counted["reads"] += len(reads)
        counted["accounts"] += len(bank.deposited)
    return Verdict(check=NAME, anomalies=tuple(anomalies), counted=counted)


def _bank(operations: Iterable[Operation]) -> _Bank:
    bank = _Bank()
    for operation in operations:
        if not operation.is_write:
            continue
        if operation.kind is Kind.DEPOSIT and operation.acknowledged:
            bank.deposited |= {step.object: step.value or 0 for step in operation.steps}
        for step in operation.steps:
            if step.revision is not None:
                bank.made[step.object, step.revision].append((operation, step.value))
            elif operation.acknowledged:
                bank.unnumbered[step.object].append((operation, step.value))
            if operation.outcome is Outcome.UNKNOWN:
                bank.unsure[step.object].append((operation, step.value, step.revision))
    return bank


def _forks(bank: _Bank) -> Iterator[Anomaly]:
    for (account, revision), made in bank.made.items():
        acknowledged = [operation for operation, _ in made if operation.acknowledged]
        if len(acknowledged) > 1:
            first, second = acknowledged[:2]
            yield Anomaly(
                check=NAME,
                kind="lost_update",
                reason=f"{name_of(first)} and {name_of(second)} both made revision {revision} of {account}",
                operations=(first.id, second.id),
                objects=(account,),
                facts={"revision": revision},
            )


def _judge(bank: _Bank, read: Operation) -> Iterator[Anomaly]:
    seen = {step.object: step for step in read.steps if step.value is not None}
    if not seen and read.region is not None and all(step.revision == 0 for step in read.steps):
        # Before the deposit has arrived there is no bank here; whether it had to be there the others judge.
        return
    missing = [account for account in bank.deposited if account not in seen]
    if missing:
        yield _anomaly("missing_account", read, (), f"did not see {missing[0]} ({len(missing)} are missing)", missing)
        return
    total, expected = sum(step.value or 0 for step in seen.values()), sum(bank.deposited.values())
    if total != expected:
        yield _anomaly("wrong_total", read, (), f"saw a total of {total}; {expected} was deposited", [])
    for step in seen.values():
        found = _unaccounted(bank, read, step)
        if found is not None:
            yield found


def _unaccounted(bank: _Bank, read: Operation, step: Step) -> Anomaly | None:
    if step.revision is None:
        return None
    made = [each for each in bank.made[step.object, step.revision] if each[1] == step.value]
    made += [
        (operation, value)
        for operation, value, revision in bank.unsure[step.object]
        if value == step.value and may_be_revision(revision, step.revision)
    ]
    if any(operation.outcome is not Outcome.FAIL for operation, _ in made):
        return None
    saw = f"saw {step.value} at revision {step.revision} of {step.object}"
    if made:
        refused = made[0][0]
        return _anomaly(
            "aborted_read", read, (refused.id,), f"{saw}, but {name_of(refused)} was refused", [step.object]
        )
    return _anomaly("unexplained_balance", read, (), f"{saw}, which no transfer made", [step.object])


def _orders(bank: _Bank, reads: Iterable[Operation]) -> list[Versions]:
    """The versions of each account in their order, and which of them each read saw."""
    by_account: dict[str, list[tuple[Operation, Step]]] = defaultdict(list)
    for read in reads:
        for step in read.steps:
            by_account[step.object].append((read, step))
    found = []
    for account, seen in by_account.items():
        made = _versions(bank, account, [step for _, step in seen])
        places = _places(made)
        of_reads = [(read, places[step.revision, step.value]) for read, step in seen if _names_one(step, places)]
        found.append(Versions(name=account, writers=[version.writer for version in made], seen=of_reads))
    return found


@dataclass(frozen=True, kw_only=True)
class _Version:
    """One version of an account. ``writer``: who certainly made it, if that is known."""

    revision: int | None
    value: int | None
    writer: Operation | None


def _versions(bank: _Bank, account: str, seen: Iterable[Step]) -> list[_Version]:
    """Every version that is known to have been, in order; nothing if their order is not known."""
    made = {
        revision: [(operation, value) for operation, value in theirs if operation.acknowledged]
        for (name, revision), theirs in bank.made.items()
        if name == account
    }
    if not any(made.values()):
        return _by_time(bank, account)
    versions: dict[int, _Version] = {}
    for revision, theirs in made.items():
        for writer, value in theirs:
            versions[revision] = _Version(revision=revision, value=value, writer=writer)
    for step in seen:
        if step.revision and step.revision not in versions:
            unsure = {
                operation.id: operation
                for operation, value, revision in bank.unsure[account]
                if value == step.value and may_be_revision(revision, step.revision)
            }
            only = next(iter(unsure.values())) if len(unsure) == 1 else None
            versions[step.revision] = _Version(revision=step.revision, value=step.value, writer=only)
    counted = Counter(each.writer.id for each in versions.values() if each.writer is not None)
    return [
        replace(each, writer=None) if each.writer is not None and counted[each.writer.id] > 1 else each
        for _, each in sorted(versions.items())
    ]


def _by_time(bank: _Bank, account: str) -> list[_Version]:
    """The versions of an account whose writers tell no revisions: in the order of time, if there is one."""
    if bank.unsure[account]:
        return []
    theirs = sorted(bank.unnumbered[account], key=lambda each: each[0].invoked_s)
    overlap = any(one.completed_s >= other.invoked_s for (one, _), (other, _) in itertools.pairwise(theirs))
    if overlap or len({value for _, value in theirs}) < len(theirs):
        return []
    return [_Version(revision=None, value=value, writer=operation) for operation, value in theirs]


def _places(versions: list[_Version]) -> dict[tuple[int | None, int | None], int]:
    """By revision and balance, which version it is; 0 is before the first."""
    places: dict[tuple[int | None, int | None], int] = {
        (version.revision, version.value): place for place, version in enumerate(versions, start=1)
    }
    if versions:
        places |= {(0, None): 0, (None, None): 0}
    return places


def _names_one(step: Step, places: dict[tuple[int | None, int | None], int]) -> bool:
    return (step.revision, step.value) in places


def _anomaly(kind: str, read: Operation, others: tuple[int, ...], what: str, objects: list[str]) -> Anomaly:
    return Anomaly(
        check=NAME,
        kind=kind,
        reason=f"{name_of(read)} in {read.region or read.door} {what}",
        operations=(*others, read.id),
        objects=tuple(objects),
    )
