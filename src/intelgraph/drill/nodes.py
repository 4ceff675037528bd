"""The part of the mix that is a graph: nodes that are related, read with their edges, and deleted. Seeded, no network.

Every node and edge has an id of its own, is made once, with ``if_revision: 0``, and is deleted at most once. Most edges
are made in one request with their source. A share of them goes, on purpose, to a node that is being deleted: such a
request is refused as ``dangling``, or its edge is deleted with the node.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from intelgraph.drill.history import Kind, Step

ALIVE_MAX = 24
"""So many nodes are written and read while clients are at work; more are deleted rather than made."""
_NODES_READ = 6
_EDGES_READ = 50
_DYING_KEPT = 4
_TYPE = "drill"
READ_GRAPH = (
    "query($ids:[ID!]!,$first:Int!){entities(filter:{ids:$ids},first:$first){items{id revision edges(first:"
    f"{_EDGES_READ}" + "){next items{relationship{id sourceId targetId source{id} target{id}}}}}}}"
)
"""Everything is of one statement, so of one moment: an end of an edge that is not there was not there then."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is to be written: the steps, and the operations of the request."""

    kind: Kind
    steps: tuple[Step, ...]
    operations: tuple[Mapping[str, Any], ...]


class Nodes:
    """What one tenant's clients know of their graph."""

    def __init__(self, *, run: str, chance: random.Random, race_share: float) -> None:
        self._run = run
        self._chance = chance
        self._race_share = race_share
        self._made = 0
        self._alive: list[str] = []
        self._edges: dict[str, tuple[str, str]] = {}
        self._dying: list[str] = []
        self.every: list[str] = []
        """All nodes that were ever asked for."""

    def relate(self) -> Change:
        """A new node and its edge to one that there is, or an edge between two that there are."""
        steps: list[Step] = []
        operations: list[Mapping[str, Any]] = []
        if len(self._alive) < 2 or self._chance.random() < 0.75:
            source = self._name("n")
            self.every.append(source)
            steps.append(Step(object=source))
            entity = {"id": source, "type": _TYPE, "name": "node"}
            operations.append({"op": "upsert_entity", "entity": entity, "if_revision": 0})
            targets = self._targets()
        else:
            source = self._chance.choice(self._alive)
            targets = [each for each in self._targets() if each != source]
        if targets:
            target, edge = self._chance.choice(targets), self._name("e")
            steps.append(Step(object=edge, ends=(source, target)))
            wanted = {"id": edge, "type": _TYPE, "source": source, "target": target}
            operations.append({"op": "upsert_relationship", "relationship": wanted, "if_revision": 0})
        return Change(kind=Kind.RELATE, steps=tuple(steps), operations=tuple(operations))

    def delete(self) -> Change | None:
        """Delete a node, or an edge; nothing while there are few."""
        if len(self._alive) < 4:
            return None
        if self._edges and self._chance.random() < 0.4:
            edge = self._chance.choice(list(self._edges))
            del self._edges[edge]
            operation = {"op": "delete_relationship", "id": edge}
            return Change(kind=Kind.DELETE, steps=(Step(object=edge),), operations=(operation,))
        node = self._alive.pop(self._chance.randrange(len(self._alive)))
        self._edges = {edge: ends for edge, ends in self._edges.items() if node not in ends}
        self._dying = [*self._dying, node][-_DYING_KEPT:]
        operation = {"op": "delete_entity", "id": node}
        return Change(kind=Kind.DELETE, steps=(Step(object=node),), operations=(operation,))

    @property
    def is_full(self) -> bool:
        """Whether something should be deleted rather than made."""
        return len(self._alive) >= ALIVE_MAX

    def is_node(self, name: str) -> bool:
        """Whether a name is a node's, and no edge's."""
        return name.startswith(f"{self._run}-n")

    def some(self) -> list[str]:
        """Nodes to read: some that there are, and some that were deleted a moment ago."""
        known = [*self._alive, *self._dying]
        return self._chance.sample(known, min(_NODES_READ, len(known)))

    def learn(self, steps: tuple[Step, ...]) -> None:
        """Take in what was made for certain."""
        for step in steps:
            if step.ends is None:
                self._alive.append(step.object)
            elif all(end in self._alive for end in step.ends):
                self._edges[step.object] = step.ends

    def _targets(self) -> list[str]:
        race = self._dying and self._chance.random() < self._race_share
        return self._dying if race else self._alive

    def _name(self, what: str) -> str:
        self._made += 1
        return f"{self._run}-{what}{self._made:07d}"


def seen(asked: tuple[Step, ...], items: list[Mapping[str, Any]]) -> tuple[Step, ...]:
    """What a read saw: a step for each node that it asked for, one for each edge, and one for each end that is missing.

    A node that has more edges than were asked for was not looked at.
    """
    nodes = {step.object: 0 for step in asked} | {each["id"]: each["revision"] for each in items}
    edges: dict[str, tuple[str, str]] = {}
    for item in items:
        if item["edges"]["next"] is not None:
            del nodes[item["id"]]
            continue
        for each in item["edges"]["items"]:
            found = each["relationship"]
            edges[found["id"]] = (found["sourceId"], found["targetId"])
            nodes |= {found[f"{end}Id"]: 0 for end in ("source", "target") if found[end] is None}
    return (
        *(Step(object=name, revision=revision) for name, revision in nodes.items()),
        *(Step(object=name, ends=ends) for name, ends in edges.items()),
    )
