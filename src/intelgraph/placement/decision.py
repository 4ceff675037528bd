"""What deciding comes to: begin a plan, or stand, with the reason where somebody might expect a plan."""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.model.errors import Denied, Fact
from intelgraph.model.placement import Placement
from intelgraph.placement.plan import Kind, Plan


@dataclass(frozen=True, kw_only=True)
class Start:
    """Record this plan, by compare-and-set on ``plans/P`` as it was viewed."""

    plan: Plan


@dataclass(frozen=True, kw_only=True)
class Stand:
    """Nothing is begun. ``denied`` says why when something would have to be done; without it all is well."""

    denied: Denied | None = None


Decision = Start | Stand


def cannot(what: str, fact: str, limit: str, *, code: str, **facts: Fact) -> Stand:
    """Stand with one sentence: refusal, fact, limit."""
    return Stand(denied=Denied(code=code, reason=f"cannot {what}: {fact}; {limit}", facts=facts))


def plan_id(before: Placement, kind: Kind, last: Plan | None) -> str:
    """Name a plan by placement, epoch and kind; further tries in one epoch are numbered."""
    name = f"{before.id}/{before.epoch + 1}/{kind.value}"
    if last is None or last.id.partition("#")[0] != name:
        return name
    return f"{name}#{int(last.id.partition('#')[2] or 1) + 1}"
