"""Renewing a region's lease: heartbeat in its own database, then the counter in the control store, then the grant.

The order is the promise (docs/control.md, "Lease"): the clock is read first, the placements last, so that the grant
ends before any watcher can believe that the lease is over, and names only what was the region's after the renewal.

One agent process of a region renews at a time. Its database says which ``term``s (agent processes) it has known; a
lease of a known term is a predecessor's, whose session in the database is gone, and is taken over at once. A lease
of any other term is somebody else's who claims to be this region: it is left alone until it has stood still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from intelgraph.control.agent.leases.steady import Clock
from intelgraph.control.directory.placements import PLACEMENTS, placement_from
from intelgraph.control.directory.plans import plan_from
from intelgraph.control.store.keys import LEASES, PLANS
from intelgraph.control.store.protocol import ControlStore, Entry, Snapshot
from intelgraph.model.errors import IntelGraphError, retry
from intelgraph.placement.lease import LeasePolicy, Watched, granted_until, is_over, look
from intelgraph.placement.plan import is_open


class LeaseValue(msgspec.Struct, frozen=True, kw_only=True):
    """``leases/R``: the counter, which agent process raises it, and its database's life and schema digest."""

    counter: int
    term: str
    life: int
    schema: str


@dataclass(frozen=True, kw_only=True)
class Beat:
    """What a committed heartbeat tells about the database."""

    life: int
    schema: str
    terms: frozenset[str]
    """The agent processes that have had a heartbeat committed here."""


class Heartbeat(Protocol):
    """The region's own database, as far as a lease needs it."""

    async def beat(self, term: str, counter: int) -> Beat:
        """Commit a heartbeat; raises ``TransientError`` if that fails or takes too long."""
        ...


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a region may acknowledge until ``until_s`` on the agent's clock: each placement in exactly one epoch."""

    generation: str
    """Differs from that of every other grant."""
    until_s: float
    epochs: Mapping[str, int]


def lease_from(entry: Entry) -> LeaseValue | None:
    """Read a lease; none when it is absent or no lease: then nobody knows when it would be over."""
    try:
        return msgspec.json.decode(entry.value or b"", type=LeaseValue)
    except msgspec.DecodeError:
        return None


class LeaseKeeper:
    """The renewals of one agent process of one region."""

    def __init__(
        self,
        *,
        region: str,
        term: str,
        store: ControlStore,
        heartbeat: Heartbeat,
        policy: LeasePolicy,
        clock: Clock,
    ) -> None:
        self._region = region
        self._key = LEASES + region
        self._term = term
        self._store = store
        self._heartbeat = heartbeat
        self._policy = policy
        self._clock = clock
        self._held: Entry | None = None  # the lease as this process last wrote it
        self._other: Watched | None = None
        self._counter = 0
        self._renewals = 0

    async def beat(self) -> None:
        """Commit a heartbeat and leave the lease as it is; raises why the database does not commit."""
        await self._heartbeat.beat(self._term, self._counter + 1)

    async def renew(self) -> Grant:
        """Renew once; raises why there is no new grant. The one before stays good until it ends."""
        began_s = self._clock()
        beat = await self._heartbeat.beat(self._term, self._counter + 1)
        expected = await self._takeable(beat)
        self._held = None  # until the store has shown it: a failure from here on may have written it
        value = LeaseValue(counter=self._counter + 1, term=self._term, life=beat.life, schema=beat.schema)
        if not await self._store.compare_and_set(
            expected={self._key: expected}, writes={self._key: msgspec.json.encode(value)}
        ):
            raise self._taken()
        snapshot = await self._store.read([self._key], prefix=PLACEMENTS)
        plans = await self._store.read(prefix=PLANS)  # after them: a placement is never read with an older plan
        if lease_from(snapshot.entries[self._key]) != value:
            raise self._taken()
        self._held, self._counter = snapshot.entries[self._key], value.counter
        self._renewals += 1
        return Grant(
            generation=f"{self._term}/{self._renewals}",
            until_s=granted_until(began_s, self._policy),
            epochs=_epochs(snapshot, plans, self._region),
        )

    async def _takeable(self, beat: Beat) -> int:
        """Return the version at which the lease may be raised by this process; raises when it is another's."""
        if self._held is not None:
            return self._held.version
        entry = (await self._store.read([self._key])).entries[self._key]
        value = lease_from(entry)
        if value is None:
            return entry.version
        self._counter = value.counter
        if value.term == self._term or value.term in beat.terms:
            return entry.version
        self._other = look(
            self._other,
            counter=value.counter,
            version=entry.version,
            now_s=self._clock(),
            policy=self._policy,
        )
        if not is_over(self._other, self._policy):
            raise self._taken()
        return entry.version

    def _taken(self) -> IntelGraphError:
        return retry(
            "lease_taken",
            f"the lease of {self._region} is not renewed: another agent that this region's database does not know "
            f"holds it, or has just taken it; it is taken over when it has stood still for "
            f"{self._policy.over_after_s:g} s",
            retry_after_s=self._policy.renew_s,
            region=self._region,
        )


def _epochs(placements: Snapshot, plans: Snapshot, region: str) -> dict[str, int]:
    """Every placement whose home this is, if its epoch has been opened: until then nothing of it is acknowledged."""
    epochs: dict[str, int] = {}
    for key, entry in placements.entries.items():
        if not key.startswith(PLACEMENTS):
            continue
        try:
            placement = placement_from(entry).placement
            recorded = plans.entries.get(PLANS + placement.id)
            plan = None if recorded is None else plan_from(recorded).plan
        except IntelGraphError:
            continue  # not a legal placement, or nobody knows whether it is open: nobody may write there
        if placement.home == region and is_open(placement, plan):
            epochs[placement.id] = placement.epoch
    return epochs
