"""An API process of a region: the lease as it knows it, the directory as it knows it, and a write from end to end.

The lease (``api.write.granted``), where a write goes (``placement.routing``) and the agent's answers
(``control.agent.leases.grants``) are production's. The order is production's too (``api.write.write``): the grant, the
append with its fence, the standby, and the grant again. HTTP and the SQL of an append are modelled.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from intelgraph.api.write.granted import ANSWER_WAIT_S, GrantedLease
from intelgraph.changelog.model.append import Refused, Repeated, Request, answer
from intelgraph.changelog.model.log import Identity, Kind, Row, Writer
from intelgraph.control.agent.agent import Agent
from intelgraph.control.agent.leases.grants import GrantAnswer, GrantAsked
from intelgraph.control.agent.leases.grants import answer as grant_answer
from intelgraph.control.directory.placements import PLACEMENTS, placement_from
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.errors import Denied, IntelGraphError
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.routing import WriteHere, route_write
from intelgraph.simulator.database import LIFE, Held
from intelgraph.simulator.region import Region
from intelgraph.simulator.virtual_time import SiteLoop

COMMIT_S = 0.01
"""A commit takes up to twice as long: a disk flushes meanwhile."""
HANGS_S = 60.0
"""Longer than any client waits."""
REMOTE_WAIT_S = 5.0
EPOCH_LOOK_S = 0.25
RETRY_S = 0.1
READ_AGAIN_S = 0.5
PASSES = ("fenced", "not_home", "unknown_placement", "closing", "gap")
"""Refusals of the database that may pass by themselves."""


class Told(NamedTuple):
    """What a write or a read is answered: ``ok`` (with the row), ``held``, ``unknown``, ``refused``, or ``gone``."""

    status: str
    why: str
    row: Identity | None = None
    epoch: int = 0
    durability: str = "home"


class _Grants:
    """What the lease counts."""

    class grants:
        @staticmethod
        def inc() -> None:
            """Count nothing."""


class Worker:
    """One process. ``agent``: the region's, asked for the grant, as long as it runs."""

    def __init__(self, region: Region, loop: SiteLoop, store: ControlStore) -> None:
        self.region = region
        self.directory: dict[str, Placement] = {}
        self.agent: tuple[SiteLoop, Agent] | None = None
        self._store = store
        self._loop = loop
        metrics: Any = _Grants()
        self.lease = GrantedLease(region=region.name, path="", clock=loop.time, on_change=lambda: None, metrics=metrics)

    def start(self) -> None:
        """Start the process."""
        self._loop.run(self._keep_grant())
        self._loop.run(self._keep_directory())

    def write(self, placement: str, key: str, operations: tuple[Any, ...], told: asyncio.Future[Told]) -> None:
        """Take one write; ``told`` is another process's."""
        self._loop.begin(self._serve, placement, key, operations, told)

    # ------------------------------------------------------------------------------------------ what it is told

    async def _keep_grant(self) -> None:
        """Ask the agent for ever, as ``GrantedLease.run`` does over its socket."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_WAIT_S):
                    asked_s = self._loop.time()
                    told = await self._ask(self.lease.question())
                self.lease.take(asked_s, told)
                self.region.world.promises.granted(self.region.name, told.epochs)
            except (TimeoutError, ConnectionError):
                await asyncio.sleep(RETRY_S)

    async def _ask(self, question: GrantAsked) -> GrantAnswer:
        if self.agent is None or self.agent[0].dead:
            raise ConnectionRefusedError("no agent is there")
        there, agent = self.agent
        told: asyncio.Future[GrantAnswer] = self._loop.create_future()
        there.begin(_answer, agent, question, told)
        return await told

    async def _keep_directory(self) -> None:
        """Follow the placements."""
        while True:
            try:
                snapshot = await self._store.read(prefix=PLACEMENTS)
                for entry in snapshot.entries.values():
                    self._learn(placement_from(entry).placement)
                async for change in self._store.watch(PLACEMENTS, since=snapshot.revision):
                    for entry in change.entries:
                        self._learn(placement_from(entry).placement)
            except IntelGraphError:
                await asyncio.sleep(READ_AGAIN_S)

    def _learn(self, placement: Placement) -> None:
        known = self.directory.get(placement.id)
        if known is None or known.epoch < placement.epoch:
            self.directory[placement.id] = placement

    # -------------------------------------------------------------------------------------------------- a write

    async def _serve(self, placement: str, key: str, operations: tuple[Any, ...], told: asyncio.Future[Told]) -> None:
        answered = await self._write(placement, key, operations)
        if not told.done():
            told.set_result(answered)

    async def _write(self, name: str, key: str, operations: tuple[Any, ...]) -> Told:
        region = self.region
        placement = self.directory.get(name)
        if region.writes_fail:
            return await self._hang()
        if placement is None:
            return Told("held", "unknown_placement")
        if not isinstance(route_write(region=region.name, placement=placement, hopped=True), WriteHere):
            return Told("held", "fenced")
        granted = self.lease.grant_for(placement)
        if isinstance(granted, Denied):
            return Told("held", granted.code)
        if granted.delay_s:
            await asyncio.sleep(granted.delay_s)
        request = Request(epoch=placement.epoch, tenant=name, key=key, request=key, operations=operations)
        row = await self._append(region.database.holds[name], request)
        if isinstance(row, Told):
            return row
        return await self._acknowledge(placement, row)

    async def _acknowledge(self, placement: Placement, row: Row) -> Told:
        region = self.region
        remote = placement.durability is Durability.REMOTE
        if remote and placement.standby is not None and not await self._confirmed(placement, placement.standby):
            return Told("unknown", f"{placement.standby} has not confirmed")
        if not self.lease.may_acknowledge(placement.id, placement.epoch):
            return Told("unknown", "the lease ran out meanwhile")
        if region.writes_fail:
            return await self._hang()  # it is in the log, and its client hears nothing
        durability = placement.durability.value
        region.world.promises.acknowledged(region, placement.id, row, placement.epoch, durability)
        return Told("ok", "", row.identity, row.epoch, durability)

    async def _confirmed(self, placement: Placement, standby: str) -> bool:
        """Wait until the standby has all that is committed now; not for longer than the epoch is the newest."""
        region = self.region
        count, until_s = len(region.database.log), self._loop.time() + REMOTE_WAIT_S
        while (left_s := until_s - self._loop.time()) > 0:
            if await region.world.replication.flushed(region, standby, count, min(left_s, EPOCH_LOOK_S)):
                return True
            if self.directory[placement.id].epoch > placement.epoch:
                break
        return False

    @staticmethod
    async def _hang() -> Told:
        """Answer nothing for as long as anybody waits."""
        await asyncio.sleep(HANGS_S)
        return Told("gone", "it hangs")

    async def _append(self, held: Held, request: Request) -> Row | Told:
        """Append and commit; the placement's lock is held shared meanwhile."""
        region, world = self.region, self.region.world
        if region.database.disk_full or region.database_hangs:
            await asyncio.sleep(1.0)
            return Told("refused", "database_unavailable")
        if held.is_closed:
            return Told("held", "closing")
        if held.gap is not None:
            return Told("held", "gap")
        said = answer(held.known, Writer(region.name, LIFE), request)
        if isinstance(said, Repeated):
            return held.known.rows[Identity(*said.row)]
        if isinstance(said, Refused):
            return Told("held" if said.code in PASSES else "refused", said.code)
        position = region.database.draw()
        held.in_flight.add(position)
        await asyncio.sleep(COMMIT_S * (0.2 + world.universe.random.random() * 2))
        objects = tuple(said.objects.values())
        row = Row(
            identity=Identity(region.name, LIFE, position),
            epoch=request.epoch,
            kind=Kind.WRITE,
            digest=position,
            tenant=request.tenant,
            key=request.key,
            request=request.request,
            replicate_to=held.opening.opening.regions if held.opening and held.opening.opening else frozenset(),
            objects=objects,
            touched=frozenset(item["id"] for item in objects),
        )
        region.database.commit(request.tenant, row, world.universe.now)
        world.replication.kick(region)
        return row

    # --------------------------------------------------------------------------------------------------- a read

    def read(self, placement: str, id_: str, bookmark: Told | None) -> Told:
        """Answer a read that may carry a bookmark."""
        region = self.region
        held, promises = region.database.holds[placement], region.world.promises
        if held.gap is not None or held.opening is None:
            return Told("refused", "gap")
        if bookmark is not None and bookmark.row is not None:
            if bookmark.row not in held.known.rows:
                return Told("refused", "too_far_behind")
            if bookmark.row not in held.known.accepted:
                promises.superseded(region, placement, bookmark.row, bookmark.durability)
                return Told("refused", "superseded")
        promises.read(region, placement, id_, None if bookmark is None else bookmark.row)
        return Told("ok", "")


async def _answer(agent: Agent, question: GrantAsked, told: asyncio.Future[GrantAnswer]) -> None:
    found = await grant_answer(agent, question, agent.clock())
    if not told.done():
        told.set_result(found)
