"""Observing: fills ``placement.view.View`` from the leases as watched, others' reports, the store, the own database.

Guarantees: what is not known is absent; an age is measured on this process's monotonic clock alone, from when
something was first seen to be so; nothing that another region says about time is believed. It decides and changes
nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from msgspec.structs import replace as replace_fields

from intelgraph.control.agent.leases.keeper import LeaseValue
from intelgraph.control.agent.leases.steady import Clock
from intelgraph.control.agent.observer.own_database import HeldHere, Observed, OwnDatabase, transaction_text
from intelgraph.control.directory.placements import PLACEMENTS, PlacementRecord, placement_from
from intelgraph.control.directory.plans import PlanRecord, plan_from
from intelgraph.control.directory.regions import REGIONS, drained, reasons
from intelgraph.control.directory.reports import Held, Holding, Report
from intelgraph.control.store.keys import PLANS
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.errors import IntelGraphError
from intelgraph.model.placement import Placement
from intelgraph.placement.fitness import caught_up, is_leased
from intelgraph.placement.lease import Watched
from intelgraph.placement.plan import is_under_way
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import Copy, Sighting, View
from intelgraph.placement.write_path import WritePath

WAITS_S = 1.0
"""From this age on, a transaction that the log waits for is told."""
_STEP_MAX_S = 1.0
"""At most so much of the time between two ticks counts as seen, as with leases."""


class Watched_(Protocol):
    """What observing needs of an agent's watch over leases and reports."""

    leases: Mapping[str, Watched]
    holders: Mapping[str, LeaseValue]

    def heard(self) -> Mapping[str, Report]:
        """Return the reports that are not old, by vantage point."""
        ...

    def sightings(self) -> dict[str, dict[str, Sighting]]:
        """Return what other vantage points report."""
        ...


@dataclass(frozen=True, kw_only=True)
class Known:
    """The store's part: every placement, its plan, and which regions are drained."""

    placements: Mapping[str, PlacementRecord] = field(default_factory=dict)
    plans: Mapping[str, PlanRecord] = field(default_factory=dict)
    drained: frozenset[str] = frozenset()
    drained_why: Mapping[str, str] = field(default_factory=dict)
    is_read: bool = False
    """Whether the store has answered yet: until then nothing follows from what is not here."""

    def is_under_way(self, name: str) -> bool:
        """Whether something of the placement's plan is still to be done."""
        return is_under_way(self.placements[name].placement, self.plan_of(name).plan)

    def plan_of(self, placement: str) -> PlanRecord:
        """Return a placement's plan, or that it has none."""
        return self.plans.get(placement) or PlanRecord(subject=placement)


async def read_known(store: ControlStore) -> Known:
    """Read it; an entry that is not legal is left out: nothing is done about what cannot be read.

    Placements are read before plans: a placement that was raised is never paired with the plan before that.
    """
    placements = await store.read(prefix=PLACEMENTS)
    plans = await store.read(prefix=PLANS)
    regions = await store.read(prefix=REGIONS)
    found: dict[str, PlacementRecord] = {}
    for entry in placements.entries.values():
        try:
            record = placement_from(entry)
        except IntelGraphError:
            continue
        found[record.placement.id] = record
    recorded: dict[str, PlanRecord] = {}
    for entry in plans.entries.values():
        try:
            plan = plan_from(entry)
        except IntelGraphError:
            continue
        recorded[plan.subject] = plan
    return Known(
        placements=found,
        plans=recorded,
        drained=drained(regions.entries.values()),
        drained_why=reasons(regions.entries.values()),
        is_read=True,
    )


@dataclass(kw_only=True)
class _Since:
    """For how long something has been so, counted in ticks."""

    what: object
    for_s: float = 0.0

    def tick(self, what: object, passed_s: float) -> None:
        if what == self.what:
            self.for_s += passed_s
        else:
            self.what, self.for_s = what, 0.0


