"""A region's agent as docs/control.md has it: renewing, looking, reporting, deciding, and doing what is decided.

Decisions and lease arithmetic are the product's. What an action does is in `acting`. The agent may die wherever it
waits; its successor knows only what the store and the database know.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping
from typing import NamedTuple

from intelgraph.control.simulator.acting import Acting
from intelgraph.control.simulator.engine import Process, Site, Steps
from intelgraph.control.simulator.network import ABSENT, Unreachable, Versioned
from intelgraph.control.simulator.region import SCHEMA, Grant, Region
from intelgraph.model.errors import Denied
from intelgraph.model.placement import Placement
from intelgraph.placement import failover, handover, resuming, standby
from intelgraph.placement.decision import Start
from intelgraph.placement.fitness import caught_up
from intelgraph.placement.lease import Watched, granted_until, look
from intelgraph.placement.plan import Kind, Plan, is_open
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import Copy, Sighting, View
from intelgraph.placement.write_path import Probed, WritePath, judge
from intelgraph.plans.step import Nothing

LOOK_S = 0.8
REPORT_OLD_S = 3.0
BEAT_S = 0.004
PROBE_S = 0.03


@functools.cache
def parts(key: str) -> tuple[str, str]:
    """The kind of a key, and whose it is."""
    kind, _, name = key.partition("/")
    return kind, name


def by_itself(plan: Plan) -> bool:
    """Whether nobody asked for a move: an operator's switchover declares where it leads."""
    handed_over = plan.kind is Kind.SWITCHOVER and plan.after.home != plan.after.wanted.home
    return plan.kind is Kind.FAILOVER or handed_over


class Lease(NamedTuple):
    """``leases/R``."""

    counter: int
    term: int


class Report(NamedTuple):
    """``reports/V``."""

    number: int
    leases: Mapping[str, Sighting]
    copies: Mapping[str, Copy]
    writes: WritePath | None


