"""How much an operation may ask the database for, computed from its fields and arguments before anything is run."""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.graph.query.limits import QueryLimits
from intelgraph.graph.query.selection import Args, Selected, Selection
from intelgraph.model.errors import Denied

_OBJECTS = frozenset({"Entity", "Relationship"})
_REACHED, _ON_PATH = 5, 20
"""Cost of each object that a search may find."""
_COUNTING = {
    ("Query", "stats"): 1_000,
    ("EntityPage", "total"): 100,
    ("Query", "__schema"): 20_000,
    ("Query", "__type"): 500,
}
"""The schema is told by the worker itself, which does nothing else meanwhile: 100 times all of it took 300 ms."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """``nodes``: entities and relationships that the answer holds at most. ``cost``: what finding them may take."""

    nodes: int
    cost: int


def estimate(selection: Selection, arguments: list[Args]) -> Estimate:
    """Estimate an operation from above."""
    nodes = cost = 0
    stack: list[tuple[Selected, int]] = [(root, 1) for root in selection.roots]
    while stack:
        field, factor = stack.pop()
        args = arguments[field.number] if field.number >= 0 else {}
        place = (field.parent, field.name)
        if place in (("Entity", "edges"), ("Query", "entities")):
            factor *= max(0, args["first"]) + 1
        elif place == ("Query", "neighborhood"):
            factor *= max(0, args["nodes"])
            cost += factor * _REACHED
        elif place == ("Query", "shortestPaths"):
            factor *= max(0, args["first"]) * (max(0, args["hops"]) + 1)
            cost += factor * _ON_PATH
        else:
            cost += factor * _COUNTING.get(place, 0)
        if field.definition is not None and field.fields:
            if field.type_name in _OBJECTS or field.name == "node":
                nodes += factor
                cost += factor
            for below in field.fields.values():
                stack.extend((inner, factor) for inner in below)
    return Estimate(nodes=nodes, cost=cost)


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
