"""The agents of a world: production's own (``control.agent``), on modelled ports.

A region's agent is what ``python -m intelgraph.control.agent`` composes: the keeper of its lease, its watch over the
others', the region's controller with its observer, its executors and its salvage. What it looks at and acts upon is a
model: the control store, its database, the other regions' databases, its edge, its clocks. It asks nobody whether they
answer (nothing is decided by that), and finds nothing for people.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from intelgraph.control.agent.agent import Agent, Hook, Parts
from intelgraph.control.agent.controller.controller import RegionHook
from intelgraph.control.agent.controller.gathering import Survivor
from intelgraph.control.agent.controller.ports import Reaching, Survey
from intelgraph.control.agent.leases.disk_room import SEGMENT_BYTES, RoomyHeartbeat
from intelgraph.control.agent.leases.grants import Bound
from intelgraph.control.agent.leases.keeper import Beat, LeaseKeeper
from intelgraph.control.agent.leases.watching import Watching
from intelgraph.control.agent.observer.limits import Limits
from intelgraph.control.agent.observer.observing import Observing
from intelgraph.control.agent.observer.write_prober import Ask, EdgeAnswer
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.control.directory.plans import Times
from intelgraph.control.directory.reports import WITNESS, Seen
from intelgraph.model.errors import Denied, retry
from intelgraph.placement.plan import Plan
from intelgraph.runtime.loops import Loop
from intelgraph.simulator import session
from intelgraph.simulator.database import LIFE, SCHEMA
from intelgraph.simulator.region import Region
from intelgraph.simulator.session import Remote, Session
from intelgraph.simulator.setting import Setting
from intelgraph.simulator.store import Store, StoreClient
from intelgraph.simulator.virtual_time import Pause, Site, SiteLoop

BEAT_S = 0.004
PROBE_S = 0.02
BEAT_TIMEOUT_S = 1.5


class _Heartbeat:
    """The heartbeat in a modelled database."""

    def __init__(self, region: Region) -> None:
        self._region = region

    async def beat(self, term: str, counter: int) -> Beat:
        """Commit a heartbeat."""
        region = self._region
        if region.database_hangs:
            await Pause(BEAT_TIMEOUT_S)
        await Pause(BEAT_S + region.flush_s)
        if region.database_hangs or region.database.disk_full:
            raise retry("database_unavailable", "the lease is not renewed: no heartbeat commits", retry_after_s=1.0)
        region.database.terms |= {term}
        return Beat(life=LIFE, schema=SCHEMA, terms=region.database.terms)


class _Nobody:
    """Asks no region whether it answers."""

    def reached(self) -> Mapping[str, bool]:
        """Return nothing."""
        return {}

    def unreached_s(self) -> Mapping[str, float]:
        """Return nothing."""
        return {}

    async def run(self) -> None:
        """Ask nobody, for ever."""
        await asyncio.Event().wait()


class _Nothing:
    """Finds nothing."""

    codes: frozenset[str] = frozenset()

    def findings(
        self, limits: Limits, stands: Mapping[str, Denied], waiting_rows: Mapping[str, int]
    ) -> tuple[Denied, ...]:
        """Return nothing."""
        return ()


class _Uncounted:
    """Counts nothing."""

    def ended(self, plan: Plan, times: Times) -> None:
        """A plan ended."""

    def salvaged(self, *, adopted: int, rejected: int) -> None:
        """Rows were decided about."""


class ModelledPorts:
    """The ports of a region's controller on a model."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self.metrics = _Uncounted()
        self.wall = region.wall
        self.token_clock = region.token_clock
        self.edge = self._edge
        self.survivors: Mapping[str, Survivor] = {
            name: partial(Remote, region, there) for name, there in region.world.regions.items() if there is not region
        }

    async def opening(self, record: PlacementRecord, force: bool) -> str:
        """Open an epoch in the region's database."""
        return await session.open_epoch(self._region, record, force)

    def looks(self) -> Session:
        """Return the session in which the agent looks at its database and carries out plans."""
        return Session(self._region)

    def salvage(self) -> Session:
        """Return the session in which it decides about rows beyond a cut."""
        return Session(self._region)

    def reaching(self) -> Reaching:
        """Return what asks nobody."""
        return _Nobody()

    def survey(self, agent: Agent, observing: Observing) -> Survey:
        """Return what finds nothing."""
        return _Nothing()

    def loops(self, agent: Agent) -> Mapping[str, Loop]:
        """None."""
        return {}

    @asynccontextmanager
    async def _edge(self) -> AsyncIterator[Ask]:
        yield self._probe

    async def _probe(self) -> EdgeAnswer:
        region = self._region
        await Pause(PROBE_S)
        while region.writes_fail or region.database.disk_full or region.database_hangs:
            await Pause(1.0)
        return EdgeAnswer()


class _WitnessHook:
    """The witness only looks."""

    def loops(self, agent: Agent) -> Mapping[str, Loop]:
        """None."""
        return {}

    def seen(self) -> Seen:
        """Nothing but the leases."""
        return Seen()

    def bounds(self) -> Mapping[str, Bound]:
        """None."""
        return {}

    def limits(self) -> Mapping[str, str]:
        """None."""
        return {}

    def is_passed_over(self) -> bool:
        """No."""
        return False

    def gives_up(self) -> Denied | None:
        """Never."""
        return None


def region_agent(region: Region, loop: SiteLoop, term: str) -> Agent:
    """Return the agent of a region; ``loop`` is its process."""
    world = region.world
    setting = world.setting
    policy = setting.policy.lease
    keeper = LeaseKeeper(
        region=region.name,
        term=term,
        store=StoreClient(world.store, region.name),
        heartbeat=RoomyHeartbeat(
            _Heartbeat(region),
            region=region.name,
            room=lambda: 0 if region.database.disk_full else 2 * SEGMENT_BYTES,
        ),
        policy=policy,
        clock=loop.time,
    )
    hook = RegionHook(region.name, ModelledPorts(region), setting.policy)
    return Agent(_parts(region, loop, StoreClient(world.store, region.name), setting, keeper), hook)


def witness_agent(site: Site, loop: SiteLoop, store: Store, setting: Setting) -> Agent:
    """Return the agent of the witness."""
    hook: Hook = _WitnessHook()
    return Agent(_parts(site, loop, StoreClient(store, WITNESS), setting), hook)


def _parts(
    site: Site, loop: SiteLoop, client: StoreClient, setting: Setting, keeper: LeaseKeeper | None = None
) -> Parts:
    policy = setting.policy.lease
    return Parts(
        here=site.name,
        region=None,
        store=client,
        policy=policy,
        clock=loop.time,
        watching=Watching(vantage=site.name, store=client, policy=policy, clock=loop.time),
        keeper=keeper,
        look_s=setting.look_s,
        suspect_look_s=setting.suspect_look_s,
        wall=site.wall,
        log=_Telling(site),
    )


class _Telling:
    """What an agent tells, for the transcript."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __call__(self, event: str, **facts: object) -> None:
        universe = self._site.universe
        if universe.told is not None and event not in ("started", "loop_recovered"):
            text = ", ".join(f"{name} {value}" for name, value in facts.items() if name != "reason" or "code" in facts)
            universe.say(self._site.name, f"{event.replace('_', ' ')}: {text}")
