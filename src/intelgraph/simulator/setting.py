"""What a schedule begins with: regions, placements, the policy, clocks."""

from __future__ import annotations

from dataclasses import dataclass, field

from intelgraph.model.placement import Placement
from intelgraph.placement.policy import Policy
from intelgraph.settings import LeaseTimes


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A site's monotonic clock: how fast it runs, and where it began."""

    rate: float
    offset_s: float


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a schedule begins with."""

    regions: tuple[str, ...]
    placements: tuple[Placement, ...]
    policy: Policy
    clocks: dict[str, Clock] = field(default_factory=dict)
    look_s: float = LeaseTimes().look_s
    """Between two looks at the leases."""
    suspect_look_s: float = 0.1
    """The same, while one stands still."""
