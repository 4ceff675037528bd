"""Clients: patient ones keep a key and try again, impatient ones go away; every one reads what it wrote.

A client has no place of its own: it asks some allowed region that answers, as an edge would send it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from intelgraph.changelog.model.log import ObjectKey
from intelgraph.control.simulator.door import Doors, Told
from intelgraph.control.simulator.engine import Engine, Process, Site, Steps
from intelgraph.control.simulator.network import Network
from intelgraph.control.simulator.promises import Promises
from intelgraph.control.simulator.region import Region

DEADLINE_S = 15.0
ANSWER_S = 5.0
AGAIN_S = 0.4
IDS = ("a", "b", "c", "d", "e", "f")
AGAIN = {"closing", "gap", "database_unavailable"}


class Habit(NamedTuple):
    """How a client behaves."""

    patient: bool
    pause_s: float
    reads: float
    """Which share of its operations are reads."""


class _Asking:
    """One request: who waits for its answer, if anybody still does, and who works on it."""

    __slots__ = ("client", "server", "told")

    def __init__(self, client: Process) -> None:
        self.client: Process | None = client
        self.server: Process | None = None
        self.told: Told | None = None


class Clients:
    """All clients of a schedule."""

    def __init__(
        self, engine: Engine, network: Network, doors: Doors, regions: dict[str, Region], promises: Promises
    ) -> None:
        self.engine = engine
        self.network = network
        self.doors = doors
        self.regions = regions
        self.promises = promises
        self.site = Site("clients")
        self.operations = 0
        self.answers: dict[str, int] = {}
        self.longest_s: dict[str, float] = {}
        self._number = 0

    def start(self, name: str, habit: Habit, placements: dict[str, tuple[str, ...]], until_s: float) -> None:
        """Start a client that works on these placements, each with its allowed regions."""
        self.engine.spawn(
            self._work(name, habit, placements, until_s), self.site, name, delay_s=self.engine.random.random()
        )

    def _work(self, name: str, habit: Habit, placements: dict[str, tuple[str, ...]], until_s: float) -> Steps:
        random, names = self.engine.random, sorted(placements)
        bookmarks: dict[str, tuple[str, Told]] = {}
        while self.engine.now < until_s:
            placement = names[int(random.random() * len(names))]
            self.operations += 1
            if random.random() < habit.reads:
                self._read(placement, placements[placement], bookmarks.get(placement))
            else:
                self._number += 1
                key = f"{name}-{self._number}"
                id_, operations = self._operations(placement, placements[placement])
                told = yield from self.write(placement, placements[placement], key, operations, habit.patient)
                if told.status == "ok":
                    bookmarks[placement] = (id_, told)
            yield habit.pause_s * (0.5 + random.random())

    def _operations(self, placement: str, allowed: tuple[str, ...]) -> tuple[str, tuple[Any, ...]]:
        random = self.engine.random.random
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
        region = self.regions[allowed[int(self.engine.random.random() * len(allowed))]]
        form = region.holds[placement].known.forms.get(ObjectKey(placement, "entity", id_))
        return 0 if form is None or form.object.get("deleted") else int(form.object["revision"])

    def _read(self, placement: str, allowed: tuple[str, ...], bookmark: tuple[str, Told] | None) -> None:
        random = self.engine.random.random
        region = self.regions[allowed[int(random() * len(allowed))]]
        if not region.up or region.paused:
            return
        id_ = IDS[int(random() * len(IDS))]
        if bookmark is not None and random() < 0.8:
            self._count("read " + self.doors.read(region, placement, bookmark[0], bookmark[1]).status)
        else:
            self._count("read " + self.doors.read(region, placement, id_, None).status)

    # ----------------------------------------------------------------------------------------------------- a write

    def write(
        self, placement: str, allowed: tuple[str, ...], key: str, operations: tuple[Any, ...], patient: bool
    ) -> Generator[float | None, None, Told]:
        """Write once, and again with the same key until the deadline if patient."""
        began_s = self.engine.now
        told = Told("gone", "no region answers")
        unanswered = False
        while True:
            home = self._home(placement, allowed)
            if home is not None:
                told = yield from self._ask(home, placement, key, operations)
                unanswered |= told.status == "unknown"
            final = told.status == "ok" or (told.status == "refused" and told.why not in AGAIN)
            if final or not patient or self.engine.now - began_s > DEADLINE_S:
                break
            yield AGAIN_S * (0.5 + self.engine.random.random())
        if told.status == "refused" and self.doors.may_refuse(unanswered=unanswered):
            self.promises.refused(placement, key)
        took_s = self.engine.now - began_s
        self.longest_s[told.status] = max(took_s, self.longest_s.get(told.status, 0.0))
        self._count(told.status)
        return told

    def _home(self, placement: str, allowed: tuple[str, ...]) -> Region | None:
        """Ask an allowed region that is up, which forwards once."""
        up = [self.regions[name] for name in allowed if self.regions[name].up and not self.regions[name].paused]
        if not up:
            return None
        edge = up[int(self.engine.random.random() * len(up))]
        known = edge.directory.get(placement)
        if known is None:
            return None
        home = self.regions[known.home]
        there = self.network.carries(edge.name, home.name) and self.network.carries(home.name, edge.name)
        return home if home is edge or (home.up and there) else None

    def _ask(
        self, home: Region, placement: str, key: str, operations: tuple[Any, ...]
    ) -> Generator[float | None, None, Told]:
        assert self.engine.current is not None
        asking = _Asking(self.engine.current)
        asking.server = self.engine.spawn(self._serve(home, placement, (key, operations), asking), home, "door")
        yield ANSWER_S
        asking.client = None
        return asking.told or Told("unknown", f"{home.name} gave no answer")

    def _serve(self, home: Region, placement: str, asked: tuple[str, tuple[Any, ...]], asking: _Asking) -> Steps:
        assert asking.server is not None
        asking.told = yield from self.doors.write(home, placement, asked[0], asked[1], asking.server)
        if asking.client is not None:
            self.engine.wake(asking.client)

    def _count(self, what: str) -> None:
        self.answers[what] = self.answers.get(what, 0) + 1
