"""Where a drill plays: its placement and tenant in a running fleet, and what the fleet says of them.

A drill has a placement and a tenant of its own (``drill-remote``, ``drill-home-2``, …); nothing else of the fleet is
written to. They stay: the next drill takes one whose home is the region that it loses and which has not moved lately
(agents would leave it where it is), and makes another if there is none. Each run writes objects of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from intelgraph.changelog.repair import compare, report
from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.control import issuer
from intelgraph.control.agent.controller.opening import open_epoch
from intelgraph.control.agent.controller.salvaging import ByHand, audit_file, beyond, decide_by_hand
from intelgraph.control.agent.observer.observing import Known, read_known
from intelgraph.control.directory.placements import Directory, PlacementRecord
from intelgraph.control.directory.plans import PlanRecord
from intelgraph.control.store.opened import open_store
from intelgraph.control.store.protocol import ControlStore
from intelgraph.drill.checker.verdict import Fate
from intelgraph.drill.workload import Target
from intelgraph.fleet.etcd.status import read_control_status
from intelgraph.fleet.layout.places import Fleet
from intelgraph.model.bookmark import Bookmark
from intelgraph.model.errors import IntelGraphError, TransientError, refuse
from intelgraph.model.placement import Declared, Durability, Placement, Tenant
from intelgraph.placement.plan import Kind
from intelgraph.placement.policy import Policy
from intelgraph.settings import RegionConfig, load_control_config, load_region_config

_LOOK_S = 0.1
_TOKEN_S = 3_600.0
_REJECTED_AT_ONCE = 200
_POLICY = Policy()
_APART = 4 / 3
"""Agents count the seconds between moves in looks, and have seen fewer than have passed."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A fleet, and the placement of a drill: which region is to be its home, and how its writes are to be kept."""

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

    def config(self, region: str) -> RegionConfig:
        """A region's settings."""
        return load_region_config(self.fleet.region_config(region))

    def target(self) -> Target:
        """What the clients use: every region's own door."""
        signed: list[tuple[float, str]] = []

        def token() -> str:
            now_s = time.monotonic()
            if not signed or now_s - signed[-1][0] > _TOKEN_S / 2:
                signed[:] = [(now_s, issuer.sign(self.fleet.state, self.name, "writer", _TOKEN_S))]
            return signed[-1][1]

        urls = {region: f"http://127.0.0.1:{self.fleet.ports[f'{region}/edge']}" for region in self.regions}
        return Target(tenant=self.name, placement=self.name, regions=self.regions, urls=urls, token=token)

    async def chosen(self) -> Stage:
        """The same with a placement: the first that is fit for a drill, or is not there yet."""
        async with self._store() as store:
            known = await read_known(store)
        names = (f"drill-{self.durability.value}{f'-{n}' if n > 1 else ''}" for n in itertools.count(1))
        return replace(self, name=next(name for name in names if self._may_take(name, known)))

    async def ready(self, within_s: float) -> None:
        """Make the placement if need be, and wait until it is as declared: its home, a standby, durability."""

        async def is_as_declared() -> bool:
            async with self._store() as store:
                return self._may_take(self.name, await read_known(store))

        async with self._store() as store:
            await self._created(store)
        await _until(is_as_declared, within_s, f"{self.name} is not as declared (`intelgraph status` says why)")

    async def whole(self, within_s: float) -> None:
        """Wait until every region holds the same rows, without a gap; and nothing more is settled by policy."""
        await _until(self._is_whole, within_s, f"the regions of {self.name} do not hold the same")

    async def home(self) -> Placement:
        """The placement as it is now."""
        async with self._store() as store:
            return (await Directory(store).placement(self.name)).placement

    async def fates(self, keys: Iterable[str], within_s: float) -> Fates:
        """What became of keys, as their home tells it; adopting goes on by itself, so it is asked until that is over.

        A key of which every region holds the row is ``remote``.
        """
        asked, told = list(keys), dict[str, _Answer]()

        async def settled() -> bool:
            home = (await self.home()).home
            async with self._database(home) as database:
                rows = await database.fetch(
                    "select k, ig.key_answer($1, $2, k)::text as told from unnest($3::text[]) k",
                    self.name,
                    self.name,
                    asked,
                )
            told.update({row["k"]: msgspec.json.decode(row["told"], type=_Answer) for row in rows})
            return all(each.outcome is not Fate.HOME_ONLY for each in told.values())

        try:
            await _until(settled, within_s, "keys are still in one region only")
        except IntelGraphError:
            if not told:
                raise
        return Fates(
            of={key: answer.outcome for key, answer in told.items()},
            left_behind={key: answer.left_in for key, answer in told.items() if answer.left_in},
        )

    async def clear(self, why: str) -> int:
        """Reject what waits for people, with a reason: it is the drill's own. Returns how many rows that were."""
        home = (await self.home()).home
        async with self._database(home) as database:
            session = _Asking(database)
            waiting = [row.name for row in await beyond(session, self.name)]
            for start in range(0, len(waiting), _REJECTED_AT_ONCE):
                rows = tuple(waiting[start : start + _REJECTED_AT_ONCE])
                decision = ByHand(placement=self.name, rows=rows, adopt=False, reason=why, who="intelgraph drill")
                await decide_by_hand(session, audit_file(self.fleet.region(home)), decision)
        return len(waiting)

    async def etcd_leader(self) -> str | None:
        """The site whose member of etcd leads; nothing where there is none."""
        return (await asyncio.to_thread(read_control_status, self.fleet)).leader

    async def _created(self, store: ControlStore) -> None:
        directory = Directory(store)
        try:
            await directory.placement(self.name)
            await directory.tenant(self.name)
            return
        except IntelGraphError as error:
            if error.denied.code not in ("unknown_placement", "unknown_tenant"):
                raise
        record = await self._placement(directory)
        await open_epoch(record, self.config(record.placement.home).admin_database)
        await directory.create_tenant(Tenant(id=self.name, placement=self.name))

    async def _placement(self, directory: Directory) -> PlacementRecord:
        try:
            return await directory.placement(self.name)
        except IntelGraphError as error:
            if error.denied.code != "unknown_placement":
                raise
        return await directory.create_placement(
            Placement(
                id=self.name,
                home=self.region,
                standby=self.regions[1],
                regions=self.regions,
                epoch=1,
                durability=self.durability,
                declared=Declared(home=self.region, durability=self.durability),
            )
        )

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

    async def _is_whole(self) -> bool:
        async with AsyncExitStack() as stack:
            at = {region: await stack.enter_async_context(self._database(region)) for region in self.regions}
            for one, other in itertools.combinations(self.regions, 2):
                if not (await compare(at[one], at[other], placement=self.name, peer=other)).equal:
                    return False
            for database in at.values():
                facts = (await report(database))["placements"].get(self.name)
                if facts is None or facts["gap"]:
                    return False
        return True

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[ControlStore]:
        store = open_store(load_control_config(self.fleet.control_config))
        try:
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def _database(self, region: str) -> AsyncIterator[asyncpg.Connection[Any]]:
        connection = await connect(self.config(region).admin_database, statement_timeout_s=30)
        try:
            yield connection
        finally:
            connection.terminate()


