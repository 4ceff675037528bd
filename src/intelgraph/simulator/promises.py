"""What must never be seen, whatever happens: the promises where a simulation can break them.

Told of every acknowledgement, opening, arrival, read and write of the store as it happens, and asked at the end. It
sees everything at once, which no part of the system can; so it also knows the truth that the parts only guess.

A promise that is broken is noted and the schedule stops. Nothing is raised through what broke it: a loop of production
that survives every exception would survive that as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from intelgraph.changelog.model.log import Class, Identity, Kind, ObjectKey, Row, classify, state, undecided
from intelgraph.control.directory.placements import PLACEMENTS, placement_from
from intelgraph.control.directory.plans import plan_from
from intelgraph.control.directory.regions import REGIONS, region_state
from intelgraph.control.store.keys import LEASES, PLANS
from intelgraph.control.store.protocol import Entry
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.plan import Kind as PlanKind
from intelgraph.placement.plan import Plan
from intelgraph.placement.policy import Policy
from intelgraph.simulator.plan_promises import PlanPromises
from intelgraph.simulator.region import Region
from intelgraph.simulator.violation import (
    CERTAINTY,
    CONVERGENCE,
    DURABILITY,
    FAIL_CLOSED,
    NO_LOSS,
    ONE_WRITER,
    READ_YOUR_WRITES,
    RESIDENCY,
    SALVAGE,
    Violation,
)
from intelgraph.simulator.virtual_time import Universe

RATE_SLACK = 1.05
"""By so much two clocks may differ in what they call a second."""


class Acknowledged(NamedTuple):
    """A write that a client was told is done."""

    row: Row
    durability: str
    at_s: float


class Promises:
    """The observer of one schedule."""

    def __init__(
        self, universe: Universe, regions: dict[str, Region], allowed: dict[str, frozenset[str]], policy: Policy
    ) -> None:
        self._universe = universe
        self._regions = regions
        self._allowed = allowed
        self._policy = policy
        self._renewed_broken: dict[str, int] = {}
        self.broken: Violation | None = None
        """The first promise that was broken."""
        self.plans: dict[str, Plan] = {}
        self.acknowledgements: dict[str, dict[Identity, Acknowledged]] = {name: {} for name in allowed}
        self.refusals: dict[str, set[str]] = {name: set() for name in allowed}
        """The keys of writes that a client was told have changed nothing."""
        self.opens: dict[str, list[Row]] = {name: [] for name in allowed}
        self.epochs: dict[str, int] = dict.fromkeys(allowed, 0)
        self.forced: set[str] = set()
        """Placements of which an operator accepted that rows are cut off."""
        self.lease_until_s: dict[str, float] = {}
        """Until when a region may at most acknowledge, in true time: its last renewal that the store took."""
        self.of_plans = PlanPromises(universe, regions, policy, self.violated)

    def violated(self, promise: str, what: str) -> None:
        """Note that a promise was broken; the schedule ends here."""
        if self.broken is None:
            self.broken = Violation(promise, what)
            self._universe.stopped = True

    # -------------------------------------------------------------------------------------- as things happen

    def acknowledged(self, region: Region, placement: str, row: Row, epoch: int, durability: str) -> None:
        """A door says ``ok``."""
        if self._universe.told is not None:
            self._universe.say(region.name, f"ok, {durability}: {named(row)}, in epoch {epoch}")
        for one in self.opens[placement]:
            if one.epoch > epoch and one.opening is not None and not one.opening.holds(row.identity):
                self.violated(
                    ONE_WRITER,
                    f"{region.name} acknowledged {named(row)} of epoch {epoch} after {one.identity.origin} had opened "
                    f"epoch {one.epoch} without it",
                )
        if self._universe.now > self.lease_until_s.get(region.name, 0.0):
            self.violated(FAIL_CLOSED, f"{region.name} acknowledged {named(row)} without a lease")
        if region.worker is not None and region.worker.lease.remains_s() <= 0.0:
            self.violated(FAIL_CLOSED, f"{region.name} acknowledged {named(row)} although its own lease was over")
        plan = self.plans.get(placement)
        if plan is not None and plan.after.epoch == epoch and plan.current is not None and plan.abandoned is None:
            self.violated(
                ONE_WRITER,
                f"{region.name} acknowledged {named(row)} in epoch {epoch}, whose plan has not opened it yet",
            )
        self._durable(region, placement, row, epoch, durability)
        self.acknowledgements[placement].setdefault(row.identity, Acknowledged(row, durability, self._universe.now))
        if durability == "remote" and self.acknowledgements[placement][row.identity].durability != durability:
            self.acknowledgements[placement][row.identity] = Acknowledged(row, durability, self._universe.now)

    def _durable(self, region: Region, placement: str, row: Row, epoch: int, durability: str) -> None:
        """A ``remote`` write is at the standby, unless that has lost its slot, has a gap and so takes nothing over.

        An epoch that is ``remote``, as a strict placement's always is, acknowledges no other.
        """
        after = region.database.opened.get((placement, epoch))
        if after is None:
            return
        if durability == "remote" and row.identity.origin == region.name:
            standby = self._regions.get(after.standby or "")
            held = None if standby is None else standby.database.holds[placement]
            has_lost = standby is not None and (
                region.name in standby.database.holes or standby.database.holds[placement].gap is not None
            )
            if held is None or (row.identity not in held.known.rows and not has_lost):
                self.violated(
                    DURABILITY, f"{region.name} acknowledged {named(row)} as remote, and {after.standby} lacks it"
                )
        if durability == "home" and after.durability is Durability.REMOTE:
            self.violated(DURABILITY, f"{region.name} acknowledged {named(row)} of a remote placement as home")

    def granted(self, region: str, epochs: Mapping[str, int]) -> None:
        """A region is granted placements, each in an epoch: the store says that it is open, and has ever since."""
        for name, epoch in epochs.items():
            plan = self.plans.get(name)
            if plan is not None and plan.after.epoch == epoch and plan.current is not None and plan.abandoned is None:
                self.violated(
                    ONE_WRITER, f"{region} is granted {name} in epoch {epoch}, which {plan.id} has not opened yet"
                )

    def refused(self, placement: str, key: str) -> None:
        """A client is told that its write has changed nothing, and never will."""
        self.refusals[placement].add(key)

    def stored(self, key: str, value: bytes | None, by: str) -> None:
        """The control store was written, at this instant, by a site."""
        folder, _, name = key.partition("/")
        entry = Entry(key=key, value=value, version=1)
        if folder + "/" == LEASES:
            self.renewed(name)
        elif folder + "/" == PLACEMENTS:
            self.raised(placement_from(entry).placement)
        elif folder + "/" == REGIONS:
            self.of_plans.drained(name, is_drained=region_state(entry).drained)
        elif folder + "/" == PLANS:
            plan = plan_from(entry).plan
            assert plan is not None
            before, self.plans[name] = self.plans.get(name), plan
            if plan.current is None and plan.abandoned is None and plan.after.epoch == self.epochs[name]:
                self.opened(plan)
            self.of_plans.moved(before, plan, by)

    def renewed(self, region: str) -> None:
        """A lease was renewed: its region's database commits, or did when the renewal began."""
        self.lease_until_s[region] = self._universe.now + self._policy.lease.lease_s
        self.of_plans.renewed(region)
        site = self._regions[region]
        if not (site.database.disk_full or site.database_hangs):
            self._renewed_broken[region] = 0
            return
        self._renewed_broken[region] = self._renewed_broken.get(region, 0) + 1
        if self._renewed_broken[region] > 1:
            self.violated(
                FAIL_CLOSED, f"{region} renews its lease again and again, although its database commits nothing"
            )

    def _knows_enough(self, plan: Plan) -> None:
        """Who takes over by itself knows the home's stream up to its loss, or lacks no more than the RPO allows."""
        before, there = plan.before, self._regions[plan.target].database
        if plan.granted is not None or before.durability is not Durability.HOME or before.standby != plan.target:
            return
        renewed_s = self.lease_until_s.get(plan.source, 0.0) - self._policy.lease.lease_s
        behind_s = renewed_s - there.heard_s.get(plan.source, 0.0)
        if behind_s > RATE_SLACK * before.wanted.rpo_s_max:
            self.violated(
                NO_LOSS,
                f"{plan.id} takes over, {behind_s:.1f} s behind what {plan.source} had when it was lost; the RPO is "
                f"{before.wanted.rpo_s_max:g} s",
            )

    def salvaged(self, region: Region, placement: str, kind: Kind, rows: Iterable[Identity]) -> None:
        """The home decides about rows beyond a cut: it adopts nothing that was written over, or twice."""
        known = region.database.holds[placement].known
        if kind is not Kind.ADOPT:
            return
        keys = {row.key for identity, row in known.rows.items() if identity in known.accepted}
        for identity in rows:
            row = known.rows[identity]
            forms = [known.forms.get(ObjectKey(placement, item["kind"], item["id"])) for item in row.objects]
            if any(form is not None and form.epoch > row.epoch for form in forms):
                self.violated(SALVAGE, f"{region.name} adopts {named(row)}, although what it wrote was written since")
            if row.key in keys:
                self.violated(SALVAGE, f"{region.name} adopts {named(row)}, although its key counts already")

    def opening(self, region: Region, placement: Placement, row: Row) -> None:
        """A region's database opens an epoch: from here on nothing older may be acknowledged that it lacks."""
        name = placement.id
        recorded = self.plans.get(name)
        if recorded is not None and recorded.after == placement and row.epoch == self.epochs[name]:
            self.opens[name].append(row)

    def opened(self, plan: Plan) -> None:
        """The store says that an epoch is open: it may be granted."""
        after, name = plan.after, plan.after.id
        region = self._regions[plan.target]
        row = region.database.holds[name].opening
        if row is None or row.epoch < after.epoch:
            self.violated(ONE_WRITER, f"epoch {after.epoch} of {name} is said to be open at {region.name}, and is not")
            return
        if plan.force:
            self.forced.add(name)
        counted = region.database.holds[name].known.accepted
        planned = plan.kind is not PlanKind.FAILOVER and not plan.force
        for one in self.acknowledgements[name].values():
            if one.row.identity in counted:
                continue
            if one.durability == "remote" and name not in self.forced:
                self.violated(
                    NO_LOSS,
                    f"{region.name} opens epoch {row.epoch} of {name} without {named(one.row)}, acknowledged remote",
                )
            if planned and one.row.epoch == plan.before.epoch:
                self.violated(
                    NO_LOSS,
                    f"the {plan.kind.value} to {region.name} opens epoch {row.epoch} of {name} without "
                    f"{named(one.row)}, acknowledged {one.durability}",
                )
        self._within_rpo(region, after, plan)

    def _within_rpo(self, region: Region, after: Placement, plan: Plan) -> None:
        """From the oldest acknowledgement that is cut off to the loss is no longer than the placement's RPO.

        The home was there when it last renewed its lease, and when it last acknowledged.
        """
        if plan.force or plan.before.standby is None:
            return
        counted = region.database.holds[after.id].known.accepted
        told = [one for one in self.acknowledgements[after.id].values() if one.row.epoch == plan.before.epoch]
        lost = [one for one in told if one.row.identity not in counted]
        if not lost:
            return
        renewed_s = self.lease_until_s.get(plan.source, 0.0) - self._policy.lease.lease_s
        loss_s = max(renewed_s, *(one.at_s for one in told))
        oldest = min(lost, key=lambda one: one.at_s)
        if loss_s - oldest.at_s > after.wanted.rpo_s_max:
            self.violated(
                NO_LOSS,
                f"{named(oldest.row)} is cut off, acknowledged {loss_s - oldest.at_s:.1f} s before {plan.source} was "
                f"lost; the RPO is {after.wanted.rpo_s_max:g} s",
            )

    def raised(self, placement: Placement) -> None:
        """The store has a new epoch."""
        if placement.epoch <= self.epochs[placement.id]:
            self.violated(ONE_WRITER, f"the epoch of {placement.id} went back to {placement.epoch}")
        self.epochs[placement.id] = placement.epoch
        self.of_plans.bumped(placement)
        plan = self.plans.get(placement.id)
        if plan is not None and plan.after == placement and plan.kind is PlanKind.FAILOVER and not plan.force:
            self._knows_enough(plan)
        if placement.home not in self._allowed[placement.id]:
            self.violated(RESIDENCY, f"{placement.id} moved to {placement.home}")

    def arrived(self, region: Region, row: Row) -> None:
        """A row is stored in a region."""
        if region.name not in self._allowed[str(row.tenant)]:
            self.violated(RESIDENCY, f"{named(row)} is stored in {region.name}")

    def superseded(self, region: Region, placement: str, row: Identity, durability: str) -> None:
        """A read was told that a write does not count."""
        if durability == "remote" and placement not in self.forced:
            self.violated(
                NO_LOSS, f"{region.name} says that {row.origin}/{row.position}, acknowledged remote, is superseded"
            )

    def read(self, region: Region, placement: str, id_: str, bookmark: Identity | None) -> None:
        """A read is answered with the state of an object, under a bookmark."""
        if bookmark is None:
            return
        known = region.database.holds[placement].known
        row = known.rows[bookmark]
        form = known.forms.get(ObjectKey(placement, "entity", id_))
        touched = any(item["id"] == id_ for item in row.objects)
        if touched and (form is None or (form.epoch, form.row.position) < row.rank):
            self.violated(READ_YOUR_WRITES, f"{region.name} shows {id_} as it was before {named(row)}")

    # ------------------------------------------------------------------------------------------------ at the end

    def salvage_ended(self, placement: str, home: Region) -> None:
        """What could be adopted was, and what counts already was rejected: the rest is for people."""
        left = classify(home.database.holds[placement].known.holding.read)
        for identity, found in left.items():
            if found in (Class.ADOPTABLE, Class.DUPLICATE):
                self.violated(
                    SALVAGE, f"{identity.origin}/{identity.position} of {placement} is {found.value} still, undecided"
                )

    def converged(self, placement: str, home: Region, regions: Iterable[Region]) -> None:
        """Every region that lives holds the same, concludes the same, and nothing acknowledged is missing."""
        truth = home.database.holds[placement].known
        reference = state(truth.holding.read)
        for region in regions:
            known = region.database.holds[placement].known
            if known.rows.keys() != truth.rows.keys():
                more, less = known.rows.keys() - truth.rows.keys(), truth.rows.keys() - known.rows.keys()
                self.violated(
                    CONVERGENCE,
                    f"{region.name} lacks {brief(less)} of {placement} and has {brief(more)} that {home.name} lacks",
                )
            if known.forms != reference:
                differ = {key.id for key in {*known.forms, *reference} if known.forms.get(key) != reference.get(key)}
                self.violated(CONVERGENCE, f"{region.name} shows other objects of {placement}: {sorted(differ)}")
        for row in truth.rows.values():
            if row.kind is Kind.WRITE and row.key in self.refusals[placement]:
                self.violated(CERTAINTY, f"{named(row)}, refused for certain, is in the log of {home.name}")
        listed = undecided(truth.holding.read)
        decided = frozenset().union(*(row.named for row in truth.rows.values()))
        for one in self.acknowledgements[placement].values():
            identity = one.row.identity
            gone = one.durability == "home" and self._regions[identity.origin].lost_for_good
            if identity not in truth.accepted | listed | decided and not gone:
                self.violated(NO_LOSS, f"{named(one.row)}, acknowledged {one.durability}, is nowhere")


def named(row: Row) -> str:
    """Name a row for people."""
    where = f"{row.identity.origin}/{row.identity.position}"
    return f"{row.key} ({where})" if row.kind is Kind.WRITE else f"the {row.kind.value} {where}"


def brief(rows: Iterable[Identity]) -> str:
    """Name some rows for people."""
    names = sorted(f"{row.origin}/{row.position}" for row in rows)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") if names else "nothing"