class Observing:
    """What the agent of one region has seen so far. ``tick`` takes a look into account; ``view`` puts one together."""

    def __init__(
        self,
        *,
        here: str,
        watching: Watched_,
        database: OwnDatabase,
        policy: Policy,
        clock: Clock,
        own_writes: Callable[[], WritePath | None],
    ) -> None:
        self._here = here
        self._watching = watching
        self._database = database
        self._policy = policy
        self._clock = clock
        self.own_writes = own_writes
        self._ticked_s: float | None = None
        self._first_seen_ns: dict[str, tuple[int, int]] = {}
        self._plans: dict[str, _Since] = {}
        self._steady: dict[str, dict[str, _Since]] = {}
        self._stalled: dict[str, _Since] = {}
        self._homes: dict[str, tuple[str, float | None]] = {}
        self.known = Known()
        self.gathered: dict[str, dict[str, int]] = {}
        """By placement, then stream: up to where the survivors' rows are known to be here, beyond what has settled."""

    @property
    def own(self) -> Observed | None:
        """What the own database told last; none when it does not answer."""
        return self._database.observed

    def tick(self, known: Known) -> None:
        """Take what the store and the database told just now into account."""
        now_s = self._clock()
        passed_s = 0.0 if self._ticked_s is None else min(max(now_s - self._ticked_s, 0.0), _STEP_MAX_S)
        self._ticked_s = now_s
        self.known = known
        now_ns = time.monotonic_ns()
        for region, lease in self._watching.leases.items():
            if self._first_seen_ns.get(region, (0, 0))[0] != lease.version:
                self._first_seen_ns[region] = (lease.version, now_ns)
        regions = {region for record in known.placements.values() for region in record.placement.regions}
        for region in regions - {self._here}:
            confirmed_s = self._database.confirmed_s(region)
            self._stalled.setdefault(region, _Since(what=confirmed_s)).tick(confirmed_s, passed_s)
        for name, record in known.placements.items():
            self._tick_plan(name, passed_s)
            self._tick_home(name, record, now_s)
            if record.placement.home == self._here:
                self._tick_steady(name, passed_s)

    def view(self, name: str) -> View:
        """Put the view of one placement together."""
        placement, plan = self.known.placements[name].placement, self.known.plan_of(name)
        plan_since = self._plans.get(name)
        moved_s = self._homes.get(name, ("", None))[1]
        return View(
            here=self._here,
            placement=placement,
            leases=self._watching.leases,
            sightings=self._watching.sightings(),
            copies=self._copies(name),
            drained=self.known.drained,
            plan=plan.plan,
            plan_still_s=plan_since.for_s if plan_since else 0.0,
            schemas={region: lease.schema for region, lease in self._watching.holders.items()},
            stalled_s=self.stalled_s(placement.home, placement.standby),
            unconfirmed_s=self._unconfirmed_s(placement) if placement.home == self._here else None,
            steady_s={region: since.for_s for region, since in self._steady.get(name, {}).items()},
            writes=self._writes(),
            moved_s_ago=None if moved_s is None else self._clock() - moved_s,
        )

    def holding(self) -> Holding | None:
        """What the own database holds, for this vantage point's report; none when it does not answer."""
        own = self.own
        if own is None:
            return None
        held = {name: self._held(name, own, here) for name, here in own.placements.items()}
        return replace_fields(self._whole(own), placements=held)

    def _whole(self, own: Observed) -> Holding:
        """What is the same of all placements."""
        oldest = own.oldest
        if oldest is None or oldest.age_s < WAITS_S:
            return Holding(schema=own.schema, settled=own.settled)
        waits_for = transaction_text(oldest, self._here)
        return Holding(schema=own.schema, settled=own.settled, waits_for=waits_for, waits_s=oldest.age_s)

    def home_silent_s(self, region: str) -> float | None:
        """Return for how long a region's lease has stood still here, on this process's clock."""
        seen = self._first_seen_ns.get(region)
        return None if seen is None else (time.monotonic_ns() - seen[1]) / 1e9

    def unconfirmed_s(self, destination: str) -> float | None:
        """Return for how long a destination has not confirmed what was committed here; none if that is not known."""
        return self._database.unconfirmed_s(destination) if self.own is not None else None

    def _writes(self) -> dict[str, WritePath]:
        told = {region: report.writes for region, report in self._watching.heard().items()}
        told[self._here] = self.own_writes()
        return {region: path for region, path in told.items() if path is not None}

    def _copies(self, name: str) -> dict[str, Copy]:
        copies = {
            region: copy
            for region, report in self._watching.heard().items()
            if region != self._here and (copy := report.copy(name)) is not None
        }
        own = self.own
        if own is not None and name in own.placements:
            held = self._held(name, own, own.placements[name])
            copies[self._here] = held.copy(self._whole(own))
        return copies

    def _held(self, name: str, own: Observed, held: HeldHere) -> Held:
        gathered = self.gathered.get(name, {})
        behind_s = self._behind_s(name, own, held)
        return Held(
            epoch=held.epoch,
            hold=held.hold,
            gap=held.gap,
            whole=held.whole,
            closed=held.closed,
            gathered={stream: upto for stream, upto in gathered.items() if upto > own.settled.get(stream, 0)},
            behind_s=None if behind_s is None else math.ceil(behind_s * 1000) / 1000,
        )

    def _behind_s(self, name: str, own: Observed, held: HeldHere) -> float | None:
        record = self.known.placements.get(name)
        home = held.home if record is None else record.placement.home
        if home == self._here:
            return 0.0
        seen, token_ns = self._first_seen_ns.get(home), own.tokens.get(home)
        if seen is None or token_ns is None or token_ns > time.monotonic_ns():
            return None  # a token that is still to come is of the time before this machine was started
        return max(0.0, (seen[1] - token_ns) / 1e9)

    def stalled_s(self, home: str, standby: str | None) -> float | None:
        """Return for how long, counted in looks, a standby has confirmed nothing; none if this is not its home."""
        if home != self._here or standby is None:
            return None
        unconfirmed_s, since = self.unconfirmed_s(standby), self._stalled.get(standby)
        # One's own pause is no silence of the standby: what no look saw does not count.
        return None if unconfirmed_s is None or since is None else min(unconfirmed_s, since.for_s)

    def _unconfirmed_s(self, placement: Placement) -> dict[str, float]:
        found = {region: self.unconfirmed_s(region) for region in placement.regions if region != self._here}
        return {region: age_s for region, age_s in found.items() if age_s is not None}

    def _tick_plan(self, name: str, passed_s: float) -> None:
        plan = self.known.plan_of(name).plan
        at = None if plan is None else (plan.id, plan.next, plan.abandoned is not None)
        self._plans.setdefault(name, _Since(what=at)).tick(at, passed_s)

    def _tick_home(self, name: str, record: PlacementRecord, now_s: float) -> None:
        """Remember when the home changed by itself. A move that somebody asked for says that all is well again."""
        home = record.placement.home
        before = self._homes.get(name)
        if before is None:
            self._homes[name] = (home, None)
        elif before[0] != home:
            times = self.known.plan_of(name).times
            by_hand = times is not None and times.decided_by == BY_HAND
            self._homes[name] = (home, None if by_hand else now_s)

    def _tick_steady(self, name: str, passed_s: float) -> None:
        view = self.view(name)
        for region in view.placement.regions:
            if region == self._here:
                continue
            steady = self._steady.setdefault(name, {})
            if is_leased(view, region, self._policy) and caught_up(view, region, self._policy) is None:
                steady.setdefault(region, _Since(what=True)).tick(True, passed_s)
            else:
                steady.pop(region, None)


BY_HAND = "command line"
"""Who decided a plan that an operator asked for."""


def as_seen_by(view: View, region: str, report: Report) -> View:
    """Return a view as another vantage point would have it, from what it reports of the leases."""
    leases = {
        name: Watched(counter=seen.counter, version=seen.version, still_s=seen.still_s, looked_s=0.0)
        for name, seen in report.leases.items()
    }
    return replace(view, here=region, leases=leases)