class _Asking:
    """A session as salvaging asks for it."""

    def __init__(self, database: asyncpg.Connection[Any]) -> None:
        self._database = database

    async def ask(self, statement: str, *arguments: object) -> Any:
        return await self._database.fetchval(statement, *arguments)


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    bookmark: str
    outcome: Fate


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Fate
    outcomes: tuple[_Row, ...]

    @property
    def left_in(self) -> frozenset[str]:
        """The regions in which a row was left, although another of the key counts."""
        if self.outcome not in (Fate.REMOTE, Fate.HOME_ONLY, Fate.ADOPTED):
            return frozenset()
        left = (row for row in self.outcomes if row.outcome in (Fate.CONFLICT, Fate.REJECTED))
        return frozenset(Bookmark.parse(row.bookmark).origin for row in left)


@dataclass(frozen=True, kw_only=True)
class Fates:
    """What became of keys; and of those that count, where an earlier row was left behind (``checker.striking``)."""

    of: Mapping[str, Fate]
    left_behind: Mapping[str, frozenset[str]]


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
        except (*DRIVER_ERRORS, TransientError) as error:
            why = f": {type(error).__name__}: {error}"
        if time.monotonic() >= until_s:
            raise refuse("drill_not_whole", f"{otherwise} {within_s:g} s later{why}")
        await asyncio.sleep(_LOOK_S)
