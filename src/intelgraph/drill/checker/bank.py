"""Bank: transfers move, they neither make nor lose; every read of all accounts adds up to what was deposited.

What it proves: each whole read saw every account (``missing_account``) and the total (``wrong_total``), that is one
snapshot and transfers whole, whatever became of the unknown ones; each balance it saw is one that a deposit or a
transfer made at that revision (``unexplained_balance``), and none that was refused (``aborted_read``); and no two
acknowledged transfers made the same revision of an account (``lost_update``: the second built on what the first had
replaced).

What it cannot: see that a whole transfer is missing, since the total is right without it (a later transfer that makes
the same revision again gives it away); say how old a snapshot is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from intelgraph.drill.checker.verdict import Anomaly, Verdict, name_of
from intelgraph.drill.history import History, Kind, Operation, Outcome, Step, may_be_revision

NAME = "bank"


@dataclass(kw_only=True)
class _Bank:
    """One tenant's accounts: what was deposited, and who made which revision of which account."""

    deposited: dict[str, int] = field(default_factory=dict)
    made: dict[tuple[str, int], list[tuple[Operation, int | None]]] = field(default_factory=lambda: defaultdict(list))
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
        anomalies += _forks(bank)
        if bank.deposited:
            anomalies += [found for read in reads for found in _judge(bank, read)]
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


def _anomaly(kind: str, read: Operation, others: tuple[int, ...], what: str, objects: list[str]) -> Anomaly:
    return Anomaly(
        check=NAME,
        kind=kind,
        reason=f"{name_of(read)} in {read.region or read.door} {what}",
        operations=(*others, read.id),
        objects=tuple(objects),
    )
