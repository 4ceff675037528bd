"""What must never be seen, whatever happens: the six promises where a simulation can break them.

Told of every acknowledgement, opening, arrival and read as it happens, and asked at the end. It sees everything at
once, which no part of the system can; so it also knows the truth that the parts only guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from intelgraph.changelog.model.log import Class, Identity, Kind, ObjectKey, Row, classify, state, undecided
from intelgraph.control.simulator.engine import Engine
from intelgraph.control.simulator.region import Region
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.plan import Kind as PlanKind
from intelgraph.placement.plan import Plan

ONE_WRITER = "ONE-WRITER"
NO_LOSS = "NO-LOSS"
READ_YOUR_WRITES = "READ-YOUR-WRITES"
RESIDENCY = "RESIDENCY"
FAIL_CLOSED = "FAIL-CLOSED"
CONVERGENCE = "CONVERGENCE"
LIVENESS = "LIVENESS"
CERTAINTY = "CERTAINTY"
DURABILITY = "DURABILITY"
SALVAGE = "SALVAGE"
DRAINED = "DRAINED"


class Violation(Exception):
    """A promise was broken."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise = promise
        self.what = what


class Acknowledged(NamedTuple):
    """A write that a client was told is done."""

    row: Row
    durability: str
    at_s: float