class Agent:
    """One agent process: of a region, or the witness (then ``region`` is none)."""

    def __init__(self, hands: Acting, site: Site, policy: Policy, term: int) -> None:
        self.engine = hands.engine
        self.site = site
        self.region = site if isinstance(site, Region) else None
        self.store = hands.store
        self.policy = policy
        self.acting = hands
        self.promises = hands.promises
        self.term = term
        self.leases: dict[str, Watched] = {}
        self.plans: dict[str, Watched] = {}
        self.heard: dict[str, tuple[int, float]] = {}
        self.steady: dict[str, dict[str, float]] = {}
        self.moved: dict[str, tuple[int, float | None]] = {}
        self.looked_s: float | None = None
        self.read_s = 0.0
        """When the store was read last, in true time: for who watches over the promises."""
        self.gap_s = 0.0
        self.stalled: dict[str, tuple[int, float]] = {}
        self.schemas: dict[str, str] = {}
        self.drained: frozenset[str] = frozenset()
        self.reports = 0
        self.renewer: Process | None = None
        self.held: Versioned | None = None
        """The lease as this process last wrote it."""
        self.said: dict[str, str] = {}
        self.path: WritePath | None = None
        """Whether writes get through here, as this process has probed."""
        self.keys: Mapping[str, Versioned] = {}
        """The store as it was looked at last."""

    def start(self) -> None:
        """Start the loops."""
        random = self.engine.random.random
        self.engine.spawn(self._watch_always(), self.site, "agent", delay_s=random() * LOOK_S)
        if self.region is not None:
            self.renewer = self.engine.spawn(
                self._renew_always(self.region), self.site, "agent", delay_s=random() * 0.2
            )
            self.engine.spawn(self._probe_always(self.region), self.site, "agent", delay_s=PROBE_S)

    # --------------------------------------------------------------------------------------------- the write path

    def _probe_always(self, region: Region) -> Steps:
        """Probe the own write path, one probe after the other."""
        policy, judged_s = self.policy.write_path, self.engine.clock(region)
        while True:
            fails = region.writes_fail or region.disk_full
            waited_s = policy.answer_s if fails else PROBE_S
            yield waited_s
            now_s = self.engine.clock(region)
            why = Denied(code="write_path", reason=f"writes fail in {region.name}") if fails else None
            probed = Probed(why=why, waited_s=waited_s)
            self.path = judge(self.path, probed, passed_s=now_s - judged_s, policy=policy)
            judged_s = now_s
            yield max(policy.probe_s - waited_s, 0.05)

    def gives_up(self, region: Region) -> Denied | None:
        """Why the lease is not renewed although it could be."""
        if self.path is None or self.path.failing_s < self.policy.writes_given_up_s:
            return None
        copies = self._copies()
        views = (self.view(region, name, self.keys, copies) for name in region.holds)
        return handover.gives_up((view for view in views if view is not None), self.policy)

    # -------------------------------------------------------------------------------------------------- the lease

    def _renew_always(self, region: Region) -> Steps:
        policy = self.policy.lease
        while True:
            began_s, began = self.engine.clock(region), self.engine.now
            try:
                yield from self._renew(region, began_s, began)
            except Unreachable:
                self._tell(region, "lease", "cannot renew its lease: the store does not answer")
            yield max(policy.renew_s - (self.engine.clock(region) - began_s), 0.05)

    def _renew(self, region: Region, began_s: float, began: float) -> Steps:
        yield BEAT_S
        if region.disk_full:
            self._tell(region, "lease", "cannot renew its lease: its database does not commit")
            return
        given_up = self.gives_up(region)
        if given_up is not None:
            self._tell(region, "lease", given_up.reason)
            return
        key = f"leases/{region.name}"
        held, self.held = self.held, None  # until the store has shown it: a failure from here on may have written it
        if held is None:
            held = (yield from self.store.read(region)).get(key, ABSENT)
        lease = Lease(0 if held.value is None else held.value.counter + 1, self.term)
        if not (yield from self.store.compare_and_set(region, {key: held.version}, {key: lease})):
            return
        keys = yield from self.store.read(region)
        if keys[key].value != lease:
            return
        self.held = keys[key]
        self.said.pop("lease", None)
        epochs = self.granted(region, keys)
        self.promises.lease_until_s[region.name] = began + self.policy.lease.lease_s
        # What the door's governor knows is as old as this: it asks again when the grant is renewed.
        behind_s = {name: region.oldest_unconfirmed_s(name, self.engine) for name in region.confirmed}
        measured_s = self.engine.clock(region)
        region.grant = Grant(granted_until(began_s, self.policy.lease), epochs, behind_s, measured_s)

    def granted(self, region: Region, keys: Mapping[str, Versioned]) -> dict[str, int]:
        """What the region may acknowledge, as read after its lease was renewed."""
        epochs: dict[str, int] = {}
        for name in region.holds:
            placement: Placement | None = keys.get(f"placements/{name}", ABSENT).value
            if placement is None:
                continue
            region.directory[name] = placement
            if placement.home == region.name and is_open(placement, keys.get(f"plans/{name}", ABSENT).value):
                epochs[name] = placement.epoch
        return epochs

    # -------------------------------------------------------------------------------------- looking and reporting

    def _watch_always(self) -> Steps:
        while True:
            acted = False
            try:
                read_s = self.engine.now
                self.keys = keys = yield from self.store.read(self.site)
                self.read_s = read_s
                self._take(keys)
                copies = self._copies()
                self._publish(copies)
                if self.region is not None:
                    for name in self.region.holds:
                        acted |= yield from self._tend(self.region, name, keys, copies)
            except Unreachable:
                pass
            yield 0.02 if acted else LOOK_S

    def _take(self, keys: Mapping[str, Versioned]) -> None:
        """Take one answer of the store into account; the clock is read when it is here."""
        now_s = self.engine.clock(self.site)
        for key, entry in keys.items():
            kind, name = parts(key)
            if kind == "leases":
                before = self.leases.get(name)
                self.leases[name] = look(
                    before, counter=entry.value.counter, version=entry.version, now_s=now_s, policy=self.policy.lease
                )
                if self.region is not None and (before is None or before.version != entry.version):
                    self.region.behind_s[name] = self.engine.now - self.region.heard_s.get(name, -1e9)
            elif kind == "plans":
                before = self.plans.get(name)
                self.plans[name] = look(
                    before, counter=entry.version, version=entry.version, now_s=now_s, policy=self.policy.lease
                )
                plan: Plan = entry.value
                new = name not in self.moved or self.moved[name][0] != entry.version
                if new and by_itself(plan) and plan.abandoned is None and plan.current is None:
                    self.moved[name] = (entry.version, None if before is None else now_s)
            elif kind == "reports":
                number = entry.value.number
                if name not in self.heard or self.heard[name][0] != number:
                    self.heard[name] = (number, now_s)
        if len(self.schemas) != len(self.leases):
            self.schemas = dict.fromkeys(self.leases, SCHEMA)
        self.drained = frozenset(name for name in self.leases if keys.get(f"regions/{name}", ABSENT).value)
        self.gap_s = 0.0 if self.looked_s is None else min(now_s - self.looked_s, self.policy.lease.look_gap_max_s)
        self.looked_s = now_s
        if self.region is not None:
            self._stalling(self.region)

    def _stalling(self, region: Region) -> None:
        """Count for how long each region has confirmed nothing that it was sent; one's own pause does not count."""
        for name, confirmed in region.confirmed.items():
            before = self.stalled.get(name, (-1, 0.0))
            waits = confirmed == before[0] and confirmed < len(region.log)
            self.stalled[name] = (confirmed, before[1] + self.gap_s if waits else 0.0)

    def _copies(self) -> dict[str, Copy]:
        region = self.region
        if region is None:
            return {}
        return {name: region.copy(region.directory[name]) for name in region.holds if name in region.directory}

    def _publish(self, copies: Mapping[str, Copy]) -> None:
        """Write the report; whether that succeeds is not waited for."""
        self.reports += 1
        leases = {
            name: Sighting(lease_version=seen.version, still_s=seen.still_s, reached=False)
            for name, seen in self.leases.items()
        }
        report = Report(self.term * 1_000_000 + self.reports, leases, copies, self.path)
        self.store.cast(self.site, f"reports/{self.site.name}", report)

    # -------------------------------------------------------------------------------------------- deciding, acting

    def _tend(
        self, region: Region, name: str, keys: Mapping[str, Versioned], copies: Mapping[str, Copy]
    ) -> Generator[float | None, None, bool]:
        """Decide about one placement, and do it; says whether anything was done."""
        view = self.view(region, name, keys, copies)
        if view is None:
            return False
        if view.placement.home == region.name:
            self._steadiness(view, name)
        versions = {key: keys.get(key, ABSENT).version for key in (f"placements/{name}", f"plans/{name}")}
        if name in region.grant.epochs and view.placement.home == region.name:
            self.acting.salvage(region, name)
        step = self.next_step(view)
        if not isinstance(step, Nothing):
            return (yield from self.acting.carry_out(self, region, view, versions, step))
        for decide in (failover.decide, handover.decide, standby.decide):
            decision = decide(view, self.policy)
            if isinstance(decision, Start):
                return (yield from self.acting.record(self, region, versions, decision.plan))
            if decision.denied is not None and self.engine.told is not None:
                self._tell(region, name, decision.denied.reason)
        return False

    def next_step(self, view: View) -> resuming.Step:
        """What is next with the recorded plan."""
        return resuming.next_step(view, self.policy)

    def _tell(self, region: Region, about: str, reason: str) -> None:
        """Say why nothing is done, once for each reason."""
        head = reason.partition(":")[0] + reason.partition(";")[2]
        if self.said.get(about) != head:
            self.said[about] = head
            self.engine.say(region.name, reason if about == "lease" else f"{about}: {reason}")

    def view(self, region: Region, name: str, keys: Mapping[str, Versioned], copies: Mapping[str, Copy]) -> View | None:
        """What the agent knows of one placement."""
        placement: Placement | None = keys.get(f"placements/{name}", ABSENT).value
        if placement is None or name not in copies:
            return None
        region.directory[name] = placement
        now_s = self.engine.clock(region)
        seen, held = {}, {region.name: copies[name]}
        writes = {} if self.path is None else {region.name: self.path}
        for vantage, (_, first_s) in self.heard.items():
            if vantage == region.name or now_s - first_s > REPORT_OLD_S:
                continue
            report: Report = keys[f"reports/{vantage}"].value
            seen[vantage] = report.leases
            if report.writes is not None:
                writes[vantage] = report.writes
            if name in report.copies:
                held[vantage] = report.copies[name]
        plan: Plan | None = keys.get(f"plans/{name}", ABSENT).value
        moved_s = self.moved.get(name, (0, None))[1]
        is_home = placement.home == region.name
        others = [one for one in placement.regions if one != region.name] if is_home else []
        unconfirmed = {one: region.oldest_unconfirmed_s(one, self.engine) for one in others}
        return View(
            here=region.name,
            placement=placement,
            leases=self.leases,
            sightings=seen,
            copies=held,
            drained=self.drained,
            plan=plan,
            plan_still_s=self.plans[name].still_s if name in self.plans else 0.0,
            moved_s_ago=None if moved_s is None else now_s - moved_s,
            schemas=self.schemas,
            stalled_s=self.stalled.get(placement.standby or "", (0, 0.0))[1] if is_home and placement.standby else None,
            unconfirmed_s=unconfirmed if is_home else None,
            steady_s=self.steady.get(name, {}),
            writes=writes,
        )

    def _steadiness(self, view: View, name: str) -> None:
        """Count for how long each region has been caught up; what is not asked for is not counted."""
        placement, steady = view.placement, self.steady.setdefault(name, {})
        if placement.standby is not None and not steady and len(placement.regions) == 2:
            return
        for region in placement.regions:
            if region != view.here:
                good = caught_up(view, region, self.policy) is None
                steady[region] = steady.get(region, 0.0) + self.gap_s if good else 0.0
