"""Looks at the control store: every region's lease, for how long it has stood still, and what the others report.

Each look is one read that the store answered from its majority; what is not read is not seen. The clock is read when
the answer is here: a renewal that the answer shows began before that (docs/control.md, "Why that is safe").
"""

from __future__ import annotations

from collections.abc import Mapping

from intelgraph.control.agent.leases.keeper import LeaseValue, lease_from
from intelgraph.control.agent.leases.steady import Clock
from intelgraph.control.directory.reports import REPORTS, Heard, LeaseSeen, Report, Seen, encode_report, report_from
from intelgraph.control.store.keys import LEASES
from intelgraph.control.store.protocol import ABSENT, ControlStore, Snapshot
from intelgraph.model.errors import IntelGraphError
from intelgraph.placement.lease import LeasePolicy, Watched, look

REPORT_OLD_S = 3.0
"""A report that has not changed for so long is no sighting any more: three were missed."""


class Watching:
    """What one agent has seen in the store, and its own report. Nothing of it outlives the process."""

    def __init__(self, *, vantage: str, store: ControlStore, policy: LeasePolicy, clock: Clock) -> None:
        self._vantage = vantage
        self._store = store
        self._policy = policy
        self._clock = clock
        self._number = 0
        self._published: int | None = None
        self.leases: Mapping[str, Watched] = {}
        """Every region's lease, by region."""
        self.holders: Mapping[str, LeaseValue] = {}
        """What each lease says of its holder: life and schema of its database."""
        self.reports: Mapping[str, Heard] = {}
        """Every vantage point's last report, this one's among them, however old."""
        self.looked_s: float | None = None
        """When the store last answered a look, on this process's clock."""

    async def look(self) -> None:
        """Look once; raises ``control_store_unavailable`` and has then seen nothing."""
        self._take_leases(await self._store.read(prefix=LEASES))
        self._take_reports(await self._store.read(prefix=REPORTS))

    def heard(self) -> Mapping[str, Report]:
        """Return the reports that are not old, by vantage point."""
        now_s = self._clock()
        return {name: each.report for name, each in self.reports.items() if now_s - each.first_s <= REPORT_OLD_S}

    def clocks_apart_s(self, wall_s: float) -> Mapping[str, float]:
        """Return how far each other vantage point's wall clock is ahead of ``wall_s``, by its last report."""
        now_s = self._clock()
        return {
            name: each.report.wall_s + now_s - each.first_s - wall_s
            for name, each in self.reports.items()
            if each.report.wall_s and name != self._vantage and now_s - each.first_s <= REPORT_OLD_S
        }

    async def publish(self, seen: Seen) -> None:
        """Write this vantage point's report: the leases as last looked at, and what observation adds."""
        key = REPORTS + self._vantage
        if self._published is None:
            self._published = (await self._store.read([key])).entries[key].version
        self._number += 1
        leases = {
            region: LeaseSeen(
                counter=each.counter,
                version=each.version,
                still_s=round(each.still_s, 3),
                reached=seen.reached.get(region, False),
            )
            for region, each in self.leases.items()
        }
        report = Report(
            vantage=self._vantage,
            number=self._number,
            leases=leases,
            holding=seen.holding,
            writes=seen.writes,
            findings=list(seen.findings),
            wall_s=seen.wall_s,
        )
        expected, self._published = self._published, None
        if await self._store.compare_and_set(expected={key: expected}, writes={key: encode_report(report)}):
            self._published = (await self._store.read([key])).entries[key].version

    def _take_leases(self, snapshot: Snapshot) -> None:
        now_s = self._clock()
        leases: dict[str, Watched] = {}
        holders: dict[str, LeaseValue] = {}
        for key, entry in snapshot.entries.items():
            region = key.removeprefix(LEASES)
            before = self.leases.get(region)
            is_same = before is not None and before.version == entry.version
            value = self.holders[region] if is_same else lease_from(entry)
            if value is None:
                continue
            holders[region] = value
            leases[region] = look(
                before,
                counter=value.counter,
                version=entry.version,
                now_s=now_s,
                policy=self._policy,
            )
        self.leases, self.holders, self.looked_s = leases, holders, now_s

    def _take_reports(self, snapshot: Snapshot) -> None:
        now_s = self._clock()
        heard: dict[str, Heard] = {}
        for key, entry in snapshot.entries.items():
            if entry.value is None or entry.version == ABSENT:
                continue
            vantage = key.removeprefix(REPORTS)
            before = self.reports.get(vantage)
            if before is not None and before.version == entry.version:
                heard[vantage] = before
                continue
            try:
                report = report_from(key, entry.value)
            except IntelGraphError:
                continue
            heard[vantage] = Heard(report=report, version=entry.version, first_s=now_s)
        self.reports = heard
