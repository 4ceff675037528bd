"""The policy of moving placements: every threshold, its unit and its reason. Read from the environment elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from intelgraph.placement.lease import LeasePolicy
from intelgraph.placement.write_path import WritePathPolicy


@dataclass(frozen=True, kw_only=True)
class PlanBounds:
    """For how long the actions of a placement's plan may wait (``plan.Bound.field`` names one of these)."""

    catch_up_s_max: float = 10.0
    """For how long a switchover may wait for its target: writes are held meanwhile, and clients wait 15 s."""
    gather_s_max: float = 2.0
    """For how long a new home asks the survivors for rows before it opens without them: it counts in the RTO."""
    unopened_s_max: float = 10.0
    """How long a region may stay before its ``open`` while it is alive; then whoever wrote last takes it back."""

    def __post_init__(self) -> None:
        if min(self.catch_up_s_max, self.gather_s_max, self.unopened_s_max) <= 0:
            raise ValueError("every wait must last some time")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How the decisions of this package are made; the same in every region."""

    lease: LeasePolicy = field(default_factory=LeasePolicy)
    write_path: WritePathPolicy = field(default_factory=WritePathPolicy)
    bounds: PlanBounds = field(default_factory=PlanBounds)
    look_s: float = 0.25
    """Between two looks of a region's controller at the store and its database, while nothing tells it of news."""
    look_under_way_s: float = 0.03
    """While a plan waits for something to arrive: a switchover holds writes meanwhile."""
    vantage_points: int = 2
    """How many must have seen the home's lease stand still: one clock that runs wild moves nothing."""
    moves_apart_s: float = 30.0
    """Between two moves of a placement that nobody asked for: a flapping link does not flap homes."""
    transaction_s_max: float = 5.0
    """How old a transaction may be that the log waits for, for a planned move to begin: it would wait as well."""
    caught_up_s_max: float = 2.0
    """How old a region's knowledge of the home's stream may be for it to be named standby."""
    steady_s: float = 5.0
    """For how long a region must have been caught up before it is named standby again."""
    standby_lost_s: float = 5.0
    """For how long a leased standby may confirm nothing before it counts as lost: as long as a lease."""
    writes_lost_s: float = 5.0
    """For how long no probe of a home's writes got through before it hands its placements over: as long as a lease."""
    writes_given_up_s: float = 8.0
    """For how long before it gives its lease up, where handing over came to nothing: that takes a second at most."""

    def __post_init__(self) -> None:
        if self.vantage_points < 1:
            raise ValueError("at least one vantage point must have seen a lease end")
        if not 0 < self.writes_lost_s < self.writes_given_up_s:
            raise ValueError("a placement is handed over before the lease is given up")
        if min(self.steady_s, self.standby_lost_s) <= 0:
            raise ValueError("every wait must last some time")


@dataclass(frozen=True, kw_only=True)
class GovernorPolicy:
    """When writes are delayed and refused as the standby falls behind."""

    throttle_from: float = 0.5
    """Share of the RPO bound from which writes are delayed."""
    refuse_from: float = 0.9
    """Share from which they are refused: the rest is for writes that are under way."""
    delay_s_max: float = 1.0
    """The delay just before refusing: a client that waits 15 s still gets through."""
    unknown_s_max: float = 2.0
    """A measurement that is older tells nothing."""

    def __post_init__(self) -> None:
        if not 0 < self.throttle_from < self.refuse_from < 1:
            raise ValueError("writes are delayed before they are refused, and refused before the bound")
