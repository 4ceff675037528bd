"""A region: its database (the log's model, positions, locks, closing), and what its doors know.

The database survives every crash with what was committed. Nothing here decides or waits.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from intelgraph.changelog.model.known import Known
from intelgraph.changelog.model.log import Identity, Kind, Opening, Ranges, Row, Writer
from intelgraph.control.simulator.engine import Engine, Process, Site
from intelgraph.model.placement import Placement
from intelgraph.placement.view import Copy

SCHEMA = "s1"


class Entry(NamedTuple):
    """One entry of what a region sends: a row, or (``row`` is none) a mark."""

    committed_s: float
    row: Row | None
    settled: int
    """Up to which position everything of the region was final then."""


class Grant(NamedTuple):
    """What a region may acknowledge, as its doors know it."""

    until_s: float
    epochs: dict[str, int]
    behind_s: dict[str, float]
    """By destination: how old the oldest entry was that it had not confirmed, when that was measured."""
    measured_s: float
    """When, on the region's clock."""


NO_GRANT = Grant(-1.0, {}, {}, -1.0)


class Held:
    """What one region holds of one placement."""

    __slots__ = ("closed", "fetched", "gap", "in_flight", "known", "whole_epoch")

    def __init__(self, region: str) -> None:
        self.known = Known(region)
        self.closed: tuple[int, int] | None = None
        """Epoch in which writing was ended, and the last position."""
        self.gap: str | None = None
        self.in_flight: set[int] = set()
        """Positions drawn and not committed: their writers hold the placement's lock shared."""
        self.fetched: dict[str, int] = {}
        """By origin: up to which position a survivor has reissued everything of this placement."""
        self.whole_epoch = 0
        """The epoch whose rows were brought here by repair."""

    @property
    def opening(self) -> Row | None:
        """The open in force with the highest epoch."""
        return self.known.standing[0] if self.known.standing else None

    @property
    def epoch(self) -> int:
        """Its epoch; 0: none has arrived."""
        return self.known.standing[0].epoch if self.known.standing else 0


