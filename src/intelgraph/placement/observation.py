"""What one observer concludes from what it has seen: alone turns leases, reports and probes into a `View`.

Used by a region's agent, by operators' commands and, through the agent, by the simulator. Guarantees: what is not known
is absent; an age is counted in the observer's own looks, or measured on its own clock from when something was first
seen to be so; nothing that another region says about time is believed. So an observer that was paused counts its own
silence against nobody: of the time between two looks no more counts than a look can have seen.

Pure: no store, no database, no clock. Times are arguments. Getting what is looked at does not belong here
(``control.agent.observer``), nor deciding (``failover``, ``standby``, ``handover``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from intelgraph.model.placement import Placement
from intelgraph.placement.fitness import caught_up, is_leased
from intelgraph.placement.lease import Watched
from intelgraph.placement.plan import Plan
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import Copy, Sighting, View
from intelgraph.placement.write_path import WritePath

STEP_S_MAX = 1.0
"""At most so much of the time between two looks counts as seen, as with leases."""


class LeaseReported(Protocol):
    """One region's lease as another observer reports it."""

    @property
    def counter(self) -> int:
        """The lease's counter."""
        ...

    @property
    def version(self) -> int:
        """The store's version of the lease."""
        ...

    @property
    def still_s(self) -> float:
        """For how long it has stood still there."""
        ...

    @property
    def reached(self) -> bool:
        """Whether the region itself answered."""
        ...


class Reported(Protocol):
    """One observer's report, as far as decisions look at it."""

    @property
    def leases(self) -> Mapping[str, LeaseReported]:
        """Every region's lease, by region."""
        ...

    @property
    def writes(self) -> WritePath | None:
        """Whether writes get through in the observer's own region."""
        ...

    def copy(self, placement: str) -> Copy | None:
        """Return what the observer holds of one placement; none if it tells nothing of it."""
        ...


class Own(Protocol):
    """What the observer knows of its own region at once."""

    @property
    def writes(self) -> WritePath | None:
        """Whether writes get through here, as its own probes say."""
        ...

    def copy(self, placement: str) -> Copy | None:
        """Return what is held here of a placement; none while the own database does not answer."""
        ...


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look has found. Old reports are left out, and so is the observer's own."""

    placements: Mapping[str, Placement] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    """By placement: the plan that is being carried out, or the last one."""
    by_hand: frozenset[str] = frozenset()
    """The placements whose last plan an operator asked for."""
    drained: frozenset[str] = frozenset()
    leases: Mapping[str, Watched] = field(default_factory=dict)
    schemas: Mapping[str, str] = field(default_factory=dict)
    reports: Mapping[str, Reported] = field(default_factory=dict)
    """By observer."""
    confirmed_s: Mapping[str, float] = field(default_factory=dict)
    """By region: up to when it has confirmed what was committed here, on the observer's clock."""
    is_answered: bool = False
    """Whether the observer's own database has answered."""
    token_now_s: float = 0.0
    """The clock whose readings come back in other regions' streams: another one of the observer's machine."""


@dataclass(kw_only=True)
class _Since:
    """For how long something has been so, counted in looks."""

    what: object
    for_s: float = 0.0


def _tick(counted: dict[str, _Since], name: str, what: object, passed_s: float) -> None:
    """Count on where ``what`` is as it was at the look before. What is seen for the first time has lasted for none."""
    since = counted.get(name)
    if since is not None and since.what == what:
        since.for_s += passed_s
    else:
        counted[name] = _Since(what=what)


