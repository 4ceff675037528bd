"""Graph: no edge without both its ends, what was deleted stays away, what was related stays there.

Every node and edge is made once and deleted at most once; who deletes a node deletes its edges. What it proves, of each
read of nodes with their edges in one statement: every edge has both its ends (``dangling``); nothing is there that
nobody asked for (``phantom``), that was refused (``refused_and_there``) or whose deletion was acknowledged before the
read began (``deleted_and_there``); everything is there that was acknowledged before the read began, or whose bookmark
it carried, and that nobody has asked to delete (``lost_node``, ``lost_edge``); and what one request made is there
together (``torn``). When the history has ended, every acknowledged node must have been read after that in every region
(``unread``). A read counts as if it had begun as much earlier as it says that it may be old.

What it cannot: say anything of an edge whose ends nobody reads. A write that the fleet lists as left behind is judged
as one without an answer (``striking``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from intelgraph.drill.checker.verdict import Anomaly, Verdict, name_of
from intelgraph.drill.history import END, History, Kind, Operation, Outcome, Step

NAME = "graph"


@dataclass(kw_only=True)
class _Graph:
    """One tenant's nodes and edges: who made each, who asked to delete it."""

    made: dict[str, tuple[Operation, Step]] = field(default_factory=dict)
    deletions: dict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))

    def deletions_of(self, name: str) -> list[Operation]:
        """Who asked to delete an object: itself, or an end of it."""
        ends = (self.made[name][1].ends or ()) if name in self.made else ()
        return [each for part in (name, *ends) for each in self.deletions.get(part, ())]

    def may_be_gone(self, name: str, read: Operation) -> bool:
        """Whether a deletion of it may have happened before the read ended."""
        return any(each.invoked_s < read.completed_s for each in self.deletions_of(name) if _may_have_happened(each))


def check(history: History) -> Verdict:
    """Judge the graph of every tenant that has one."""
    by_tenant: dict[str, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        if operation.kind in (Kind.RELATE, Kind.DELETE, Kind.GRAPH):
            by_tenant[operation.tenant].append(operation)
    end_s = next((mark.at_s for mark in history.marks if mark.what == END), None)
    anomalies: list[Anomaly] = []
    counted = dict.fromkeys(("nodes", "edges", "deletions", "reads"), 0)
    for operations in by_tenant.values():
        graph = _graph(operations)
        reads = [each for each in operations if each.kind is Kind.GRAPH and each.acknowledged]
        for read in reads:
            anomalies += _judge(graph, read)
        if end_s is not None:
            regions = history.header.regions.get(operations[0].placement, ())
            anomalies += _unread(graph, [each for each in reads if each.invoked_s >= end_s], regions)
        counted["nodes"] += sum(step.ends is None for _, step in graph.made.values())
        counted["edges"] += sum(step.ends is not None for _, step in graph.made.values())
        counted["deletions"] += sum(each.kind is Kind.DELETE for each in operations)
        counted["reads"] += len(reads)
    return Verdict(check=NAME, anomalies=tuple(_once(anomalies)), counted=counted)


def _once(anomalies: Iterable[Anomaly]) -> Iterator[Anomaly]:
    """What many reads see is told once."""
    told: set[tuple[str, tuple[str, ...]]] = set()
    for each in anomalies:
        if (each.kind, each.objects) not in told:
            told.add((each.kind, each.objects))
            yield each


def _graph(operations: Iterable[Operation]) -> _Graph:
    graph = _Graph()
    for operation in operations:
        for step in operation.steps:
            if operation.kind is Kind.RELATE:
                graph.made[step.object] = (operation, step)
            elif operation.kind is Kind.DELETE:
                graph.deletions[step.object].append(operation)
    return graph


def _may_have_happened(operation: Operation) -> bool:
    return operation.outcome is not Outcome.FAIL


def _before(write: Operation, read: Operation) -> bool:
    """Whether the read had to see the write: it had been acknowledged by then, or its bookmark was carried."""
    if not write.acknowledged:
        return False
    return write.completed_s < read.since_s or (write.bookmark is not None and write.bookmark == read.carried)


def _judge(graph: _Graph, read: Operation) -> Iterator[Anomaly]:
    asked = {step.object: step for step in read.steps if step.ends is None}
    there = {name for name, step in asked.items() if step.revision}
    edges = {step.object: step.ends for step in read.steps if step.ends is not None}
    for name, ends in edges.items():
        for end in ends:
            if end in asked and end not in there:
                yield _anomaly("dangling", read, (), f"saw {name} from {ends[0]} to {ends[1]}, and no {end}", name)
    for name in (*there, *edges):
        found = _uncalled_for(graph, read, name)
        if found is not None:
            yield found
    for name, (write, step) in graph.made.items():
        looked_at = name in asked if step.ends is None else bool(asked.keys() & set(step.ends))
        if not looked_at or name in there or name in edges or graph.may_be_gone(name, read):
            continue
        if _before(write, read):
            kind = "lost_edge" if step.ends is not None else "lost_node"
            what = f"did not see {name} of {name_of(write)}, acknowledged at {write.completed_s:.3f} s"
            yield _anomaly(kind, read, (write,), what, name)
        elif any(other.object in there or other.object in edges for other in write.steps):
            yield _anomaly("torn", read, (write,), f"saw {name_of(write)} without its {name}", name)


def _uncalled_for(graph: _Graph, read: Operation, name: str) -> Anomaly | None:
    if name not in graph.made:
        return _anomaly("phantom", read, (), f"saw {name}, which nobody asked for", name)
    write, _ = graph.made[name]
    if write.outcome is Outcome.FAIL:
        return _anomaly(
            "refused_and_there", read, (write,), f"saw {name}, but {name_of(write)} was refused ({write.code})", name
        )
    deletion = next((each for each in graph.deletions_of(name) if _before(each, read)), None)
    if deletion is None:
        return None
    what = f"saw {name}, but {name_of(deletion)} was acknowledged at {deletion.completed_s:.3f} s"
    return _anomaly("deleted_and_there", read, (write, deletion), what, name)


def _unread(graph: _Graph, final: list[Operation], regions: tuple[str, ...]) -> Iterator[Anomaly]:
    for region in regions:
        looked_at = {step.object for read in final if read.region == region for step in read.steps}
        missing = [
            (name, write)
            for name, (write, step) in graph.made.items()
            if step.ends is None and write.acknowledged and name not in looked_at
        ]
        if missing:
            name, write = missing[0]
            yield Anomaly(
                check=NAME,
                kind="unread",
                reason=f"{name} of {name_of(write)} was not read in {region} in the end ({len(missing)} nodes)",
                operations=(write.id,),
                objects=(f"{name} in {region}",),
            )


def _anomaly(kind: str, read: Operation, others: tuple[Operation, ...], what: str, name: str) -> Anomaly:
    return Anomaly(
        check=NAME,
        kind=kind,
        reason=f"{name_of(read)} in {read.region or read.door} {what}",
        operations=(*(each.id for each in others), read.id),
        objects=(name,),
        facts={"staleness_ms": read.staleness_ms},
    )
