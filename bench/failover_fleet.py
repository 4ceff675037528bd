"""A fleet with many placements and any number of tenants, for as long as its failovers are timed.

Tenants are written into the control store in bulk, by the same compare-and-set as everything there; the doors of both
regions have heard of all of them before anything is timed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from bench.place import HOME, OTHER, intelgraph, make_directory, take_away
from intelgraph.control import issuer
from intelgraph.control.agent.controller.opening import open_epoch
from intelgraph.control.agent.observer.observing import Known, read_known
from intelgraph.control.directory.placements import TENANTS, Directory
from intelgraph.control.store.opened import open_store
from intelgraph.control.store.protocol import ABSENT, ControlStore
from intelgraph.fleet.layout.places import Fleet, locate
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.fleet.supervisor.status import Request
from intelgraph.fleet.supervisor.supervision import ask
from intelgraph.model.errors import TransientError
from intelgraph.model.placement import Declared, Durability, Placement
from intelgraph.operations.site import Site, find_site

__all__ = ["HOME", "OTHER", "Failing", "failing_fleet"]

_BATCH = {"sqlite": 5_000, "etcd": 120}
"""Keys in one compare-and-set; etcd takes 128 operations."""
_AT_ONCE = 8
_TRIES_MAX, _AGAIN_S = 20, 0.5
_WHOLE_S_MAX = 180.0


@dataclass(kw_only=True)
class Failing:
    """A fleet whose home is lost again and again."""

    fleet: Fleet
    site: Site
    type_command: Callable[..., Awaitable[str]]
    placements: list[str]
    tenants: int
    created_s: float = 0.0
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def ports(self) -> Mapping[str, int]:
        """Where everything listens."""
        return self.fleet.ports

    def one_of_each(self) -> list[str]:
        """One tenant of each placement."""
        return [_tenant(number) for number in range(len(self.placements))]

    def token(self, tenant: str) -> str:
        """A writer's token."""
        if tenant not in self._tokens:
            self._tokens[tenant] = issuer.sign(self.fleet.state, tenant, "writer", 4 * 3_600)
        return self._tokens[tenant]

    def hold(self, region: str) -> None:
        """Kill every process of a region."""
        if ask(self.fleet, Request(do="hold", part=region)) is None:
            raise RuntimeError("the fleet's supervisor does not run")

    async def go_home(self) -> None:
        """Let the home back, wait until it can be moved to, and move everything there."""
        ask(self.fleet, Request(do="release", part=HOME))
        await self._until("the home is not standby again", lambda known: _all_at(known, OTHER, HOME))
        await self.type_command("failback", "--all", "--json")
        await self._until("not everything is at home", lambda known: _all_at(known, HOME, OTHER))

    async def _until(self, otherwise: str, condition: Callable[[Known], bool]) -> None:
        store = open_store(self.site.control)
        try:
            deadline_s = time.monotonic() + _WHOLE_S_MAX
            while not condition(await read_known(store)):
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"{otherwise}, {_WHOLE_S_MAX:.0f} s later")
                await asyncio.sleep(0.2)
        finally:
            await store.close()


@contextlib.asynccontextmanager
async def failing_fleet(
    control: str, placements: int, tenants: int, say: Callable[[str], None]
) -> AsyncIterator[Failing]:
    """Bring a fleet up with so many placements and tenants; take it away at the end."""
    directory = make_directory()
    topology = directory / "intelgraph.toml"

    async def type_command(*arguments: str) -> str:
        return await intelgraph(topology, *arguments)

    try:
        say(f"bringing a fleet for {tenants:,} tenants up")
        await type_command("up", "--control", control, "--json")
        fleet = locate(load_topology(topology), start=directory)
        site = find_site(fleet.state)
        names = [f"p{number:03}" for number in range(placements)]
        failing = Failing(fleet=fleet, site=site, type_command=type_command, placements=names, tenants=tenants)
        store = open_store(site.control)
        try:
            await _create_placements(store, site, names)
            began_s = time.monotonic()
            await _create_tenants(store, names, tenants, _BATCH[control])
            failing.created_s = time.monotonic() - began_s
        finally:
            await store.close()
        say(f"{tenants:,} tenants created in {failing.created_s:.1f} s")
        yield failing
    finally:
        say("stopping a fleet and deleting its data")
        await asyncio.shield(take_away(topology, directory))


async def _create_placements(store: ControlStore, site: Site, names: list[str]) -> None:
    directory = Directory(store)
    for name in names:
        record = await directory.create_placement(
            Placement(
                id=name,
                home=HOME,
                standby=OTHER,
                regions=(HOME, OTHER),
                epoch=1,
                durability=Durability.REMOTE,
                declared=Declared(home=HOME, durability=Durability.REMOTE),
            )
        )
        await open_epoch(record, site.region(HOME).admin_database)


async def _create_tenants(store: ControlStore, placements: list[str], count: int, batch: int) -> None:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def create(numbers: range) -> None:
        writes: dict[str, bytes | None] = {}
        for number in numbers:
            name = _tenant(number)
            writes[TENANTS + name] = msgspec.json.encode(
                {"id": name, "placement": placements[number % len(placements)]}
            )
        async with slots:
            await _create_once(store, writes)

    async with asyncio.TaskGroup() as group:
        for first in range(0, count, batch):
            group.create_task(create(range(first, min(count, first + batch))))


async def _create_once(store: ControlStore, writes: Mapping[str, bytes | None]) -> None:
    """Create keys that nobody else creates: if a try had no answer, the next one finds what it did."""
    for tried in range(_TRIES_MAX):
        try:
            created = await store.compare_and_set(expected=dict.fromkeys(writes, ABSENT), writes=writes)
        except TransientError:
            await asyncio.sleep(_AGAIN_S)
            continue
        if not created and not tried:
            raise RuntimeError(f"{next(iter(writes))} exists already")
        return
    raise RuntimeError(f"the control store had no answer {_TRIES_MAX} times")


def _tenant(number: int) -> str:
    return f"t{number:07}"


def _all_at(known: Known, home: str, standby: str) -> bool:
    return all(
        record.placement.home == home
        and record.placement.standby == standby
        and not known.is_under_way(name)
        and not record.placement.is_degraded
        for name, record in known.placements.items()
    )
