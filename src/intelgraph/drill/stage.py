"""Where a drill plays: its placement and tenant in a running fleet, and what the fleet says of them.

A drill has a placement and a tenant of its own (``drill-remote``, ``drill-home-2``, …); nothing else of the fleet is
written to. They stay: the next drill takes one whose home is the region that it loses and which has not moved lately
(agents would leave it where it is), and makes another if there is none. Each run writes objects of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from intelgraph.control.agent.observer.observing import Known
from intelgraph.control.directory.plans import PlanRecord
from intelgraph.drill.checker.verdict import Fate
from intelgraph.drill.workload import Target
from intelgraph.fleet.etcd.control_status import read_control_status
from intelgraph.fleet.layout.places import Fleet
from intelgraph.model.bookmark import Bookmark
from intelgraph.model.errors import IntelGraphError, TransientError, refuse
from intelgraph.model.placement import Declared, Durability, Placement, Tenant
from intelgraph.operations.operator import Operator
from intelgraph.operations.outcomes import KeyOutcome, read_outcomes
from intelgraph.operations.placements import create_placement, show_placement
from intelgraph.operations.salvage import reject_all
from intelgraph.operations.tenants import create_tenant, show_tenant
from intelgraph.operations.tokens import renewed_token
from intelgraph.operations.verification import is_whole
from intelgraph.operations.view import read_placements
from intelgraph.placement.plan import Kind
from intelgraph.placement.policy import Policy

_LOOK_S = 0.1
_POLICY = Policy()
_APART = 4 / 3
"""Agents count the seconds between moves in looks, and have seen fewer than have passed."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A fleet, and the placement of a drill: which region is to be its home, and how its writes are to be kept.

    ``operator`` does what the drill has to do there beside losing a region.
    """

    operator: Operator
    fleet: Fleet
    region: str
    durability: Durability
    name: str = ""
    """The placement's, and the tenant's; none before ``chosen``."""

    @property
    def regions(self) -> tuple[str, ...]:
        """Where its data is: in every region of the fleet, the home first."""
        others = [region.name for region in self.fleet.topology.regions if region.name != self.region]
        return (self.region, *others)

    def check(self) -> None:
        """Refuse what cannot be drilled: an unknown region, or one that has no other to take over."""
        known = [region.name for region in self.fleet.topology.regions]
        if self.region not in known:
            raise refuse("unknown_region", f"the region {self.region} is refused: the fleet has {', '.join(known)}")
        if len(known) < 2:
            raise refuse("no_other_region", f"the drill is refused: {self.region} has no other region to take over")

    def target(self) -> Target:
        """What the clients use: every region's own door."""
        token = renewed_token(self.operator, self.name, "writer")
        urls = {region: f"http://127.0.0.1:{self.fleet.ports[f'{region}/edge']}" for region in self.regions}
        return Target(tenant=self.name, placement=self.name, regions=self.regions, urls=urls, token=token)

    async def chosen(self) -> Stage:
        """The same with a placement: the first that is fit for a drill, or is not there yet."""
        known = await read_placements(self.operator)
        names = (f"drill-{self.durability.value}{f'-{n}' if n > 1 else ''}" for n in itertools.count(1))
        return replace(self, name=next(name for name in names if self._may_take(name, known)))

    async def ready(self, within_s: float) -> None:
        """Make the placement if need be, and wait until it is as declared: its home, a standby, durability."""

        async def is_as_declared() -> bool:
            return self._may_take(self.name, await read_placements(self.operator))

        await self._created()
        await _until(is_as_declared, within_s, f"{self.name} is not as declared (`intelgraph status` says why)")

    async def whole(self, within_s: float) -> None:
        """Wait until every region holds the same rows, without a gap; and nothing more is settled by policy."""

        async def whole() -> bool:
            return await is_whole(self.operator, self.name, self.regions)

        await _until(whole, within_s, f"the regions of {self.name} do not hold the same")

    async def fates(self, keys: Iterable[str], within_s: float) -> Fates:
        """What became of keys, as their home tells it; adopting goes on by itself, so it is asked until that is over.

        A key of which every region holds the row is ``remote``.
        """
        asked, told = list(keys), dict[str, KeyOutcome]()

        async def settled() -> bool:
            told.update(await read_outcomes(self.operator, self.name, self.name, asked))
            return all(Fate(each.outcome) is not Fate.HOME_ONLY for each in told.values())

        try:
            await _until(settled, within_s, "keys are still in one region only")
        except IntelGraphError:
            if not told:
                raise
        return Fates(
            of={key: Fate(answer.outcome) for key, answer in told.items()},
            left_behind={key: left for key, answer in told.items() if (left := _left_in(answer))},
        )

    async def clear(self, why: str) -> int:
        """Reject what waits for people, with a reason: it is the drill's own. Returns how many rows that were."""
        return await reject_all(self.operator.because(why), self.name)

    async def etcd_leader(self) -> str | None:
        """The site whose member of etcd leads; nothing where there is none."""
        return (await asyncio.to_thread(read_control_status, self.fleet)).leader

    async def _created(self) -> None:
        try:
            await show_placement(self.operator, self.name)
            await show_tenant(self.operator, self.name)
            return
        except IntelGraphError as error:
            if error.denied.code not in ("unknown_placement", "unknown_tenant"):
                raise
        placement = Placement(
            id=self.name,
            home=self.region,
            standby=self.regions[1],
            regions=self.regions,
            epoch=1,
            durability=self.durability,
            declared=Declared(home=self.region, durability=self.durability),
        )
        await create_placement(self.operator, placement)
        await create_tenant(self.operator, Tenant(id=self.name, placement=self.name))

    def _may_take(self, name: str, known: Known) -> bool:
        record = known.placements.get(name)
        if record is None:
            return True
        placement, plan = record.placement, known.plan_of(name)
        settled = (
            placement.standby is not None and not known.is_under_way(name) and placement.durability is self.durability
        )
        rested = _moved_s_ago(plan) >= _APART * _POLICY.moves_apart_s
        return settled and rested and placement.home == self.region and set(placement.regions) == set(self.regions)


