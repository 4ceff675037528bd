"""What is promised of plans: against whom nobody acts, to whom nothing is given, and that no epoch is left unopened.

Told of every plan as the control store takes it, with who wrote it. It knows who was truly well, for how long each
agent could look at the store, and since when a lease has been held, which no region can know of another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from intelgraph.model.placement import Placement
from intelgraph.placement.plan import OPEN, Kind, Plan
from intelgraph.placement.policy import Policy
from intelgraph.plans.table import ActionType, AtBound
from intelgraph.simulator.health import Health
from intelgraph.simulator.region import Region
from intelgraph.simulator.violation import DRAINED, LIVENESS, PATIENCE
from intelgraph.simulator.virtual_time import Universe

DRAIN_GRACE_S = 3.5
"""A plan was decided by a read of the store that is so much older than its agent's last one at most."""
WELL_S = 7.0
"""Who was well for so long cannot be taken for lost."""
PARTED_S = 4.0
"""Who was parted for so long has been seen to be."""
PATIENCE_SLACK_S = 1.5
LOOKED_SHARE = 0.75
"""Of a bound: an agent's looks are counted here to within a second or two, and its clock may be fast."""
LATE_S = 2.0
"""A request that took effect so much later was decided on before its process was stopped for a while."""
LEASED_S = 4.0
"""Who has held its lease for so long is seen to hold it, however old what the agent reads is."""


class _Place(NamedTuple):
    """Where a plan stands, and for how long each agent had looked when it came there."""

    at: tuple[str, int, bool]
    looked_s: Mapping[str, float]


