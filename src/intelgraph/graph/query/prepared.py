"""A request that may be executed: what preparing it has found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql.execution.values import VariableValues

from intelgraph.graph.query.cost import Estimate
from intelgraph.graph.query.document import Document
from intelgraph.graph.query.plan import Plan
from intelgraph.graph.query.selection import Args, Selection


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request that may be executed. ``plan`` is none when no field of it is data."""

    document: Document
    given: Mapping[str, Any]
    variables: VariableValues
    selection: Selection
    arguments: list[Args]
    estimate: Estimate
    plan: Plan | None
    values: list[Any]
    """The plan's values, in its order."""
