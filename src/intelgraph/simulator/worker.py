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
from intelgraph.simulator.session import LOCK_S
from intelgraph.simulator.virtual_time import Pause, SiteLoop

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


class Asked(NamedTuple):
    """A write as a client asks for it; ``takes_s``: how long its transaction works before it draws its position."""

    placement: str
    key: str
    operations: tuple[Any, ...]
    takes_s: float = 0.0


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
        self._server = region.process("database")
        metrics: Any = _Grants()
        self.lease = GrantedLease(region=region.name, path="", clock=loop.time, on_change=lambda: None, metrics=metrics)

    def start(self) -> None:
        """Start the process."""
        self._loop.run(self._keep_grant())
        self._loop.run(self._keep_directory())

    def write(self, asked: Asked, told: asyncio.Future[Told]) -> None:
        """Take one write; ``told`` is another process's."""
        self._loop.begin(self._serve, asked, told)

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
                await Pause(RETRY_S)

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
                await Pause(READ_AGAIN_S)

    def _learn(self, placement: Placement) -> None:
        known = self.directory.get(placement.id)
        if known is None or known.epoch < placement.epoch:
            self.directory[placement.id] = placement

    # -------------------------------------------------------------------------------------------------- a write

    async def _serve(self, asked: Asked, told: asyncio.Future[Told]) -> None:
        answered = await self._write(asked)
        if not told.done():
            told.set_result(answered)

    async def _write(self, asked: Asked) -> Told:
        region, name, key = self.region, asked.placement, asked.key
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
            await Pause(granted.delay_s)
        request = Request(epoch=placement.epoch, tenant=name, key=key, request=key, operations=asked.operations)
        done: asyncio.Future[Row | Told] = self._loop.create_future()
        self._server.begin(self._append, region.database.holds[name], request, asked.takes_s, done)
        row = await done
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
        await Pause(HANGS_S)
        return Told("gone", "it hangs")

    async def _append(self, held: Held, request: Request, takes_s: float, done: asyncio.Future[Row | Told]) -> None:
        """Append and commit, in the database's server; the placement's lock is held shared meanwhile."""
        database = self.region.database
        while held.is_wanted_alone:
            await Pause(LOCK_S)
        if database.disk_full or self.region.database_hangs:
            await Pause(1.0)
            said: Row | Told = Told("refused", "database_unavailable")
        else:
            held.writers += 1
            said = await self._written(held, request, takes_s)
            held.writers -= 1
        if not done.done():
            done.set_result(said)

    async def _written(self, held: Held, request: Request, takes_s: float) -> Row | Told:
        """Do what the transaction does while it has the placement's lock."""
        region, world = self.region, self.region.world
        random = world.universe.random.random
        # Who wrote its objects last has yet to commit; then it does what was asked.
        await Pause((COMMIT_S + region.flush_s) * random() + takes_s)
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
        await Pause(COMMIT_S * (0.2 + random()) + region.flush_s)
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
