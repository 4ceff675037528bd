"""Views for the tests of decisions: one ordinary loss of us-east, seen from eu-west, and ways to make it another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from intelgraph.model.placement import Declared, Durability, Placement, StandbyLoss
from intelgraph.placement.lease import Watched
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import Copy, Sighting, View
from intelgraph.placement.write_path import WritePath

US, EU, WEST = "us-east", "eu-west", "us-west"
POLICY = Policy()
OVER_S = POLICY.lease.over_after_s


def placement(**other: Any) -> Placement:
    facts: dict[str, Any] = {"id": "p", "home": US, "standby": EU, "regions": (US, EU), "epoch": 3}
    return Placement(**(facts | {"durability": Durability.REMOTE} | other))


def declared(**other: Any) -> Declared:
    facts: dict[str, Any] = {"home": US, "durability": Durability.REMOTE, "on_standby_loss": StandbyLoss.DEGRADE}
    return Declared(**(facts | other))


def lease(still_s: float = 0.0, version: int = 70) -> Watched:
    return Watched(counter=7, version=version, still_s=still_s, looked_s=100.0)


def copy(**other: Any) -> Copy:
    facts: dict[str, Any] = {"schema": "s1", "epoch": 3, "hold": None, "gap": None, "whole": True, "behind_s": 0.1}
    return Copy(**(facts | {"settled": {f"{US}/1": 41}} | other))


def seen(still_s: float = OVER_S, version: int = 70) -> Sighting:
    return Sighting(lease_version=version, still_s=still_s, reached=False)


def lost(**other: Any) -> View:
    """us-east is down, the witness agrees, eu-west is its standby and holds everything."""
    where = other.get("placement", placement()).regions
    facts: dict[str, Any] = {
        "here": EU,
        "placement": placement(),
        "leases": {name: lease(OVER_S if name == US else 0.3) for name in where},
        "sightings": {"witness": {US: seen()}},
        "copies": {name: copy() for name in where if name != US},
        "schemas": dict.fromkeys(where, "s1"),
        "writes": dict.fromkeys(where, WritePath(steady_s=60.0, is_known=True)),
    }
    return View(**(facts | other))


def healthy(**other: Any) -> View:
    """Everybody is well; seen from us-east, the home."""
    where = other.get("placement", placement()).regions
    facts: dict[str, Any] = {
        "here": US,
        "sightings": {},
        "leases": {name: lease(0.3) for name in where},
        "copies": {name: copy() for name in where},
        "stalled_s": 0.0,
        "steady_s": dict.fromkeys(where, 60.0),
    }
    return lost(**(facts | other))


def with_copy(view: View, region: str, **other: Any) -> View:
    return replace(view, copies={**view.copies, region: copy(**other)})
