"""Pages: reading a set page by page, while others write, shows each element once, in order, and leaves none out.

What it proves, of each such read: no element is there twice (``doubled``), none comes before a smaller one
(``out_of_order``), every insert that had been acknowledged when the read began, or whose bookmark it carried, is there
(``left_out``), and none that nobody asked for (``phantom``), that was refused (``refused_and_there``) or that was asked
for when the read had ended (``read_of_the_future``). A read counts as if it had begun as much earlier as the oldest of
its pages says that it may be.

What it cannot: say anything of elements that were inserted during the read: they may be on a page that had passed.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping

from intelgraph.drill.checker.verdict import Anomaly, Verdict, name_of
from intelgraph.drill.history import History, Kind, Operation, Outcome

NAME = "pages"


def check(history: History) -> Verdict:
    """Judge every read in pages against the inserts of its tenant."""
    inserts: dict[str, dict[str, Operation]] = defaultdict(dict)
    reads = [each for each in history.operations if each.kind is Kind.PAGES and each.acknowledged]
    for operation in history.operations:
        if operation.kind is Kind.INSERT:
            inserts[operation.tenant] |= {step.object: operation for step in operation.steps}
    anomalies = [found for read in reads for found in _judge(read, inserts[read.tenant])]
    counted = {"reads": len(reads), "elements": sum(len(each.members) for each in reads)}
    return Verdict(check=NAME, anomalies=tuple(anomalies), counted=counted)


def _judge(read: Operation, inserts: Mapping[str, Operation]) -> Iterator[Anomaly]:
    seen: set[str] = set()
    for member in read.members:
        if member in seen:
            yield _anomaly("doubled", read, None, f"saw {member} twice", member)
        seen.add(member)
    for before, after in itertools.pairwise(read.members):
        if after < before:
            yield _anomaly("out_of_order", read, None, f"saw {after} behind {before}", after)
            break
    for member in seen:
        insert = inserts.get(member)
        if insert is None:
            yield _anomaly("phantom", read, None, f"saw {member}, which nobody asked for", member)
        elif insert.outcome is Outcome.FAIL:
            why = f"saw {member}, but {name_of(insert)} was refused ({insert.code})"
            yield _anomaly("refused_and_there", read, insert, why, member)
        elif insert.invoked_s > read.completed_s:
            yield _anomaly("read_of_the_future", read, insert, f"saw {member} before {name_of(insert)} began", member)
    for member, insert in inserts.items():
        if member not in seen and _before(insert, read):
            why = f"left out {member} of {name_of(insert)}, acknowledged at {insert.completed_s:.3f} s"
            yield _anomaly("left_out", read, insert, why, member)


def _before(insert: Operation, read: Operation) -> bool:
    """Whether the read had to show it. Without a bookmark nobody can say since when the insert counts."""
    if not insert.acknowledged or insert.bookmark is None:
        return False
    return insert.completed_s < read.since_s or insert.bookmark == read.carried


def _anomaly(kind: str, read: Operation, insert: Operation | None, what: str, member: str) -> Anomaly:
    return Anomaly(
        check=NAME,
        kind=kind,
        reason=f"{name_of(read)} in {read.region or read.door} {what}",
        operations=(read.id,) if insert is None else (insert.id, read.id),
        objects=(member,),
    )
