"""The streams between regions: in order, delayed, interrupted, sent again; their confirmations; lost slots; repair.

Each destination receives what is addressed to it and every mark. A link that was cut goes on from what was last
confirmed, so entries arrive twice. A lost slot skips entries: the destination notices, has a gap, and asks the home
(and each origin, for its own rows) to reissue what it lacks. What arrives carries the newest reading of the
destination's clock that had reached the origin when it was committed there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from intelgraph.changelog.model.log import Kind, Row
from intelgraph.simulator.database import Database, Entry
from intelgraph.simulator.network import Network
from intelgraph.simulator.region import Region
from intelgraph.simulator.virtual_time import Universe

MARK_S = 1.0
REPAIR_S = 1.5

Watcher = Callable[[Region, Row], None]


class Replication:
    """All streams between the regions."""

    def __init__(self, universe: Universe, network: Network, regions: dict[str, Region], seen: Watcher) -> None:
        self.universe = universe
        self.network = network
        self.regions = regions
        self._seen = seen
        self._sending: set[tuple[str, str]] = set()
        self._waiting: dict[tuple[str, str], list[tuple[int, asyncio.Future[None]]]] = {}

    def start(self) -> None:
        """Start what each region's server does by itself."""
        random = self.universe.random.random
        for region in self.regions.values():
            self.universe.after(random() * MARK_S, self._mark, region)
            self.universe.after(random() * REPAIR_S, self._repair, region)

    def kick(self, origin: Region) -> None:
        """Something was committed: send it."""
        for destination in self.regions.values():
            if destination is not origin:
                self._send(origin, destination)

    async def flushed(self, origin: Region, standby: str, count: int, within_s: float) -> bool:
        """Wait until a standby has confirmed that it has flushed ``count`` entries; says whether it has in time."""
        database = origin.database
        if database.confirmed.get(standby, 0) >= count:
            return True
        loop = asyncio.get_running_loop()
        news: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault((origin.name, standby), []).append((count, news))
        timer = loop.call_later(within_s, _wake, news)
        await news
        timer.cancel()
        return database.confirmed.get(standby, 0) >= count

    def _mark(self, region: Region) -> None:
        if region.works and not region.database.disk_full and not region.database_hangs:
            region.database.mark(self.universe.now)
            self.kick(region)
        self.universe.after(MARK_S, self._mark, region)

    def _send(self, origin: Region, destination: Region) -> None:
        """Have one delivery under way, if there is something to deliver."""
        key = (origin.name, destination.name)
        upto = len(origin.database.log)
        if key in self._sending or destination.database.received.get(origin.name, 0) >= upto:
            return
        self._sending.add(key)
        latency_s = self.network.latency_s(*key) * (0.8 + 0.4 * self.universe.random.random())
        self.universe.after(latency_s, self._deliver, origin, destination, upto)

    def _works(self, source: Region, destination: Region) -> bool:
        return source.works and destination.works and self.network.carries(source.name, destination.name)

    def _deliver(self, origin: Region, destination: Region, upto: int) -> None:
        self._sending.discard((origin.name, destination.name))
        connected = self._works(origin, destination) and self.network.carries(destination.name, origin.name)
        # What was on its way when the origin went down still arrives; nothing is asked for again.
        late = destination.works and self.network.carries(origin.name, destination.name)
        there = destination.database
        stuck = there.disk_full or destination.database_hangs
        if stuck or not (connected or (late and upto > 0)):
            return
        start = there.received.get(origin.name, 0)
        for entry in origin.database.log[start:upto]:
            self._apply(origin, destination, entry)
        there.received[origin.name] = max(start, upto)
        if connected:
            self._confirm(origin, destination)
            self._send(origin, destination)

    def _apply(self, origin: Region, destination: Region, entry: Entry) -> None:
        row, there = entry.row, destination.database
        if row is None:
            there.settled[origin.name] = max(there.settled.get(origin.name, 0), entry.settled)
        elif destination.name in row.replicate_to:
            self.arrive(destination, row)
        there.heard_s[origin.name] = max(there.heard_s.get(origin.name, 0.0), entry.committed_s)
        if self.network.carries(destination.name, origin.name):
            sent_s = entry.committed_s - self.network.latency_s(destination.name, origin.name)
            token_ns = int((sent_s - destination.booted_s) * destination.rate * 1e9)
            if token_ns > 0 and (token_ns > there.tokens.get(origin.name, 0) or sent_s > destination.booted_s):
                there.tokens[origin.name] = token_ns

    def arrive(self, region: Region, row: Row) -> None:
        """Have a row arrive, however it came."""
        self._seen(region, row)
        held = region.database.holds[str(row.tenant)]
        holes = region.database.holes
        if held.known.arrive(row) and row.kind is Kind.OPEN and row.identity.origin != region.name and holes:
            held.gap = held.gap or "a slot was lost"

    def reissued(self, source: Region, destination: Region, rows: Sequence[Row]) -> None:
        """Have rows arrive that a survivor was asked for."""
        if self._both_ways(source, destination):
            for row in rows:
                self.arrive(destination, row)

    def _confirm(self, origin: Region, destination: Region) -> None:
        count = destination.database.received[origin.name]
        latency_s = self.network.latency_s(destination.name, origin.name)
        self.universe.after(latency_s, self._confirmed, origin, destination, count)

    def _confirmed(self, origin: Region, destination: Region, count: int) -> None:
        if not origin.works or not self.network.carries(destination.name, origin.name):
            return
        if count > origin.database.confirmed.get(destination.name, 0):
            origin.database.confirmed[destination.name] = count
            waiting = self._waiting.get((origin.name, destination.name))
            if waiting:
                for one in [one for one in waiting if one[0] <= count or one[1].done()]:
                    waiting.remove(one)
                    _wake(one[1])

    # ------------------------------------------------------------------------------------------ faults and repair

    def send_again(self, origin: Region, destination: Region, entries: int) -> None:
        """A connection that broke begins again earlier than what has arrived."""
        received = destination.database.received
        received[origin.name] = max(0, received.get(origin.name, 0) - entries)

    def lose_slot(self, origin: Region, destination: Region) -> int:
        """What the slot kept never arrives; the next mark tells."""
        received, log = destination.database.received, origin.database.log
        lost = len(log) - received.get(origin.name, 0)
        if lost:
            received[origin.name] = len(log)
            self._notice(origin, destination.database)
        return lost

    def _notice(self, origin: Region, there: Database) -> None:
        there.holes.add(origin.name)
        for held in there.holds.values():
            opening = held.opening
            if opening is None or opening.identity.origin != there.name:
                held.gap = held.gap or f"the slot of {origin.name} was lost"

    def _repair(self, region: Region) -> None:
        """Ask for what is missing: each origin for its own rows, then the home for all it holds."""
        self.universe.after(REPAIR_S, self._repair, region)
        if not region.works:
            return
        for name in sorted(region.database.holes):
            if self._both_ways(self.regions[name], region):
                self._own_rows(self.regions[name], region)
        for placement in region.database.holds:
            self._repair_one(region, placement)
            self._compare(region, placement)

    def _own_rows(self, origin: Region, region: Region) -> None:
        for entry in origin.database.log[: region.database.received.get(origin.name, 0)]:
            if entry.row is not None and region.name in entry.row.replicate_to:
                self.arrive(region, entry.row)
        region.database.holes.discard(origin.name)

    def _repair_one(self, region: Region, placement: str) -> None:
        database = region.database
        held = database.holds[placement]
        if held.opening is None or (held.gap is None and database.is_whole(placement)):
            return
        home = self.regions[held.opening.identity.origin]
        theirs = home.database.holds[placement]
        if home is region or not self._both_ways(home, region) or theirs.gap is not None:
            return
        if theirs.opening != held.opening:
            return
        for row in list(theirs.known.rows.values()):
            if region.name in row.replicate_to and row.identity not in held.known.rows:
                self.arrive(region, row)
        if not database.holes and theirs.opening == held.opening:
            held.gap = None
            held.whole_epoch = held.epoch

    def _compare(self, region: Region, placement: str) -> None:
        """Compare with each other region what should be here by now, or can come from nowhere else; take what lacks."""
        held = region.database.holds[placement].known.rows
        for other in self.regions.values():
            if other is region or placement not in other.database.holds or not self._both_ways(other, region):
                continue
            theirs = other.database.holds[placement].known.rows
            if len(theirs) == len(held) and theirs.keys() == held.keys():
                continue
            for row in [one for key, one in theirs.items() if key not in held and region.name in one.replicate_to]:
                origin = self.regions[row.identity.origin]
                settled = region.database.settled.get(origin.name, 0)
                if not origin.up or row.identity.position <= settled or origin is region:
                    self.arrive(region, row)

    def _both_ways(self, one: Region, other: Region) -> bool:
        return self._works(one, other) and self._works(other, one)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
