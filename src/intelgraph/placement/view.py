"""What one agent knows when it decides about a placement. Frozen values, filled by observation or by the simulator.

Anything that is not known is absent, and absent never means yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from intelgraph.model.placement import Placement
from intelgraph.placement.lease import Watched
from intelgraph.placement.plan import Plan
from intelgraph.placement.write_path import WritePath


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A region as another vantage point reports it. A report that is old is no sighting: it is left out."""

    lease_version: int
    still_s: float
    reached: bool
    """Whether the vantage point got an answer from the region itself when it last asked."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What a region holds of one placement."""

    schema: str
    """Digest of its log's schema."""
    epoch: int
    """The highest epoch in force there; 0: never heard of the placement."""
    hold: str | None
    gap: str | None
    whole: bool = False
    """Whether everything that the cuts of the epochs in force cover is held here."""
    closed: bool = False
    """Whether writing has been closed here in that epoch."""
    settled: Mapping[str, int] = field(default_factory=dict)
    """Per stream (``origin/life``), up to which position nothing is missing."""
    behind_s: float | None = None
    """How old its knowledge of the home's stream was when the home's lease was last renewed; ``None``: not known."""
    waits_for: str | None = None
    """Which transaction of its database its log waits for, in a sentence; and for how long that has been open."""
    waits_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class View:
    """One placement as the agent of ``here`` sees it."""

    here: str
    placement: Placement
    leases: Mapping[str, Watched]
    """Of every region that ever had one, as watched from here."""
    sightings: Mapping[str, Mapping[str, Sighting]] = field(default_factory=dict)
    """By vantage point (other regions and ``witness``), then by region."""
    copies: Mapping[str, Copy] = field(default_factory=dict)
    drained: frozenset[str] = frozenset()
    plan: Plan | None = None
    """The plan that is being carried out, or the last one."""
    plan_still_s: float = 0.0
    """For how long, counted in looks as a lease is, that plan has stood at the same action."""
    schemas: Mapping[str, str] = field(default_factory=dict)
    """Digest of each region's log schema, as its lease tells."""
    stalled_s: float | None = None
    """At the home: for how long, counted in looks, the standby has confirmed nothing of what it was sent. ``None``: not
    the home, or unknown. In looks, so that a home that was paused does not take its own pause for the standby's."""
    unconfirmed_s: Mapping[str, float] | None = None
    """At the home: for how long each region has not confirmed what it was sent. ``None``: not measured here."""
    steady_s: Mapping[str, float] = field(default_factory=dict)
    """For how long each region has been leased and ``fitness.caught_up`` without a break, counted in looks."""
    writes: Mapping[str, WritePath] = field(default_factory=dict)
    """Of each region whose agent has reported lately: whether writes get through there, as it probed itself."""
    moved_s_ago: float | None = None
    """How long ago the placement last changed its home by itself; ``None``: never, as far as is known."""