class Region(Site):
    """One region. ``links`` are kept by `replication`."""

    __slots__ = (
        "behind_s",
        "confirmed",
        "directory",
        "disk_full",
        "doomed",
        "grant",
        "heard_s",
        "holds",
        "holes",
        "log",
        "lost_for_good",
        "marks",
        "position",
        "received",
        "settled",
        "standbys",
        "waiting",
        "writes_fail",
    )

    def __init__(self, name: str, placements: list[str], *, rate: float, offset_s: float) -> None:
        super().__init__(name, rate=rate, offset_s=offset_s)
        self.holds = {placement: Held(name) for placement in placements}
        self.log: list[Entry] = []
        self.position = 0
        self.settled: dict[str, int] = {}
        """By origin: up to which position nothing of it is missing here."""
        self.received: dict[str, int] = {}
        """By origin: how many entries of its log have been received."""
        self.confirmed: dict[str, int] = {}
        """By destination: how many of the own entries it is known to have flushed."""
        self.heard_s: dict[str, float] = {}
        """By origin: when the newest entry received was committed."""
        self.waiting: dict[str, deque[tuple[int, Process]]] = {}
        """By destination: who waits until it has flushed how many entries."""
        self.grant = NO_GRANT
        self.directory: dict[str, Placement] = {}
        self.disk_full = False
        self.writes_fail = False
        """No write of a client gets through, although the agent and the database work."""
        self.doomed = 0
        """The agent dies at the so-many-th place between two steps of an action."""
        self.lost_for_good = False
        self.marks = 0
        self.standbys: dict[tuple[str, int], Placement] = {}
        """What the open of (placement, epoch) said."""
        self.behind_s: dict[str, float] = {}
        """By origin: how old what is known of it was when its lease was last seen renewed."""
        self.holes: set[str] = set()
        """The origins of which rows may be missing here because a slot was lost."""

    # ---------------------------------------------------------------------------------------------- writing

    def own_settled(self) -> int:
        """The highest position below which nothing of this region is in flight."""
        flying = [position for held in self.holds.values() for position in held.in_flight]
        return min(flying) - 1 if flying else self.position

    def draw(self) -> int:
        """Draw a position."""
        self.position += 1
        return self.position

    def commit(self, placement: str, row: Row, now_s: float) -> None:
        """Make a row of this region durable and visible."""
        held = self.holds[placement]
        held.in_flight.discard(row.identity.position)
        held.known.arrive(row)
        self.log.append(Entry(now_s, row, self.own_settled()))

    def mark(self, now_s: float) -> None:
        """Say how far everything is settled."""
        self.log.append(Entry(now_s, None, self.own_settled()))

    def close(self, placement: str, epoch: int) -> int | None:
        """End writing in an epoch while nobody writes; the last position, or none when that epoch is not open here."""
        held = self.holds[placement]
        opening = held.opening
        if opening is None or held.epoch != epoch or opening.identity.origin != self.name:
            return None
        if held.closed is None or held.closed[0] != epoch:
            held.closed = (epoch, self.position)
        return held.closed[1]

    def reopen(self, placement: str, epoch: int) -> None:
        """Undo a close."""
        held = self.holds[placement]
        if held.closed is not None and held.closed[0] == epoch:
            held.closed = None

    def open(self, after: Placement, now_s: float, *, force: bool) -> Row | str:
        """Open an epoch with its cut; answers the row, or why not. Nobody may be writing."""
        held = self.holds[after.id]
        opening = held.opening
        if opening is not None and opening.epoch == after.epoch and opening.identity.origin == self.name:
            return opening
        if held.epoch >= after.epoch:
            return f"epoch {held.epoch} is open already"
        if held.gap is not None and not force:
            return f"rows may be missing: {held.gap}"
        cut = {Writer(origin, 1): self._held_of(after.id, origin) for origin in self._origins(after.id)}
        row = Row(
            identity=Identity(self.name, 1, self.draw()),
            epoch=after.epoch,
            kind=Kind.OPEN,
            digest=after.epoch,
            tenant=after.id,
            replicate_to=frozenset(after.regions),
            opening=Opening(regions=frozenset(after.regions), cut=cut),
        )
        self.standbys[after.id, after.epoch] = after
        held.gap = None
        self.commit(after.id, row, now_s)
        return row

    def _origins(self, placement: str) -> set[str]:
        return {row.identity.origin for row in self.holds[placement].known.rows.values()}

    def _held_of(self, placement: str, origin: str) -> Ranges:
        """The positions held of one stream: the settled prefix, and what is here beyond it."""
        held = self.holds[placement]
        if held.gap is not None or origin in self.holes:
            prefix = 0
        else:
            prefix = self.position if origin == self.name else self.settled.get(origin, 0)
        rows = held.known.rows
        beyond = sorted(one.position for one in rows if one.origin == origin and one.position > prefix)
        return (((1, prefix),) if prefix else ()) + tuple((position, position) for position in beyond)

    # ------------------------------------------------------------------------------------------- what is known

    def is_whole(self, placement: str) -> bool:
        """Whether everything that the cuts of the opens in force cover is here."""
        held = self.holds[placement]
        return held.gap is None and (
            held.whole_epoch >= held.epoch or all(self._covers(placement, row) for row in held.known.standing)
        )

    def _covers(self, placement: str, row: Row) -> bool:
        if row.opening is None or row.identity.origin == self.name:
            return True
        rows = self.holds[placement].known.rows
        for writer, ranges in row.opening.cut.items():
            if writer.origin == self.name:
                continue
            settled = self.settled.get(writer.origin, 0)
            for low, high in ranges:
                if high > settled and (low != high or Identity(writer.origin, writer.life, high) not in rows):
                    return False
        return True

    def copy(self, placement: Placement) -> Copy:
        """What the region would report of a placement."""
        held = self.holds[placement.id]
        settled = {f"{origin}/1": position for origin, position in self.settled.items()}
        for origin, position in held.fetched.items():
            settled[f"{origin}/1"] = max(position, settled.get(f"{origin}/1", 0))
        settled[f"{self.name}/1"] = self.own_settled()
        return Copy(
            schema=SCHEMA,
            epoch=held.epoch,
            hold=None,
            gap=held.gap,
            whole=self.is_whole(placement.id),
            closed=held.closed is not None and held.closed[0] == held.epoch,
            settled=settled,
            behind_s=self.behind_s.get(placement.home),
        )

    def oldest_unconfirmed_s(self, standby: str, engine: Engine) -> float:
        """How old the oldest entry is that the standby has not confirmed; 0: none."""
        index = self.confirmed.get(standby, 0)
        return engine.now - self.log[index].committed_s if index < len(self.log) else 0.0
