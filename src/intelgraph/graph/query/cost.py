"""How much an operation may ask the database for, computed from its fields and arguments before anything is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

from intelgraph.graph.query.limits import QueryLimits
from intelgraph.graph.query.selection import Args, Selected, Selection
from intelgraph.model.errors import Denied

_OBJECTS = frozenset({"Entity", "Relationship", "ChangedObject"})
_REACHED, _ON_PATH = 5, 20
"""Cost of each object that a search may find."""
_COUNTING = {"stats": 1_000, "asOf": 1_000, "__schema": 20_000, "__type": 500}
"""The schema is told by the worker itself, which does nothing else meanwhile: 100 times all of it took 300 ms."""
_TOTAL = 100
_SIZES = ("first", "nodes", "hops")
"""The arguments that an estimate looks at."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """``nodes``: entities and relationships that the answer holds at most. ``cost``: what finding them may take."""

    nodes: int
    cost: int
    weight: int = 1
    """How many times as large as the largest object the answer may be: a field may be asked for more than once."""


def sizes(arguments: list[Args]) -> Hashable:
    """Return all that the estimate of a selection depends on."""
    return tuple(tuple(args.get(name) for name in _SIZES) for args in arguments)


def estimate(selection: Selection, arguments: list[Args]) -> Estimate:
    """Estimate an operation from above."""
    nodes = cost = weight = 0
    stack: list[tuple[Selected, int]] = [(root, 1) for root in selection.roots]
    while stack:
        field, factor = stack.pop()
        args = arguments[field.number] if field.number >= 0 else {}
        at_root = field.parent in ("Query", "Past")
        if (field.parent, field.name) == ("Entity", "edges"):
            factor *= max(0, args["first"]) + 1
            cost += factor  # an edge may be asked for without either of its objects
        elif at_root and field.name in ("entities", "history"):
            factor *= max(0, args["first"]) + 1
        elif at_root and field.name == "neighborhood":
            factor *= max(0, args["nodes"])
            cost += factor * _REACHED
        elif at_root and field.name == "shortestPaths":
            factor *= max(0, args["first"]) * (max(0, args["hops"]) + 1)
            cost += factor * _ON_PATH
        elif at_root:
            cost += _COUNTING.get(field.name, 0)
        elif (field.parent, field.name) == ("EntityPage", "total"):
            cost += factor * _TOTAL
        if field.definition is not None and field.fields:
            if field.type_name in _OBJECTS or field.name == "node":
                nodes += factor
                cost += factor
                weight += factor * _copies(field)
            for below in field.fields.values():
                stack.extend((inner, factor) for inner in below)
    return Estimate(nodes=nodes, cost=cost, weight=max(1, weight))


def _copies(field: Selected) -> int:
    """Return how often one member of an object is asked for at most, under different names."""
    return max(max(Counter(inner.name for inner in below).values(), default=1) for below in field.fields.values())


def over_budget(found: Estimate, limits: QueryLimits) -> Denied | None:
    """Return why an operation is refused, or nothing."""
    for what, size, limit in (
        ("objects", found.nodes, limits.nodes_max),
        ("units of cost", found.cost, limits.cost_max),
    ):
        if size > limit:
            return Denied(
                code="query_too_expensive",
                reason=f"the operation is refused: it may ask for {size} {what}; the limit is {limit}",
                facts={"what": what, "found": min(size, 2**53), "limit": limit},
            )
    return None