class PlanPromises:
    """The observer of one schedule's plans. ``violated`` notes that a promise was broken."""

    def __init__(
        self,
        universe: Universe,
        regions: dict[str, Region],
        policy: Policy,
        violated: Callable[[str, str], None],
    ) -> None:
        self._universe = universe
        self._regions = regions
        self._policy = policy
        self._violated = violated
        self.health = Health(universe, regions)
        self.drains_read_s: dict[str, float] = {}
        """By site: when it last read which regions are drained."""
        self.asked_s: dict[str, float] = {}
        """By site: when it asked for the write that took effect last."""
        self._drained_since_s: dict[str, float] = {}
        """By region that is drained: since when the store says so."""
        self._leased_s: dict[str, tuple[float, float]] = {}
        """By region: since when it has held its lease without a break, and when it renewed last."""
        self._bumped: dict[str, int] = {}
        """By placement: its newest epoch."""
        self._open: dict[str, int] = {}
        """By placement: the newest epoch that the store says is open."""
        self._places: dict[str, _Place] = {}

    def drained(self, region: str, *, is_drained: bool) -> None:
        """The store says that a region is drained, or that it is not any more."""
        since_s = self._drained_since_s.pop(region, self._universe.now)
        if is_drained:
            self._drained_since_s[region] = since_s

    def renewed(self, region: str) -> None:
        """A region's lease was renewed."""
        now_s = self._universe.now
        since_s, last_s = self._leased_s.get(region, (now_s, now_s))
        self._leased_s[region] = (since_s if now_s - last_s <= self._policy.lease.lease_s else now_s, now_s)

    def bumped(self, placement: Placement) -> None:
        """A placement has a new epoch; the first is open from the beginning."""
        self._bumped[placement.id] = placement.epoch
        self._open.setdefault(placement.id, placement.epoch)

    def moved(self, before: Plan | None, plan: Plan, by: str) -> None:
        """A plan is recorded, moved on or given up by a site."""
        name = plan.after.id
        if plan.current is None and plan.abandoned is None:
            self._open[name] = max(self._open[name], plan.after.epoch)
        late_s = self._universe.now - self.asked_s.get(by, self._universe.now)
        if before is None or before.id != plan.id:
            self._decided(plan, by)
            if by in self._regions and plan.abandoned is None and plan.next == 0 and late_s < LATE_S:
                self._patient(before, plan, by)
        elif plan.abandoned is not None and before.abandoned is None:
            self._given_up(before, plan, by)
        if self._open[name] < self._bumped[name] and (plan.abandoned is not None or plan.current is None):
            self._violated(
                LIVENESS, f"epoch {self._bumped[name]} of {name} is not open, and {plan.id}, the last plan, opens none"
            )
        at = (plan.id, plan.next, plan.abandoned is not None)
        if name not in self._places or self._places[name].at != at:
            self._places[name] = _Place(at, self.health.looked())

    # ------------------------------------------------------------------------------------------------- decisions

    def _decided(self, plan: Plan, by: str) -> None:
        """A plan is recorded: it gives nothing to a drained region.

        A plan that is given up gives nobody anything, although it says whom it was for.
        """
        if plan.abandoned is not None or plan.next > 0:
            return
        named = {plan.target} if plan.target != plan.source else set()
        if plan.after.standby is not None and plan.after.standby not in (plan.before.standby, plan.before.home):
            named.add(plan.after.standby)
        for name in named:
            since_s = self._drained_since_s.get(name, self._universe.now)
            if since_s < self.drains_read_s.get(by, 0.0) - DRAIN_GRACE_S:
                self._violated(DRAINED, f"{plan.id} gives {plan.after.id} to {name}, which is drained")

    def _patient(self, before: Plan | None, plan: Plan, by: str) -> None:
        """An agent has a plan recorded: it acts against nobody who is well."""
        if by == plan.source and plan.kind is Kind.RESTAND:
            self._keeps_its_standby(plan)
        if plan.kind is Kind.FAILOVER and not plan.force:
            self._takes_from_nobody_well(before, plan, by)

    def _keeps_its_standby(self, plan: Plan) -> None:
        """A home drops no standby that is well, and names none that it has been parted from a moment ago."""
        home, placement, before, after = plan.source, plan.after.id, plan.before.standby, plan.after.standby
        if before is not None and before != after and before not in self._drained_since_s:
            held = self._regions[before].database.holds[placement]
            if self.health.well_s(before) >= WELL_S and held.gap is None:
                self._violated(
                    PATIENCE, f"{plan.id} drops {before}, which has been well for {self.health.well_s(before):.0f} s"
                )
        if after is not None and after != before:
            parted = self.health.parted(home, after)
            since_s = self.health.looked()[home] - parted.looked_s
            if parted.for_s >= PARTED_S and since_s < self._policy.steady_s - PATIENCE_SLACK_S:
                self._violated(
                    PATIENCE,
                    f"{plan.id} names {after}, parted from {home} for {parted.for_s:.1f} s; "
                    f"{home} has looked for {since_s:.1f} s since",
                )

    def _takes_from_nobody_well(self, before: Plan | None, plan: Plan, by: str) -> None:
        """No agent takes over from a home that is well, nor from one that was to open an epoch and has its lease.

        Unless that one has not opened it for as long as it may, in time in which the agent has itself looked.
        """
        home = plan.source
        unopened = before is not None and before.current is not None and before.current.type is OPEN
        if not unopened and self.health.well_s(home) >= WELL_S and self._open[plan.after.id] == plan.before.epoch:
            well_s = self.health.well_s(home)
            self._violated(PATIENCE, f"{plan.id} takes over from {home}, which has been well for {well_s:.0f} s")
        if unopened and before is not None and before.target == home and self._has_its_lease(home):
            self._has_looked(plan.after.id, by, OPEN, f"{plan.id} takes epoch {plan.before.epoch} from {home}")

    def _given_up(self, before: Plan, plan: Plan, by: str) -> None:
        """A plan is called late by nobody who has not looked for as long as it may wait."""
        action = before.current
        assert plan.abandoned is not None and action is not None
        bound = action.type.bound
        if bound is not None and bound.then is AtBound.GIVE_UP and plan.abandoned.code == bound.late:
            self._has_looked(plan.after.id, by, action.type, f"{by} calls {plan.id} late")

    def _has_its_lease(self, region: str) -> bool:
        since_s, last_s = self._leased_s.get(region, (self._universe.now, 0.0))
        now_s = self._universe.now
        return now_s - since_s >= LEASED_S and now_s - last_s < self._policy.lease.lease_s

    def _has_looked(self, placement: str, by: str, action: ActionType, what: str) -> None:
        place, bound = self._places[placement], action.bound
        assert bound is not None
        looked_s = self.health.looked().get(by, 0.0) - place.looked_s.get(by, 0.0)
        s_max = float(getattr(self._policy.bounds, bound.field))
        if looked_s < LOOKED_SHARE * s_max:
            self._violated(
                PATIENCE,
                f"{what}; {by} has looked for {looked_s:.1f} s since `{action.name}` was due, the bound is {s_max:g} s",
            )
