"""Observing: hands what was read of store, leases, reports and the own database to ``placement.observation``.

What follows from it is concluded there; here it is read, paired with this process's clock, and told to others. It
decides and changes nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

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
from intelgraph.placement.lease import Watched
from intelgraph.placement.observation import Look, Observation
from intelgraph.placement.plan import is_under_way
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import Copy, View
from intelgraph.placement.write_path import WritePath

WAITS_S = 1.0
"""From this age on, a transaction that the log waits for is told."""


class Watched_(Protocol):
    """What observing needs of an agent's watch over leases and reports."""

    leases: Mapping[str, Watched]
    holders: Mapping[str, LeaseValue]

    def heard(self) -> Mapping[str, Report]:
        """Return the reports that are not old, by vantage point."""
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


NOTHING_KNOWN = Known()


async def read_known(store: ControlStore, before: Known = NOTHING_KNOWN) -> Known:
    """Read it; an entry that is not legal is left out: nothing is done about what cannot be read.

    What has the version that ``before`` has is not decoded again.

    Placements are read before plans: a placement that was raised is never paired with the plan before that.
    """
    placements = await store.read(prefix=PLACEMENTS)
    plans = await store.read(prefix=PLANS)
    regions = await store.read(prefix=REGIONS)
    found: dict[str, PlacementRecord] = {}
    for key, entry in placements.entries.items():
        same = before.placements.get(key.removeprefix(PLACEMENTS))
        if same is not None and same.version == entry.version:
            found[same.placement.id] = same
            continue
        try:
            record = placement_from(entry)
        except IntelGraphError:
            continue
        found[record.placement.id] = record
    recorded: dict[str, PlanRecord] = {}
    for key, entry in plans.entries.items():
        last = before.plans.get(key.removeprefix(PLANS))
        if last is not None and last.version == entry.version:
            recorded[last.placement] = last
            continue
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


class Clocks(NamedTuple):
    """Two clocks of one machine, in seconds: by one everything is timed, the log's tokens carry the other."""

    steady: Clock
    token: Clock = time.monotonic


class Observing:
    """What the agent of one region has seen so far. ``tick`` takes a look into account; ``view`` puts one together."""

    def __init__(
        self,
        *,
        here: str,
        watching: Watched_,
        database: OwnDatabase,
        policy: Policy,
        clocks: Clocks,
        own_writes: Callable[[], WritePath | None],
    ) -> None:
        self._here = here
        self._watching = watching
        self._database = database
        self._clock, self._token_clock = clocks
        self._observation = Observation(here=here, policy=policy)
        self.own_writes = own_writes
        self.known = NOTHING_KNOWN
        self.gathered: dict[str, dict[str, int]] = {}
        """By placement, then stream: up to where the survivors' rows are known to be here, beyond what has settled."""

    @property
    def own(self) -> Observed | None:
        """What the own database told last; none when it does not answer."""
        return self._database.observed

    @property
    def writes(self) -> WritePath | None:
        """Whether writes get through here."""
        return self.own_writes()

    def tick(self, known: Known) -> None:
        """Take what the store and the database told just now into account."""
        self.known = known
        regions = {region for record in known.placements.values() for region in record.placement.regions}
        confirmed_s = {region: self._database.confirmed_s(region) for region in regions - {self._here}}
        look = Look(
            placements={name: record.placement for name, record in known.placements.items()},
            plans={name: record.plan for name, record in known.plans.items() if record.plan is not None},
            by_hand=frozenset(name for name, record in known.plans.items() if _is_by_hand(record)),
            drained=known.drained,
            leases=self._watching.leases,
            schemas={region: lease.schema for region, lease in self._watching.holders.items()},
            reports={name: report for name, report in self._watching.heard().items() if name != self._here},
            confirmed_s={region: at_s for region, at_s in confirmed_s.items() if at_s is not None},
            is_answered=self.own is not None,
            token_now_s=self._token_clock(),
        )
        self._observation.tick(look, self, self._clock())

    def view(self, name: str) -> View:
        """Put the view of one placement together, as of the last tick."""
        return self._observation.view(name, self, self._clock())

    def copy(self, placement: str) -> Copy | None:
        """Return what is held here of a placement."""
        own = self.own
        held = None if own is None else own.placements.get(placement)
        return None if own is None or held is None else self._held(placement, own, held).copy(self._whole(own))

    def holding(self) -> Holding | None:
        """What the own database holds, for this vantage point's report; none when it does not answer."""
        own = self.own
        if own is None:
            return None
        held = {name: self._held(name, own, here) for name, here in own.placements.items()}
        return replace_fields(self._whole(own), placements=held)

    def home_silent_s(self, region: str) -> float | None:
        """Return for how long a region's lease has stood still here, on this process's clock."""
        return self._observation.silent_s(region, self._token_clock())

    def unconfirmed_s(self, destination: str) -> float | None:
        """Return for how long a destination has not confirmed what was committed here; none if that is not known."""
        return self._database.unconfirmed_s(destination) if self.own is not None else None

    def stalled_s(self, home: str, standby: str | None) -> float | None:
        """Return for how long, counted in looks, a standby has confirmed nothing; none if this is not its home."""
        return self._observation.stalled_s(home, standby, self._clock())

    def _whole(self, own: Observed) -> Holding:
        """What is the same of all placements."""
        oldest = own.oldest
        if oldest is None or oldest.age_s < WAITS_S:
            return Holding(schema=own.schema, settled=own.settled)
        waits_for = transaction_text(oldest, self._here)
        return Holding(schema=own.schema, settled=own.settled, waits_for=waits_for, waits_s=oldest.age_s)

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
        token_ns = own.tokens.get(home)
        token_s = None if token_ns is None else token_ns / 1e9
        return self._observation.behind_s(home, token_s, self._token_clock())


def _is_by_hand(record: PlanRecord) -> bool:
    return record.times is not None and record.times.decided_by == BY_HAND


BY_HAND = "command line"
"""Who decided a plan that an operator asked for."""
