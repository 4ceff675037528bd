"""Do transactions over versioned objects have an order? Builds their dependencies and names the cycles.

Given for each object the writers of its versions in order and how much of them each transaction saw; knows nothing of
how those were found out. Time is part of the graph without an edge for each pair: a chain of instants, one for each
end, that leads from what has ended to what begins later.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from intelgraph.drill.checker.dependencies import Graph, Why, components, shortest_cycle, shortest_path
from intelgraph.drill.checker.verdict import Anomaly, name_of
from intelgraph.drill.history import Operation

_DATA = Why.WW | Why.WR | Why.RW
_LEVELS = (
    ("G0", Why.WW),
    ("G0-realtime", Why.WW | Why.TIME),
    ("G1c-realtime", Why.WW | Why.WR | Why.TIME),
    ("G", _DATA),
    ("G-realtime", _DATA | Why.TIME),
)
"""In the order of how bad they are; the last two are told apart by how many rw edges they need."""
_STARTS_MAX = 50
_EDGES_MAX = 200
_NAMES = {Why.WW: "ww", Why.WR: "wr", Why.RW: "rw", Why.TIME: "time"}


@dataclass(frozen=True, kw_only=True)
class Versions:
    """One object: ``writers[i]`` made version ``i + 1``; ``seen`` says up to which version who saw (0: none)."""

    name: str
    writers: Sequence[Operation | None]
    seen: Sequence[tuple[Operation, int]]


def cycles(operations: Sequence[Operation], objects: Sequence[Versions], check: str) -> list[Anomaly]:
    """One anomaly for each set of transactions that have no order."""
    nodes = _nodes(operations, objects)
    number = {operation.id: place for place, operation in enumerate(nodes)}
    ends = sorted({operation.completed_s for operation in nodes if operation.acknowledged})
    graph = Graph(len(nodes) + len(ends))
    for versions in objects:
        _data_edges(graph, versions, number)
    _time_edges(graph, nodes, ends)
    tangled = [node for component in components(graph.whole()) for node in component]
    found: list[Anomaly] = []
    for kind, whys in _LEVELS if tangled else ():
        part = graph.only(tangled, whys)
        for component in components(part):
            inside = {node: {o: w for o, w in part[node].items() if o in set(component)} for node in component}
            name, cycle = _named(kind, inside, component)
            found.append(_anomaly(check, name, [(node, inside) for node in cycle], nodes, objects))
            tangled = [node for node in tangled if node not in set(component)]
    return found


def _nodes(operations: Sequence[Operation], objects: Sequence[Versions]) -> list[Operation]:
    """What is known to have happened: acknowledged, or an element of it was seen."""
    happened = {writer.id for versions in objects for writer in versions.writers if writer is not None}
    return [each for each in operations if each.acknowledged or each.id in happened]


def _data_edges(graph: Graph, versions: Versions, number: dict[int, int]) -> None:
    writers = [None if writer is None else number[writer.id] for writer in versions.writers]
    wrote = {writer.id for writer in versions.writers if writer is not None}
    for before, after in itertools.pairwise(writers):
        if before is not None and after is not None:
            graph.add(before, after, Why.WW)
    for reader, length in versions.seen:
        if reader.id in wrote:
            continue  # What it saw of an object that it wrote is the version before its own: ww says it already.
        node = number[reader.id]
        made = writers[length - 1] if length else None
        if made is not None:
            graph.add(made, node, Why.WR)
        overwrote = writers[length] if length < len(writers) else None
        if overwrote is not None:
            graph.add(node, overwrote, Why.RW)


def _time_edges(graph: Graph, nodes: Sequence[Operation], ends: Sequence[float]) -> None:
    first = len(nodes)
    for place in range(1, len(ends)):
        graph.add(first + place - 1, first + place, Why.TIME)
    for node, operation in enumerate(nodes):
        if operation.acknowledged:
            graph.add(node, first + bisect_left(ends, operation.completed_s), Why.TIME)
        before = bisect_left(ends, operation.since_s)
        if before:
            graph.add(first + before - 1, node, Why.TIME)


def _named(kind: str, part: dict[int, dict[int, int]], component: Sequence[int]) -> tuple[str, list[int]]:
    """The kind with its number of rw edges, and a short cycle of that kind."""
    if not kind.startswith("G-") and kind != "G":
        return kind, shortest_cycle(part, component, _STARTS_MAX)
    realtime = kind.removeprefix("G")
    edges = [(node, other) for node in component for other, why in part[node].items() if why == Why.RW]
    for node, other in edges[:_EDGES_MAX]:
        rest = shortest_path(part, other, node, Why.WW | Why.WR | Why.TIME)
        if rest is not None:
            return f"G-single{realtime}", rest
    return f"G2{realtime}", shortest_cycle(part, component, _STARTS_MAX)


def _anomaly(
    check: str,
    kind: str,
    cycle: list[tuple[int, dict[int, dict[int, int]]]],
    nodes: Sequence[Operation],
    objects: Sequence[Versions],
) -> Anomaly:
    names, words = [], []
    for place, (node, part) in enumerate(cycle):
        after = cycle[(place + 1) % len(cycle)][0]
        if node < len(nodes):
            words.append(f"{name_of(nodes[node])} —{_why(part[node][after])}→")
            names.append(node)
    involved = [nodes[node] for node in names]
    touched = [step.object for operation in involved for step in operation.steps]
    return Anomaly(
        check=check,
        kind=kind,
        reason=f"these have no order: {' '.join(words)} {name_of(involved[0])}",
        operations=tuple(operation.id for operation in involved),
        objects=tuple(dict.fromkeys(touched)),
        facts={"transactions": len(involved), "lists": len(objects)},
    )


def _why(whys: int) -> str:
    return next(name for why, name in _NAMES.items() if whys & why)
