"""Clients: patient ones keep a key and try again, impatient ones go away; every one reads what it wrote.

A client has no place of its own: it asks some allowed region that answers, as an edge would send it.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from intelgraph.changelog.model.log import ObjectKey
from intelgraph.simulator.network import Network
from intelgraph.simulator.promises import Promises
from intelgraph.simulator.region import Region
from intelgraph.simulator.virtual_time import Pause, Site, Universe
from intelgraph.simulator.worker import Asked, Told, Worker

DEADLINE_S = 15.0
ANSWER_S = 6.0
AGAIN_S = 0.4
BATCH_SHARE, BATCH_S_MAX = 0.15, 0.4
IDS = ("a", "b", "c", "d", "e", "f")
AGAIN = {"closing", "gap", "database_unavailable"}


class Habit(NamedTuple):
    """How a client behaves."""

    patient: bool
    pause_s: float
    reads: float
    """Which share of its operations are reads."""


class Clients:
    """All clients of a schedule."""

    def __init__(self, universe: Universe, network: Network, regions: dict[str, Region], promises: Promises) -> None:
        self.universe = universe
        self.network = network
        self.regions = regions
        self.promises = promises
        self.site = Site(universe, "clients")
        self.loop = self.site.process("clients")
        self.operations = 0
        self.answers: dict[str, int] = {}
        self._number = 0

    def start(self, name: str, habit: Habit, placements: dict[str, tuple[str, ...]], until_s: float) -> None:
        """Start a client that works on these placements, each with its allowed regions."""
        self.loop.run(self._work(name, habit, placements, until_s))

    async def _work(self, name: str, habit: Habit, placements: dict[str, tuple[str, ...]], until_s: float) -> None:
        random, names = self.universe.random, sorted(placements)
        await Pause(random.random())
        bookmarks: dict[str, tuple[str, Told]] = {}
        while self.universe.now < until_s:
            placement = names[int(random.random() * len(names))]
            self.operations += 1
            if random.random() < habit.reads:
                self._read(placement, placements[placement], bookmarks.get(placement))
            else:
                self._number += 1
                key = f"{name}-{self._number}"
                id_, operations = self._operations(placement, placements[placement])
                told = await self.write(placement, placements[placement], key, operations, habit.patient)
                if told.status == "ok":
                    bookmarks[placement] = (id_, told)
            await Pause(habit.pause_s * (0.5 + random.random()))

    def _operations(self, placement: str, allowed: tuple[str, ...]) -> tuple[str, tuple[Any, ...]]:
        random = self.universe.random.random
        id_ = IDS[int(random() * len(IDS))]
        chance = random()
        if chance < 0.3:
            id_ = IDS[0]
            wanted = {"id": id_, "type": "thing", "name": str(self._number)}
            seen = self._revision(placement, allowed, id_)
            return id_, ({"op": "upsert_entity", "entity": wanted, "if_revision": seen},)
        if chance < 0.85:
            return id_, ({"op": "upsert_entity", "entity": {"id": id_, "type": "thing", "name": str(self._number)}},)
        if chance < 0.93:
            other = IDS[int(random() * len(IDS))]
            wanted = {"id": f"{id_}-{other}", "type": "uses", "source": id_, "target": other}
            return id_, ({"op": "upsert_relationship", "relationship": wanted},)
        return id_, ({"op": "delete_entity", "id": id_},)

    def _revision(self, placement: str, allowed: tuple[str, ...], id_: str) -> int:
        """An entity's revision as some region shows it; 0 if it is not there."""
        region = self.regions[allowed[int(self.universe.random.random() * len(allowed))]]
        form = region.database.holds[placement].known.forms.get(ObjectKey(placement, "entity", id_))
        return 0 if form is None or form.object.get("deleted") else int(form.object["revision"])

    def _read(self, placement: str, allowed: tuple[str, ...], bookmark: tuple[str, Told] | None) -> None:
        random = self.universe.random.random
        region = self.regions[allowed[int(random() * len(allowed))]]
        worker = region.worker
        if not region.works or worker is None:
            return
        id_ = IDS[int(random() * len(IDS))]
        if bookmark is not None and random() < 0.8:
            self._count("read " + worker.read(placement, bookmark[0], bookmark[1]).status)
        else:
            self._count("read " + worker.read(placement, id_, None).status)

    # ----------------------------------------------------------------------------------------------------- a write

    async def write(
        self, placement: str, allowed: tuple[str, ...], key: str, operations: tuple[Any, ...], patient: bool
    ) -> Told:
        """Write once, and again with the same key until the deadline if patient."""
        began_s = self.universe.now
        told = Told("gone", "no region answers")
        unanswered = False
        while True:
            worker = self._home(placement, allowed)
            if worker is not None:
                told = await self._ask(worker, placement, key, operations)
                unanswered |= told.status == "unknown"
            final = told.status == "ok" or (told.status == "refused" and told.why not in AGAIN)
            if final or not patient or self.universe.now - began_s > DEADLINE_S:
                break
            await Pause(AGAIN_S * (0.5 + self.universe.random.random()))
        if told.status == "refused" and not unanswered:
            self.promises.refused(placement, key)
        self._count(told.status)
        return told

    def _home(self, placement: str, allowed: tuple[str, ...]) -> Worker | None:
        """Ask an allowed region that is up, which forwards once."""
        up = [self.regions[name] for name in allowed if self.regions[name].works]
        if not up:
            return None
        edge = up[int(self.universe.random.random() * len(up))]
        known = None if edge.worker is None else edge.worker.directory.get(placement)
        if known is None:
            return None
        home = self.regions[known.home]
        there = self.network.both_ways(edge.name, home.name)
        return home.worker if home is edge or (home.up and there) else None

    async def _ask(self, worker: Worker, placement: str, key: str, operations: tuple[Any, ...]) -> Told:
        told: asyncio.Future[Told] = self.loop.create_future()
        worker.write(Asked(placement, key, operations, self._takes_s()), told)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await told
        except TimeoutError:
            return Told("unknown", f"{worker.region.name} gave no answer")

    def _takes_s(self) -> float:
        """Draw for how long a write's transaction works: an import's batch has many operations."""
        random = self.universe.random.random
        return BATCH_S_MAX * random() if random() < BATCH_SHARE else 0.0

    def _count(self, what: str) -> None:
        self.answers[what] = self.answers.get(what, 0) + 1
