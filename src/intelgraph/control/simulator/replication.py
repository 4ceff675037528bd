"""The streams between regions: in order, delayed, interrupted, sent again; their confirmations; lost slots; repair.

Each destination receives what is addressed to it and every mark. A link that was cut goes on from what was last
confirmed, so entries arrive twice. A lost slot skips entries: the destination notices, has a gap, and asks the home
(and each origin, for its own rows) to reissue what it lacks.
"""

from __future__ import annotations

from collections.abc import Callable

from intelgraph.changelog.model.log import Kind, Row
from intelgraph.control.simulator.engine import Engine, Steps
from intelgraph.control.simulator.network import Network
from intelgraph.control.simulator.region import Entry, Region

MARK_S = 1.0
REPAIR_S = 1.5

Watcher = Callable[[Region, Row], None]


class Replication:
    """All streams between the regions."""

    def __init__(self, engine: Engine, network: Network, regions: dict[str, Region], seen: Watcher) -> None:
        self.engine = engine
        self.network = network
        self.regions = regions
        self._seen = seen
        self._sending: set[tuple[str, str]] = set()

    def start(self, region: Region) -> None:
        """Start what the region's server does by itself."""
        self.engine.spawn(self._mark(region), region, "server", delay_s=self.engine.random.random() * MARK_S)
        self.engine.spawn(self._repair(region), region, "server", delay_s=self.engine.random.random() * REPAIR_S)

    def kick(self, origin: Region) -> None:
        """Something was committed: send it."""
        for destination in self.regions.values():
            if destination is not origin:
                self._send(origin, destination)

    def _mark(self, region: Region) -> Steps:
        while True:
            if not region.disk_full:
                region.mark(self.engine.now)
            self.kick(region)
            yield MARK_S

    def _send(self, origin: Region, destination: Region) -> None:
        """Have one delivery under way, if there is something to deliver."""
        key = (origin.name, destination.name)
        if key in self._sending or destination.received.get(origin.name, 0) >= len(origin.log):
            return
        self._sending.add(key)
        latency_s = self.network.latency_s(*key) * (0.8 + 0.4 * self.engine.random.random())
        upto = len(origin.log)
        self.engine.after(latency_s, lambda: self._deliver(origin, destination, upto))

    def _works(self, source: Region, destination: Region) -> bool:
        up = source.up and destination.up and not source.paused and not destination.paused
        return up and self.network.carries(source.name, destination.name)

    def _deliver(self, origin: Region, destination: Region, upto: int) -> None:
        self._sending.discard((origin.name, destination.name))
        connected = self._works(origin, destination) and self.network.carries(destination.name, origin.name)
        # What was on its way when the origin went down still arrives; nothing is asked for again.
        late = destination.up and not destination.paused and self.network.carries(origin.name, destination.name)
        if destination.disk_full or not (connected or (late and upto > 0)):
            return
        start = destination.received.get(origin.name, 0)
        for entry in origin.log[start:upto]:
            self._apply(origin, destination, entry)
        destination.received[origin.name] = max(start, upto)
        if connected:
            self._confirm(origin, destination)
            self._send(origin, destination)

    def _apply(self, origin: Region, destination: Region, entry: Entry) -> None:
        row = entry.row
        if row is None:
            destination.settled[origin.name] = max(destination.settled.get(origin.name, 0), entry.settled)
        elif destination.name in row.replicate_to:
            self.arrive(destination, row)
        destination.heard_s[origin.name] = max(destination.heard_s.get(origin.name, 0.0), entry.committed_s)

    def arrive(self, region: Region, row: Row) -> None:
        """Have a row arrive, however it came."""
        self._seen(region, row)
        held = region.holds[self.placement_of(row)]
        if held.known.arrive(row) and row.kind is Kind.OPEN and row.identity.origin != region.name and region.holes:
            held.gap = held.gap or "a slot was lost"

    def placement_of(self, row: Row) -> str:
        """A tenant belongs to one placement; opens and decisions carry it in the tenant's place."""
        return str(row.tenant)

    def _confirm(self, origin: Region, destination: Region) -> None:
        count = destination.received[origin.name]
        latency_s = self.network.latency_s(destination.name, origin.name)
        self.engine.after(latency_s, lambda: self._confirmed(origin, destination, count))

    def _confirmed(self, origin: Region, destination: Region, count: int) -> None:
        if not origin.up or origin.paused or not self.network.carries(destination.name, origin.name):
            return
        if count > origin.confirmed.get(destination.name, 0):
            origin.confirmed[destination.name] = count
            waiting = origin.waiting.get(destination.name)
            while waiting and waiting[0][0] <= count:
                self.engine.wake(waiting.popleft()[1])

    # ------------------------------------------------------------------------------------------ faults and repair

    def send_again(self, origin: Region, destination: Region, entries: int) -> None:
        """A connection that broke begins again earlier than what has arrived."""
        start = destination.received.get(origin.name, 0)
        destination.received[origin.name] = max(0, start - entries)

    def lose_slot(self, origin: Region, destination: Region) -> int:
        """What the slot kept never arrives; the next mark tells."""
        start = destination.received.get(origin.name, 0)
        lost = len(origin.log) - start
        if lost:
            destination.received[origin.name] = len(origin.log)
            self._notice(origin, destination)
        return lost

    def _notice(self, origin: Region, destination: Region) -> None:
        destination.holes.add(origin.name)
        for held in destination.holds.values():
            opening = held.opening
            if opening is None or opening.identity.origin != destination.name:
                held.gap = held.gap or f"the slot of {origin.name} was lost"

    def _repair(self, region: Region) -> Steps:
        """Ask for what is missing: each origin for its own rows, then the home for all it holds."""
        while True:
            yield REPAIR_S
            for name in sorted(region.holes):
                origin = self.regions[name]
                if self._both_ways(origin, region):
                    yield self.network.latency_s(name, region.name) * 2
                    if self._both_ways(origin, region):
                        self._own_rows(origin, region)
            for placement in region.holds:
                yield from self._repair_one(region, placement)
                self._compare(region, placement)

    def _own_rows(self, origin: Region, region: Region) -> None:
        for entry in origin.log[: region.received.get(origin.name, 0)]:
            if entry.row is not None and region.name in entry.row.replicate_to:
                self.arrive(region, entry.row)
        region.holes.discard(origin.name)

    def _repair_one(self, region: Region, placement: str) -> Steps:
        held = region.holds[placement]
        if held.opening is None or (held.gap is None and region.is_whole(placement)):
            return
        home = self.regions[held.opening.identity.origin]
        if home is region or not self._both_ways(home, region):
            return
        yield self.network.latency_s(home.name, region.name) * 2
        theirs = home.holds[placement]
        if not self._both_ways(home, region) or theirs.gap is not None or theirs.opening != held.opening:
            return
        for row in list(theirs.known.rows.values()):
            if region.name in row.replicate_to and row.identity not in held.known.rows:
                self.arrive(region, row)
        if not region.holes and theirs.opening == held.opening:
            held.gap = None
            held.whole_epoch = held.epoch

    def _compare(self, region: Region, placement: str) -> None:
        """Compare with each other region what should be here by now, or can come from nowhere else; take what lacks."""
        held = region.holds[placement].known.rows
        for other in self.regions.values():
            if other is region or placement not in other.holds or not self._both_ways(other, region):
                continue
            theirs = other.holds[placement].known.rows
            if len(theirs) == len(held) and theirs.keys() == held.keys():
                continue
            for row in [one for key, one in theirs.items() if key not in held and region.name in one.replicate_to]:
                origin = self.regions[row.identity.origin]
                if not origin.up or row.identity.position <= region.settled.get(origin.name, 0) or origin is region:
                    self.arrive(region, row)

    def _both_ways(self, one: Region, other: Region) -> bool:
        return self._works(one, other) and self._works(other, one)
