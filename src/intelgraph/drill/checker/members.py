"""Set: every acknowledged insert is there in the end, in every region of its placement. The check of lost writes.

What it proves: of the inserts that were acknowledged, each is seen by the last whole read of each region that must hold
it; nothing is there that nobody asked for or that was certainly refused. A region that was not read, or was read before
the last acknowledgement, is itself an anomaly: what was not looked at is not known to be there.

What it cannot: say anything of writes other than inserts (an overwritten value leaves no trace here), of what was
missing for a while and came back, or of a region that is merely slow: read it after the logs are equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from intelgraph.drill.checker.verdict import Anomaly, Verdict, name_of
from intelgraph.drill.history import History, Kind, Operation, Outcome

NAME = "set"


def check(history: History) -> Verdict:
    """Compare the inserts of every tenant with the last read of each region."""
    inserts: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    reads: dict[tuple[str, str], dict[str, Operation]] = defaultdict(dict)
    for operation in history.operations:
        whose = (operation.placement, operation.tenant)
        if operation.kind is Kind.INSERT:
            inserts[whose].append(operation)
        elif operation.kind is Kind.MEMBERS and operation.acknowledged and operation.region is not None:
            before = reads[whose].get(operation.region)
            if before is None or before.completed_s <= operation.completed_s:
                reads[whose][operation.region] = operation
    anomalies: list[Anomaly] = []
    counted = dict.fromkeys(("acknowledged", "unknown", "unknown_there", "lost"), 0)
    for whose, theirs in inserts.items():
        acknowledged = [each for each in theirs if each.acknowledged]
        last = max((each.completed_s for each in acknowledged), default=float("-inf"))
        read = {region: each for region, each in reads[whose].items() if each.invoked_s >= last}
        anomalies += _unread(whose, history.header.regions.get(whose[0], ()), read, acknowledged)
        lost = _lost(acknowledged, read)
        anomalies += lost
        anomalies += [each for region, final in read.items() for each in _uncalled_for(region, final, theirs)]
        _count(counted, theirs, read)
        counted["lost"] += len(lost)
    return Verdict(check=NAME, anomalies=tuple(anomalies), counted=counted)


def _unread(
    whose: tuple[str, str], regions: tuple[str, ...], read: Mapping[str, Operation], acknowledged: list[Operation]
) -> list[Anomaly]:
    if not acknowledged:
        return []
    missing = [region for region in regions if region not in read] if regions else ["any region"]
    return [
        Anomaly(
            check=NAME,
            kind="unread",
            reason=f"{whose[1]} was not read in {region} after its last of {len(acknowledged)} acknowledged inserts",
            operations=(),
            objects=(f"{whose[1]} in {region}",),
        )
        for region in missing
        if not (regions == () and read)
    ]


def _lost(acknowledged: list[Operation], read: Mapping[str, Operation]) -> list[Anomaly]:
    holds = {region: frozenset(final.members) for region, final in read.items()}
    found = []
    for operation in acknowledged:
        for step in operation.steps:
            missing = [region for region, members in holds.items() if step.object not in members]
            if missing:
                found.append(
                    Anomaly(
                        check=NAME,
                        kind="lost_write",
                        reason=f"{name_of(operation)} was acknowledged ({operation.durability or 'home'}) at "
                        f"{operation.completed_s:.3f} s and {step.object} is not in {' and '.join(missing)} in the end",
                        operations=(operation.id, *(read[region].id for region in missing)),
                        objects=(step.object,),
                        facts={"regions": missing, "durability": operation.durability, "key": operation.key},
                    )
                )
    return found


def _uncalled_for(region: str, final: Operation, inserts: list[Operation]) -> list[Anomaly]:
    asked = {step.object: operation for operation in inserts for step in operation.steps}
    found = []
    for member in final.members:
        operation = asked.get(member)
        if operation is None:
            reason, involved = f"{member} is in {region} and nobody asked for it", (final.id,)
            kind = "phantom"
        elif operation.outcome is Outcome.FAIL:
            reason = f"{name_of(operation)} was refused ({operation.code}) and {member} is in {region}"
            involved, kind = (operation.id, final.id), "refused_and_there"  # type: ignore[assignment]
        else:
            continue
        found.append(Anomaly(check=NAME, kind=kind, reason=reason, operations=involved, objects=(member,)))
    return found


def _count(counted: dict[str, int], inserts: list[Operation], read: Mapping[str, Operation]) -> None:
    there = frozenset[str]().union(*(final.members for final in read.values()))
    unknown = [each for each in inserts if each.outcome is Outcome.UNKNOWN]
    counted["acknowledged"] += sum(each.acknowledged for each in inserts)
    counted["unknown"] += len(unknown)
    counted["unknown_there"] += sum(all(step.object in there for step in each.steps) for each in unknown)
