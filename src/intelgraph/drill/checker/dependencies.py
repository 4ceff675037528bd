"""A graph of what must come before what, and its shortest cycles. Knows nothing of lists or histories.

Nodes are numbers. An edge has a ``Why``; several edges between two nodes are kept as one set of reasons. Components are
found by Tarjan's algorithm, without recursion; what lies on no cycle costs nothing beyond that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from enum import IntFlag


class Why(IntFlag):
    """Why one comes before another."""

    WW = 1
    """It wrote the version before."""
    WR = 2
    """It wrote what the other saw."""
    RW = 4
    """It saw the version before the one that the other wrote."""
    TIME = 8
    """It had ended when the other began."""


Edge = tuple[int, int, Why]
"""From, to, why."""


class Graph:
    """Nodes 0..``size`` - 1."""

    def __init__(self, size: int) -> None:
        self.after: list[dict[int, int]] = [{} for _ in range(size)]

    def add(self, before: int, after: int, why: Why) -> None:
        """``before`` comes before ``after``; an edge to itself says nothing."""
        if before != after:
            edges = self.after[before]
            edges[after] = edges.get(after, 0) | why

    def only(self, nodes: Iterable[int], whys: Why) -> dict[int, dict[int, int]]:
        """The part of the graph with these nodes and with edges for these reasons."""
        inside = set(nodes)
        return {
            node: {other: why & whys for other, why in self.after[node].items() if other in inside and why & whys}
            for node in inside
        }

    def whole(self) -> dict[int, dict[int, int]]:
        """All of it."""
        return dict(enumerate(self.after))


def components(after: dict[int, dict[int, int]]) -> list[list[int]]:
    """The strongly connected components of two nodes and more."""
    number: dict[int, int] = {}
    lowest: dict[int, int] = {}
    waiting: list[int] = []
    on_stack: set[int] = set()
    found: list[list[int]] = []
    for root in after:
        if root in number:
            continue
        path = [(root, iter(after[root]))]
        number[root] = lowest[root] = len(number)
        waiting.append(root)
        on_stack.add(root)
        while path:
            node, rest = path[-1]
            for other in rest:
                if other not in number:
                    number[other] = lowest[other] = len(number)
                    waiting.append(other)
                    on_stack.add(other)
                    path.append((other, iter(after[other])))
                    break
                if other in on_stack and number[other] < lowest[node]:
                    lowest[node] = number[other]
            else:
                path.pop()
                if path and lowest[node] < lowest[path[-1][0]]:
                    lowest[path[-1][0]] = lowest[node]
                if lowest[node] == number[node]:
                    component = _popped(waiting, on_stack, node)
                    if len(component) > 1:
                        found.append(component)
    return found


def _popped(waiting: list[int], on_stack: set[int], root: int) -> list[int]:
    component = []
    while True:
        node = waiting.pop()
        on_stack.discard(node)
        component.append(node)
        if node == root:
            return component


def shortest_path(after: dict[int, dict[int, int]], start: int, end: int, whys: Why) -> list[int] | None:
    """The nodes of a shortest path from ``start`` to ``end`` along edges for these reasons."""
    came_from = {start: start}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for other, why in after[node].items():
            if not why & whys or other in came_from:
                continue
            came_from[other] = node
            if other == end:
                return _traced(came_from, start, end)
            queue.append(other)
    return None


def _traced(came_from: dict[int, int], start: int, end: int) -> list[int]:
    path = [end]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]


def shortest_cycle(after: dict[int, dict[int, int]], component: Sequence[int], starts_max: int) -> list[int]:
    """A short cycle in a component: the shortest through any of its first ``starts_max`` nodes."""
    best: list[int] = []
    every = Why.WW | Why.WR | Why.RW | Why.TIME
    for start in list(component)[:starts_max]:
        for other in after[start]:
            path = [other] if other == start else shortest_path(after, other, start, every)
            if path is not None and (not best or len(path) < len(best)):
                best = path
    return best
