"""A region's database, modelled: the log of each placement, positions, cuts, closings, settled positions, tokens.

It survives every crash with what was committed. What rows come to is the log's reference model
(``changelog.model``), which the SQL is checked against; here is what surrounds it. Nothing here waits or decides.
"""

from __future__ import annotations

from typing import NamedTuple

from intelgraph.changelog.model.known import Known
from intelgraph.changelog.model.log import Identity, Kind, Opening, Ranges, Row, Writer
from intelgraph.model.placement import Placement
from intelgraph.simulator.virtual_time import SiteLoop

SCHEMA = "s1"
LIFE = 1


class Entry(NamedTuple):
    """One entry of what a region sends: a row, or (``row`` is none) a mark."""

    committed_s: float
    row: Row | None
    settled: int
    """Up to which position everything of the region was final then."""


class Held:
    """What one region holds of one placement."""

    __slots__ = ("closed", "gap", "in_flight", "is_whole_for", "known", "wanted_by", "whole_epoch", "writers")

    def __init__(self, region: str) -> None:
        self.known = Known(region)
        self.closed: tuple[int, int] | None = None
        """Epoch in which writing was ended, and the last position."""
        self.gap: str | None = None
        self.in_flight: set[int] = set()
        """Positions drawn and not committed."""
        self.writers = 0
        """How many hold the placement's lock shared, whether or not they have drawn a position yet."""
        self.wanted_by: list[SiteLoop] = []
        """The processes that wait for the lock alone: whoever comes to write after them waits."""
        self.whole_epoch = 0
        """The epoch whose rows were brought here by repair."""
        self.is_whole_for: Row | None = None
        """The open for which everything was found to be here; rows never leave."""

    @property
    def opening(self) -> Row | None:
        """The open in force with the highest epoch."""
        return self.known.standing[0] if self.known.standing else None

    @property
    def epoch(self) -> int:
        """Its epoch; 0: none has arrived."""
        return self.known.standing[0].epoch if self.known.standing else 0

    @property
    def is_closed(self) -> bool:
        """Whether writing has ended in the present epoch."""
        return self.closed is not None and self.closed[0] == self.epoch

    @property
    def is_wanted_alone(self) -> bool:
        """Whether a process that runs waits until nobody writes."""
        return bool(self.wanted_by) and any(not (loop.dead or loop.starved) for loop in self.wanted_by)

    def let_go(self) -> None:
        """End every transaction: the server is gone."""
        self.in_flight.clear()
        self.wanted_by.clear()
        self.writers = 0

    @property
    def tail(self) -> str | None:
        """Differs whenever other rows beyond a cut may wait for a decision than before."""
        inert = len(self.known.rows) - len(self.known.accepted)
        return f"{inert}/{len(self.known.named)}" if inert else None


class Database:
    """One region's."""

    def __init__(self, name: str, placements: list[str]) -> None:
        self.name = name
        self.holds = {placement: Held(name) for placement in placements}
        self.log: list[Entry] = []
        self.position = 0
        self.settled: dict[str, int] = {}
        """By origin: up to which position nothing of it is missing here."""
        self.received: dict[str, int] = {}
        """By origin: how many entries of its log have been received."""
        self.confirmed: dict[str, int] = {}
        """By destination: how many of the own entries it is known to have flushed."""
        self.tokens: dict[str, int] = {}
        """By peer: the newest reading (ns) of this machine's token clock that came back through the peer's log."""
        self.heard_s: dict[str, float] = {}
        """By origin: when the newest entry was committed that has arrived, in true time; only the observer asks."""
        self.terms: frozenset[str] = frozenset()
        """The agent processes that have had a heartbeat committed here."""
        self.disk_full = False
        self.holes: set[str] = set()
        """The origins of which rows may be missing here because a slot was lost."""
        self.opened: dict[tuple[str, int], Placement] = {}
        """What each epoch was opened with here, by placement and epoch: only the observer asks."""

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

    def close(self, placement: str, epoch: int) -> tuple[str, str]:
        """End writing in an epoch; the last position (``life/position``), or the code of the refusal."""
        held = self.holds[placement]
        code = self._fenced(held, epoch)
        if code is not None:
            return "", code
        if held.closed is None or held.closed[0] != epoch:
            held.closed = (epoch, self.position)
        return f"{LIFE}/{held.closed[1]}", ""

    def reopen(self, placement: str, epoch: int) -> str | None:
        """Undo a close; the code of the refusal if that epoch is not in force here any more."""
        held = self.holds[placement]
        if held.closed is not None and held.closed[0] == epoch:
            held.closed = None
        return self._fenced(held, epoch)

    def _fenced(self, held: Held, epoch: int) -> str | None:
        opening = held.opening
        if opening is None:
            return "unknown_placement"
        if held.epoch != epoch:
            return "fenced"
        return None if opening.identity.origin == self.name else "not_home"

    # ---------------------------------------------------------------------------------------------- opening

    def cut(self, placement: str) -> dict[Writer, Ranges]:
        """What is held here of each stream: what an ``open`` that is written now has to carry."""
        origins = {row.identity.origin for row in self.holds[placement].known.rows.values()}
        return {Writer(origin, LIFE): self._held_of(placement, origin) for origin in origins}

    def open(self, after: Placement, cut: dict[Writer, Ranges], now_s: float, *, force: bool) -> tuple[Row | None, str]:
        """Open an epoch with its cut while nobody writes; the row, and a code: ``ok``, ``repeated``, or why not."""
        held = self.holds[after.id]
        opening = held.opening
        if opening is not None and opening.epoch == after.epoch and opening.identity.origin == self.name:
            return opening, "repeated"
        if after.home != self.name:
            return None, "not_home"
        if held.epoch >= after.epoch:
            return None, "fenced"
        if held.gap is not None and not force:
            return None, "gap"
        row = Row(
            identity=Identity(self.name, LIFE, self.draw()),
            epoch=after.epoch,
            kind=Kind.OPEN,
            digest=after.epoch,
            tenant=after.id,
            replicate_to=frozenset(after.regions),
            opening=Opening(regions=frozenset(after.regions), cut=cut),
        )
        self.opened[after.id, after.epoch] = after
        held.gap = None
        self.commit(after.id, row, now_s)
        return row, "ok"

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
        if held.gap is not None or not held.known.standing:
            return held.gap is None
        if held.is_whole_for is held.known.standing[0] or held.whole_epoch >= held.epoch:
            return True
        if all(self._covers(placement, row) for row in held.known.standing):
            held.is_whole_for = held.known.standing[0]
            return True
        return False

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

    def streams(self) -> dict[str, int]:
        """By stream (``origin/life``): up to which position nothing is missing here."""
        settled = {f"{origin}/{LIFE}": position for origin, position in self.settled.items()}
        settled[f"{self.name}/{LIFE}"] = self.own_settled()
        return settled

    def positions(self, placement: str, origin: str, upto: int) -> list[int]:
        """The positions of a stream that are held here, up to one of them."""
        rows = self.holds[placement].known.rows
        return sorted(one.position for one in rows if one.origin == origin and one.position <= upto)

    def oldest_unconfirmed_s(self, standby: str, now_s: float) -> float:
        """How old the oldest entry is that a destination has not confirmed; 0: none."""
        index = self.confirmed.get(standby, 0)
        return now_s - self.log[index].committed_s if index < len(self.log) else 0.0
