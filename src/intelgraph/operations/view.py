"""What an operation knows when it decides about placements: the agents' reports, and the store.

It has watched nothing itself, so it decides as one of the agents would: the one of the region that is to write,
or whoever reports. A report is believed only after it was seen to change: nothing in it tells how old it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from intelgraph.control.agent.leases.keeper import lease_from
from intelgraph.control.agent.observer.observing import Known, read_known
from intelgraph.control.directory.reports import REPORTS, WITNESS, Report, report_from
from intelgraph.control.store.keys import LEASES
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.errors import IntelGraphError, retry
from intelgraph.operations.operator import Operator
from intelgraph.placement.observation import Look, view_as
from intelgraph.placement.view import View

FRESH_WAIT_S = 2.5
"""An agent reports every second; one that has not within this time is silent."""
_LOOK_S = 0.1


@dataclass(frozen=True, kw_only=True)
class OperatorsView:
    """The store and the reports that are fresh, as of one moment."""

    known: Known
    reports: Mapping[str, Report]
    schemas: Mapping[str, str]
    versions: Mapping[str, int]
    """Of each region's lease: the version at which it was read."""

    def view(self, placement: str, *, as_of: str | None = None) -> View:
        """Put the view of one placement together, as ``as_of`` has it, else as whoever reports."""
        look = Look(
            plans={name: record.plan for name, record in self.known.plans.items() if record.plan is not None},
            drained=self.known.drained,
            schemas=self.schemas,
        )
        return view_as(self._vantage(as_of), self.reports, self.known.placements[placement].placement, look)

    def _vantage(self, wanted: str | None) -> str:
        if wanted is not None and wanted in self.reports:
            return wanted
        others = sorted(self.reports, key=lambda name: name != WITNESS)
        if not others:
            raise retry(
                "no_vantage",
                f"nothing is decided: no agent has reported within {FRESH_WAIT_S:g} s; do the agents run?",
                retry_after_s=1.0,
            )
        return others[0]


async def observe(store: ControlStore, *, to_decide: bool = False) -> OperatorsView:
    """Watch the reports until every one that is alive has changed, then read the store.

    ``to_decide``: also wait until they cover every placement. An agent that has just started reports its copies a
    second later. A decision before that would be refused, because the copies are not known.
    """
    first, known = await _reports(store), await read_known(store)
    until_s = time.monotonic() + FRESH_WAIT_S
    fresh: dict[str, Report] = {}
    while time.monotonic() < until_s and not (
        fresh.keys() == first.keys() and (not to_decide or all_reported(known, fresh))
    ):
        await asyncio.sleep(_LOOK_S)
        now = await _reports(store)
        fresh |= {
            name: report for name, report in now.items() if name not in first or report.number != first[name].number
        }
    leases = await store.read(prefix=LEASES)
    found = {key.removeprefix(LEASES): lease_from(entry) for key, entry in leases.entries.items()}
    return OperatorsView(
        known=await read_known(store),
        reports=fresh,
        schemas={region: lease.schema for region, lease in found.items() if lease is not None},
        versions={key.removeprefix(LEASES): entry.version for key, entry in leases.entries.items()},
    )


def all_reported(known: Known, reports: Mapping[str, Report]) -> bool:
    """Whether each reporting region reports its copy of each placement that may live there, and its write path."""
    reported = (
        (report.copy(name), report.writes)
        for name, record in known.placements.items()
        for region in record.placement.regions
        if (report := reports.get(region)) is not None
    )
    return all(copy is not None and path is not None and (path.is_known or path.is_broken) for copy, path in reported)


async def read_placements(operator: Operator) -> Known:
    """Placements, their plans and the drained regions as the store has them; no report is waited for."""
    async with operator.site.store() as store:
        return await read_known(store)


async def wait_for_placements(
    operator: Operator, holds: Callable[[Known], bool], *, within_s: float, poll_s: float = 0.05
) -> Known | None:
    """Read them again and again until something holds of them; none if it does not within ``within_s``."""
    async with operator.site.store() as store:
        until_s = time.monotonic() + within_s
        while not holds(known := await read_known(store)):
            if time.monotonic() >= until_s:
                return None
            await asyncio.sleep(poll_s)
        return known


async def _reports(store: ControlStore) -> dict[str, Report]:
    entries = (await store.read(prefix=REPORTS)).entries
    found: dict[str, Report] = {}
    for key, entry in entries.items():
        try:
            found[key.removeprefix(REPORTS)] = report_from(key, entry.value or b"")
        except IntelGraphError:
            continue
    return found