class Observation:
    """What one region's observer remembers. ``tick`` takes a look into account; ``view`` puts one together."""

    def __init__(self, *, here: str, policy: Policy) -> None:
        self._here = here
        self._policy = policy
        self._ticked_s: float | None = None
        self._first_seen: dict[str, tuple[int, float]] = {}
        self._plans: dict[str, _Since] = {}
        self._steady: dict[str, dict[str, _Since]] = {}
        self._stalled: dict[str, _Since] = {}
        self._homes: dict[str, tuple[str, float | None]] = {}
        self._look = Look()
        self._sightings: Mapping[str, Mapping[str, Sighting]] = {}

    def tick(self, look: Look, own: Own, now_s: float) -> None:
        """Take a look into account that was answered just now."""
        passed_s = 0.0 if self._ticked_s is None else min(max(now_s - self._ticked_s, 0.0), STEP_S_MAX)
        self._ticked_s = now_s
        self._look, self._sightings = look, sightings(look.reports)
        for region, lease in look.leases.items():
            seen = self._first_seen.get(region)
            if seen is None or seen[0] != lease.version:
                self._first_seen[region] = (lease.version, look.token_now_s)
        for region in {region for each in look.placements.values() for region in each.regions} - {self._here}:
            confirmed_s = look.confirmed_s.get(region)
            _tick(self._stalled, region, confirmed_s, passed_s)
        for name, placement in look.placements.items():
            self._tick_plan(name, passed_s)
            self._tick_home(name, placement.home, now_s)
            if placement.home == self._here:
                self._tick_steady(name, own, passed_s, now_s)

    def view(self, name: str, own: Own, now_s: float) -> View:
        """Put the view of one placement together, as of the last look."""
        look, placement = self._look, self._look.placements[name]
        at_home, moved_s = placement.home == self._here, self._homes[name][1]
        steady = self._steady.get(name)
        return View(
            here=self._here,
            placement=placement,
            leases=look.leases,
            sightings=self._sightings,
            copies=_copies(look, name, self._here, own.copy(name)),
            drained=look.drained,
            plan=look.plans.get(name),
            plan_still_s=self._plans[name].for_s,
            schemas=look.schemas,
            stalled_s=self.stalled_s(placement.home, placement.standby, now_s),
            unconfirmed_s=self._unconfirmed_s(placement, now_s) if at_home else None,
            steady_s={region: since.for_s for region, since in steady.items()} if steady else {},
            writes=_writes(look, self._here, own.writes),
            moved_s_ago=None if moved_s is None else now_s - moved_s,
        )

    def silent_s(self, region: str, token_now_s: float) -> float | None:
        """Return for how long a region's lease has stood still, since it was first seen as it is."""
        seen = self._first_seen.get(region)
        return None if seen is None else token_now_s - seen[1]

    def behind_s(self, home: str, token_s: float | None, token_now_s: float) -> float | None:
        """Return how old what is known of ``home``'s stream was when its lease was last seen renewed.

        ``token_s``: the newest reading of the token clock that came back in that stream.
        """
        if home == self._here:
            return 0.0
        seen = self._first_seen.get(home)
        if seen is None or token_s is None or token_s > token_now_s:
            return None  # a token that is still to come is of the time before this machine was started
        return max(0.0, seen[1] - token_s)

    def unconfirmed_s(self, region: str, now_s: float) -> float | None:
        """Return for how long a region has not confirmed what was committed here; none if that is not known."""
        confirmed_s = self._look.confirmed_s.get(region) if self._look.is_answered else None
        return None if confirmed_s is None else max(0.0, now_s - confirmed_s)

    def stalled_s(self, home: str, standby: str | None, now_s: float) -> float | None:
        """Return for how long, counted in looks, a standby has confirmed nothing; none if this is not its home."""
        if home != self._here or standby is None:
            return None
        unconfirmed_s, since = self.unconfirmed_s(standby, now_s), self._stalled.get(standby)
        # One's own pause is no silence of the standby: what no look saw does not count.
        return None if unconfirmed_s is None or since is None else min(unconfirmed_s, since.for_s)

    def _unconfirmed_s(self, placement: Placement, now_s: float) -> dict[str, float]:
        found = {region: self.unconfirmed_s(region, now_s) for region in placement.regions if region != self._here}
        return {region: age_s for region, age_s in found.items() if age_s is not None}

    def _tick_plan(self, name: str, passed_s: float) -> None:
        plan = self._look.plans.get(name)
        at = None if plan is None else (plan.id, plan.next, plan.abandoned is not None)
        _tick(self._plans, name, at, passed_s)

    def _tick_home(self, name: str, home: str, now_s: float) -> None:
        """Remember when the home changed by itself. A move that somebody asked for says that all is well again."""
        before = self._homes.get(name)
        if before is None:
            self._homes[name] = (home, None)
        elif before[0] != home:
            self._homes[name] = (home, None if name in self._look.by_hand else now_s)

    def _tick_steady(self, name: str, own: Own, passed_s: float, now_s: float) -> None:
        view = self.view(name, own, now_s)
        for region in view.placement.regions:
            if region == self._here:
                continue
            steady = self._steady.setdefault(name, {})
            if is_leased(view, region, self._policy) and caught_up(view, region, self._policy) is None:
                _tick(steady, region, True, passed_s)
            else:
                steady.pop(region, None)


def sightings(reports: Mapping[str, Reported]) -> dict[str, dict[str, Sighting]]:
    """Return what other observers report of the leases, by observer and region."""
    return {
        name: {
            region: Sighting(lease_version=seen.version, still_s=seen.still_s, reached=seen.reached)
            for region, seen in report.leases.items()
        }
        for name, report in reports.items()
    }


def view_as(here: str, reports: Mapping[str, Reported], placement: Placement, look: Look) -> View:
    """Put the view together of whoever has watched nothing: as the observer ``here`` has it, by what it reports.

    ``reports``: the fresh ones, that of ``here`` among them. Of ``look`` the store's part counts.
    """
    return View(
        here=here,
        placement=placement,
        leases={
            region: Watched(counter=seen.counter, version=seen.version, still_s=seen.still_s, looked_s=0.0)
            for region, seen in reports[here].leases.items()
        },
        sightings=sightings({name: report for name, report in reports.items() if name != here}),
        copies={name: copy for name, report in reports.items() if (copy := report.copy(placement.id)) is not None},
        drained=look.drained,
        plan=look.plans.get(placement.id),
        schemas=look.schemas,
        writes={name: report.writes for name, report in reports.items() if report.writes is not None},
    )


def _writes(look: Look, here: str, own: WritePath | None) -> dict[str, WritePath]:
    told = {region: report.writes for region, report in look.reports.items()}
    told[here] = own
    return {region: path for region, path in told.items() if path is not None}


def _copies(look: Look, name: str, here: str, own: Copy | None) -> dict[str, Copy]:
    found = {region: report.copy(name) for region, report in look.reports.items()}
    found[here] = own
    return {region: copy for region, copy in found.items() if copy is not None}