class Promises:
    """The observer of one schedule."""

    def __init__(self, engine: Engine, regions: dict[str, Region], allowed: dict[str, frozenset[str]]) -> None:
        self._engine = engine
        self._regions = regions
        self._allowed = allowed
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
        self.lease_s = 0.0
        """How long a lease lasts, in true time."""
        self.drained_since_s: dict[str, float] = {}
        """By region that is drained: since when the store says so."""

    # -------------------------------------------------------------------------------------- as things happen

    def acknowledged(self, region: Region, placement: str, row: Row, epoch: int, durability: str) -> None:
        """A door says ``ok``."""
        if self._engine.told is not None:
            self._engine.say(region.name, f"ok, {durability}: {named(row)}, in epoch {epoch}")
        for one in self.opens[placement]:
            if one.epoch > epoch and one.opening is not None and not one.opening.holds(row.identity):
                raise Violation(
                    ONE_WRITER,
                    f"{region.name} acknowledged {named(row)} of epoch {epoch} after {one.identity.origin} had opened "
                    f"epoch {one.epoch} without it",
                )
        if self._engine.now > self.lease_until_s.get(region.name, 0.0):
            raise Violation(FAIL_CLOSED, f"{region.name} acknowledged {named(row)} without a lease")
        self._durable(region, placement, row, epoch, durability)
        self.acknowledgements[placement].setdefault(row.identity, Acknowledged(row, durability, self._engine.now))
        if durability == "remote" and self.acknowledgements[placement][row.identity].durability != durability:
            self.acknowledgements[placement][row.identity] = Acknowledged(row, durability, self._engine.now)

    def _durable(self, region: Region, placement: str, row: Row, epoch: int, durability: str) -> None:
        """A ``remote`` write is at the standby, unless that has lost its slot, has a gap and so takes nothing over.

        An epoch that is ``remote``, as a strict placement's always is, acknowledges no other.
        """
        after = region.standbys.get((placement, epoch))
        if after is None:
            return
        if durability == "remote" and row.identity.origin == region.name:
            standby = self._regions.get(after.standby or "")
            held = None if standby is None else standby.holds[placement]
            has_lost = standby is not None and (
                region.name in standby.holes or standby.holds[placement].gap is not None
            )
            if held is None or (row.identity not in held.known.rows and not has_lost):
                raise Violation(
                    DURABILITY, f"{region.name} acknowledged {named(row)} as remote, and {after.standby} lacks it"
                )
        if durability == "home" and after.durability is Durability.REMOTE:
            raise Violation(DURABILITY, f"{region.name} acknowledged {named(row)} of a remote placement as home")

    def refused(self, placement: str, key: str) -> None:
        """A client is told that its write has changed nothing, and never will."""
        self.refusals[placement].add(key)

    def stored(self, key: str, value: object) -> None:
        """The control store was written, at this instant."""
        if key.startswith("placements/") and isinstance(value, Placement):
            self.raised(value)
        elif key.startswith("regions/"):
            name = key.partition("/")[2]
            since_s = self.drained_since_s.pop(name, self._engine.now)
            if value:
                self.drained_since_s[name] = since_s
        elif isinstance(value, Plan):
            self.plans[value.before.id] = value
            if value.current is None and value.abandoned is None and value.after.epoch == self.epochs[value.after.id]:
                self.opened(value)

    def decided(self, plan: Plan, read_s: float) -> None:
        """An agent records a plan by what it read of the store at ``read_s``: it gives nothing to a drained region.

        A plan that is given up gives nobody anything, although it says whom it was for.
        """
        if plan.abandoned is not None:
            return
        named = {plan.target} if plan.target != plan.source else set()
        if plan.after.standby is not None and plan.after.standby not in (plan.before.standby, plan.before.home):
            named.add(plan.after.standby)
        for name in named:
            if self.drained_since_s.get(name, self._engine.now) < read_s:
                raise Violation(DRAINED, f"{plan.id} gives {plan.after.id} to {name}, which is drained")

    def salvaged(self, region: Region, placement: str, kind: Kind, rows: Iterable[Identity]) -> None:
        """The home decides about rows beyond a cut: it adopts nothing that was written over, or twice."""
        known = region.holds[placement].known
        if kind is not Kind.ADOPT:
            return
        keys = {row.key for identity, row in known.rows.items() if identity in known.accepted}
        for identity in rows:
            row = known.rows[identity]
            forms = [known.forms.get(ObjectKey(placement, item["kind"], item["id"])) for item in row.objects]
            if any(form is not None and form.epoch > row.epoch for form in forms):
                raise Violation(SALVAGE, f"{region.name} adopts {named(row)}, although what it wrote was written since")
            if row.key in keys:
                raise Violation(SALVAGE, f"{region.name} adopts {named(row)}, although its key counts already")

    def opening(self, region: Region, plan: Plan, row: Row) -> None:
        """A region's database opens an epoch: from here on nothing older may be acknowledged that it lacks."""
        name = plan.after.id
        recorded = self.plans.get(name)
        if recorded is not None and recorded.id == plan.id and row.epoch == self.epochs[name]:
            self.opens[name].append(row)

    def opened(self, plan: Plan) -> None:
        """The store says that an epoch is open: it may be granted."""
        after, name = plan.after, plan.after.id
        region = self._regions[plan.target]
        row = region.holds[name].opening
        if row is None or row.epoch < after.epoch:
            raise Violation(
                ONE_WRITER, f"epoch {after.epoch} of {name} is said to be open at {region.name}, and is not"
            )
        if plan.force:
            self.forced.add(name)
        counted = region.holds[name].known.accepted
        planned = plan.kind is not PlanKind.FAILOVER and not plan.force
        for one in self.acknowledgements[name].values():
            if one.row.identity in counted:
                continue
            if one.durability == "remote" and name not in self.forced:
                raise Violation(
                    NO_LOSS,
                    f"{region.name} opens epoch {row.epoch} of {name} without {named(one.row)}, acknowledged remote",
                )
            if planned and one.row.epoch == plan.before.epoch:
                raise Violation(
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
        counted = region.holds[after.id].known.accepted
        told = [one for one in self.acknowledgements[after.id].values() if one.row.epoch == plan.before.epoch]
        lost = [one for one in told if one.row.identity not in counted]
        if not lost:
            return
        renewed_s = self.lease_until_s.get(plan.source, 0.0) - self.lease_s
        loss_s = max(renewed_s, *(one.at_s for one in told))
        oldest = min(lost, key=lambda one: one.at_s)
        if loss_s - oldest.at_s > after.wanted.rpo_s_max:
            raise Violation(
                NO_LOSS,
                f"{named(oldest.row)} is cut off, acknowledged {loss_s - oldest.at_s:.1f} s before {plan.source} was "
                f"lost; the RPO is {after.wanted.rpo_s_max:g} s",
            )

    def raised(self, placement: Placement) -> None:
        """The store has a new epoch."""
        if placement.epoch <= self.epochs[placement.id]:
            raise Violation(ONE_WRITER, f"the epoch of {placement.id} went back to {placement.epoch}")
        self.epochs[placement.id] = placement.epoch
        if placement.home not in self._allowed[placement.id]:
            raise Violation(RESIDENCY, f"{placement.id} moved to {placement.home}")

    def arrived(self, region: Region, row: Row) -> None:
        """A row is stored in a region."""
        if region.name not in self._allowed[str(row.tenant)]:
            raise Violation(RESIDENCY, f"{named(row)} is stored in {region.name}")

    def superseded(self, region: Region, placement: str, row: Identity, durability: str) -> None:
        """A read was told that a write does not count."""
        if durability == "remote" and placement not in self.forced:
            raise Violation(
                NO_LOSS, f"{region.name} says that {row.origin}/{row.position}, acknowledged remote, is superseded"
            )

    def read(self, region: Region, placement: str, id_: str, bookmark: Identity | None) -> None:
        """A read is answered with the state of an object, under a bookmark."""
        if bookmark is None:
            return
        known = region.holds[placement].known
        row = known.rows[bookmark]
        form = known.forms.get(ObjectKey(placement, "entity", id_))
        touched = any(item["id"] == id_ for item in row.objects)
        if touched and (form is None or (form.epoch, form.row.position) < row.rank):
            raise Violation(READ_YOUR_WRITES, f"{region.name} shows {id_} as it was before {named(row)}")

    # ------------------------------------------------------------------------------------------------ at the end

    def salvage_ended(self, placement: str, home: Region) -> None:
        """What could be adopted was, and what counts already was rejected: the rest is for people."""
        left = classify(home.holds[placement].known.holding.read)
        for identity, found in left.items():
            if found in (Class.ADOPTABLE, Class.DUPLICATE):
                raise Violation(
                    SALVAGE, f"{identity.origin}/{identity.position} of {placement} is {found.value} still, undecided"
                )

    def converged(self, placement: str, home: Region, regions: Iterable[Region]) -> None:
        """Every region that lives holds the same, concludes the same, and nothing acknowledged is missing."""
        truth = home.holds[placement].known
        reference = state(truth.holding.read)
        for region in regions:
            known = region.holds[placement].known
            if known.rows.keys() != truth.rows.keys():
                more, less = known.rows.keys() - truth.rows.keys(), truth.rows.keys() - known.rows.keys()
                raise Violation(
                    CONVERGENCE,
                    f"{region.name} lacks {brief(less)} of {placement} and has {brief(more)} that {home.name} lacks",
                )
            if known.forms != reference:
                differ = {key.id for key in {*known.forms, *reference} if known.forms.get(key) != reference.get(key)}
                raise Violation(CONVERGENCE, f"{region.name} shows other objects of {placement}: {sorted(differ)}")
        for row in truth.rows.values():
            if row.kind is Kind.WRITE and row.key in self.refusals[placement]:
                raise Violation(CERTAINTY, f"{named(row)}, refused for certain, is in the log of {home.name}")
        listed = undecided(truth.holding.read)
        decided = frozenset().union(*(row.named for row in truth.rows.values()))
        for one in self.acknowledgements[placement].values():
            identity = one.row.identity
            gone = one.durability == "home" and self._regions[identity.origin].lost_for_good
            if identity not in truth.accepted | listed | decided and not gone:
                raise Violation(NO_LOSS, f"{named(one.row)}, acknowledged {one.durability}, is nowhere")


def named(row: Row) -> str:
    """Name a row for people."""
    where = f"{row.identity.origin}/{row.identity.position}"
    return f"{row.key} ({where})" if row.kind is Kind.WRITE else f"the {row.kind.value} {where}"


def brief(rows: Iterable[Identity]) -> str:
    """Name some rows for people."""
    names = sorted(f"{row.origin}/{row.position}" for row in rows)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") if names else "nothing"