@dataclass(frozen=True, kw_only=True)
class Fates:
    """What became of keys; and of those that count, where an earlier row was left behind (``checker.striking``)."""

    of: Mapping[str, Fate]
    left_behind: Mapping[str, frozenset[str]]


def _left_in(answer: KeyOutcome) -> frozenset[str]:
    """The regions in which a row was left, although another of the key counts."""
    if Fate(answer.outcome) not in (Fate.REMOTE, Fate.HOME_ONLY, Fate.ADOPTED):
        return frozenset()
    left = (row for row in answer.outcomes if Fate(row.outcome) in (Fate.CONFLICT, Fate.REJECTED))
    return frozenset(Bookmark.parse(row.bookmark).origin for row in left)


def _moved_s_ago(record: PlanRecord) -> float:
    """How long ago a placement last changed its home, by the wall clock: agents let moves be some time apart."""
    moves = [(Kind(past.kind), past.times) for past in record.past if past.given_up is None]
    if record.plan is not None and record.times is not None:
        moves.append((record.plan.kind, record.times))
    ends = [times.finished_at for kind, times in moves if kind is not Kind.RESTAND and times.finished_at]
    if not ends:
        return float("inf")
    return (datetime.now(UTC) - max(datetime.fromisoformat(each) for each in ends)).total_seconds()


def counted(fates: Mapping[str, Fate]) -> dict[str, int]:
    """How many keys had which fate."""
    return {fate.value: sum(each is fate for each in fates.values()) for fate in Fate if fate in fates.values()}


async def _until(holds: Callable[[], Awaitable[bool]], within_s: float, otherwise: str) -> None:
    """Wait until something holds; a database or a store that is away does not hold."""
    until_s, why = time.monotonic() + within_s, ""
    while True:
        try:
            if await holds():
                return
            why = ""
        except TransientError as error:
            why = f": {error}"
        if time.monotonic() >= until_s:
            raise refuse("drill_not_whole", f"{otherwise} {within_s:g} s later{why}")
        await asyncio.sleep(_LOOK_S)
