"""The directory as an API worker sees it: in memory, kept current by watches, and closed when it is too old.

A lookup never waits for the store. As long as the store has been heard from within ``ttl_s`` (plus a heartbeat) what
is known is *current*. When it has been silent for longer, what was known last goes on being believed for reads, up to
``stale_s_max`` (docs/residency.md says why that long), and ``age_s`` tells how old it is; a tenant that is not known
is refused with ``directory_unreadable``, for unknown means no. Whether a *write* may go on is not decided here: it
needs a grant, which ends with the region's lease.

A tenant that is not found is looked up in the store before it is denied, so that one that was created a moment ago is
served at once. A change costs what has changed: tenants find their placement by its id, when they are asked for.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from intelgraph.control.directory.placements import PLACEMENTS, TENANTS, placement_from, placement_name
from intelgraph.control.store.protocol import COMPACTED, WATCH_HEARTBEAT_S, ControlStore, Entry, Snapshot
from intelgraph.model.errors import IntelGraphError, TransientError, refuse, retry
from intelgraph.model.placement import Placement

REFRESH_MIN_S = 0.02
RECONNECT_S = 0.2
STALE_S_MAX = 600.0
_LOADED_AT_ONCE = 2_000


@dataclass(frozen=True, kw_only=True)
class Located:
    """A tenant and the placement it belongs to."""

    tenant: str
    placement: Placement


class CachedDirectory:
    """The read side of the directory. ``run`` keeps it current and must be a task of its own."""

    def __init__(
        self,
        store: ControlStore,
        *,
        ttl_s: float,
        stale_s_max: float = STALE_S_MAX,
        monotonic: Callable[[], float] = time.monotonic,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._fresh_for_s = ttl_s + WATCH_HEARTBEAT_S
        self._stale_s_max = stale_s_max
        self._monotonic = monotonic
        self._on_change = on_change
        self._tenants: dict[str, str] = {}
        self._placements: dict[str, Placement] = {}
        self._located: dict[str, Located] = {}
        self._versions: dict[str, int] = {}
        """The store's revision at which each placement was last read: an older answer changes nothing."""
        self._placements_followed, self._tenants_followed = _Followed(), _Followed()
        self._followed = {PLACEMENTS: self._placements_followed, TENANTS: self._tenants_followed}
        self._refreshed_at = float("-inf")
        self._reading: _Reading | None = None

    def cached(self, tenant: str) -> Located | None:
        """Look a tenant up in memory; ``None`` if it is not there or memory is too old even for reads."""
        found = self._located.get(tenant)
        if found is None or self._placements.get(found.placement.id) is not found.placement:
            found = self._found(tenant)
        return found if found is not None and self.age_s() <= self._stale_s_max else None

    def epoch_of(self, placement: str) -> int:
        """Return the newest epoch that was heard of, 0 for a placement that is not known."""
        found = self._placements.get(placement)
        return 0 if found is None else found.epoch

    async def locate(self, tenant: str) -> Located:
        """Find a tenant's placement; ``unknown_tenant`` or ``directory_unreadable`` if that cannot be said."""
        found = self.cached(tenant)
        if found is not None:
            return found
        told = await self._read_now(tenant)
        found = self._found(tenant)
        placement = self._placements.get(told.placements.get(tenant, ""))
        if found is None and placement is not None:  # all tenants were read meanwhile, as they were before
            found = Located(tenant=tenant, placement=placement)
        if found is None:
            raise refuse("unknown_tenant", f"the tenant {tenant} is refused: the directory does not know it")
        return found

    async def refresh(self, *tenants: str) -> None:
        """Read every placement and the given tenants now, together with whoever else asks.

        Raises ``directory_unreadable`` if that fails.
        """
        await self._read_now(*tenants)

    async def _read_now(self, *tenants: str) -> _Reading:
        while True:
            reading = self._reading
            if reading is None or reading.task.done():
                reading = self._reading = self._begin()
            if not reading.is_asked:
                reading.sought.update(tenants)
            is_of_all = reading.sought.issuperset(tenants)
            await asyncio.shield(reading.task)
            if is_of_all:
                return reading

    def age_s(self) -> float:
        """Return how long ago the store was last heard from; infinite before the directory was read."""
        return self._monotonic() - min(self._placements_followed.heard_at, self._tenants_followed.heard_at)

    @property
    def is_current(self) -> bool:
        """Whether the store has been heard from so lately that what is known is what holds."""
        since = self._monotonic() - self._fresh_for_s
        return self._placements_followed.heard_at >= since and self._tenants_followed.heard_at >= since

    def why_old(self) -> str | None:
        """Say why what is known may have changed, or ``None`` if it is current."""
        age_s = self.age_s()
        if age_s <= self._fresh_for_s:
            return None
        if age_s == float("inf"):
            return "the directory has not been read yet"
        return f"the control store has been silent for {age_s:.1f} s; the bound is {self._fresh_for_s:.1f} s"

    def why_unreadable(self) -> str | None:
        """Say why not even reads are served from what is known, or ``None`` if they are."""
        age_s = self.age_s()
        if age_s <= self._stale_s_max:
            return None
        if age_s == float("inf"):
            return "the directory has not been read yet"
        return f"the control store has been silent for {age_s:.0f} s; reads go on for {self._stale_s_max:.0f} s"

    async def run(self) -> None:
        """Follow the store for ever; a store that cannot be reached is tried again."""
        async with asyncio.TaskGroup() as group:
            for prefix in self._followed:
                group.create_task(self._follow_always(prefix))

    async def _follow_always(self, prefix: str) -> None:
        followed = self._followed[prefix]
        while True:
            try:
                await self._follow(prefix, followed)
            except TransientError as error:
                if error.denied.code == COMPACTED:
                    followed.revision = None
            except IntelGraphError:
                followed.revision = None
            await asyncio.sleep(RECONNECT_S)

    async def _follow(self, prefix: str, followed: _Followed) -> None:
        """Go on from where the last watch ended; read everything only when that cannot be told any more."""
        if followed.revision is not None and (await self._store.read()).revision < followed.revision:
            followed.revision = None
        if followed.revision is None:
            asked_at, newest = self._monotonic(), max(followed.upto, *self._versions.values(), 0)
            snapshot = await self._store.read(prefix=prefix)
            if prefix == PLACEMENTS and snapshot.revision < newest:
                self._versions.clear()  # of another store, which has counted further: this one was made anew
            await self._replace(prefix, snapshot)
            followed.upto = followed.revision = snapshot.revision
            followed.heard_at = asked_at
        async for change in self._store.watch(prefix, since=followed.revision):
            followed.heard_at = self._monotonic()
            if change.entries:
                self._take(change.revision, change.entries)
            followed.upto = followed.revision = max(followed.revision, change.revision)

    def _begin(self) -> _Reading:
        reading = _Reading()
        reading.task = asyncio.ensure_future(self._refresh(reading))
        reading.task.add_done_callback(_ended)
        return reading

    async def _refresh(self, reading: _Reading) -> None:
        wait_s = self._refreshed_at + REFRESH_MIN_S - self._monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        reading.is_asked = True
        asked_at = self._monotonic()
        try:
            snapshot = await self._store.read([TENANTS + tenant for tenant in reading.sought], prefix=PLACEMENTS)
        except TransientError as error:
            raise retry(
                "directory_unreadable",
                "the request is refused: the directory of tenants cannot be read, and unknown means no",
                retry_after_s=error.retry_after_s,
            ) from error
        finally:
            self._refreshed_at = self._monotonic()
        reading.tell(snapshot)
        entries: Iterable[Entry] = snapshot.entries.values()
        if (self._tenants_followed.revision or -1) >= snapshot.revision:
            # The watch has told of tenants what this answer tells, and perhaps what came later.
            entries = [entry for entry in entries if entry.key.startswith(PLACEMENTS)]
        self._take(snapshot.revision, entries)
        self._placements_followed.heard_at = max(self._placements_followed.heard_at, asked_at)

    async def _replace(self, prefix: str, snapshot: Snapshot) -> None:
        """Take a whole prefix: what is not among the entries is gone."""
        if prefix == TENANTS:
            self._tenants = await _tenants_of(snapshot)
            self._located = {}
            return
        here = {key.removeprefix(PLACEMENTS) for key in snapshot.entries}
        for gone in self._placements.keys() - here:
            if self._versions.get(gone, 0) <= snapshot.revision:
                del self._placements[gone]
        self._take(snapshot.revision, snapshot.entries.values())

    def _take(self, revision: int, entries: Iterable[Entry]) -> None:
        changed = False
        for entry in entries:
            if entry.key.startswith(PLACEMENTS):
                changed |= self._take_placement(revision, entry)
            elif entry.key.startswith(TENANTS):
                self._take_tenant(entry)
        if changed:
            self._on_change()

    def _take_placement(self, revision: int, entry: Entry) -> bool:
        name = sys.intern(entry.key.removeprefix(PLACEMENTS))
        if self._versions.get(name, -1) > revision:
            return False
        self._versions[name] = revision
        placement = _legal_placement(entry)
        if placement == self._placements.get(name):
            return False
        if placement is None:
            del self._placements[name]
        else:
            self._placements[name] = placement
        return True

    def _take_tenant(self, entry: Entry) -> None:
        name = entry.key.removeprefix(TENANTS)
        self._located.pop(name, None)
        placement = _placement_of(entry)
        if placement is None:
            self._tenants.pop(name, None)
        else:
            self._tenants[name] = placement

    def _found(self, tenant: str) -> Located | None:
        placement = self._placements.get(self._tenants.get(tenant, ""))
        if placement is None:
            self._located.pop(tenant, None)
            return None
        found = self._located[tenant] = Located(tenant=tenant, placement=placement)
        return found


@dataclass(kw_only=True)
class _Followed:
    """How far one prefix has been read, and when the store was last heard about it."""

    revision: int | None = None
    upto: int = 0
    """How far it had been read when it was heard of last: also while everything has to be read anew."""
    heard_at: float = float("-inf")


class _Reading:
    """One question to the store, together for all who wait for it; until it ``is_asked``, others may join it."""

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.sought: set[str] = set()
        self.is_asked = False
        self.placements: dict[str, str] = {}
        """By tenant that was sought and is there: its placement, as the store answered."""

    def tell(self, snapshot: Snapshot) -> None:
        """Take the answer."""
        named = {tenant: _placement_of(snapshot.entries[TENANTS + tenant]) for tenant in self.sought}
        self.placements = {tenant: name for tenant, name in named.items() if name is not None}


def _ended(task: asyncio.Task[None]) -> None:
    """Whoever waits is told of a failure; if nobody does any more, that is no fault."""
    if not task.cancelled():
        task.exception()


async def _tenants_of(snapshot: Snapshot) -> dict[str, str]:
    """Read every tenant's placement, and let others run meanwhile: there may be a million."""
    found: dict[str, str] = {}
    for number, (key, entry) in enumerate(snapshot.entries.items()):
        placement = _placement_of(entry)
        if placement is not None:
            found[key.removeprefix(TENANTS)] = placement
        if number % _LOADED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found


def _placement_of(entry: Entry) -> str | None:
    """Read the placement of a tenant; one that is deleted or malformed has none, and is denied."""
    name = placement_name(entry)
    return None if name is None else sys.intern(name)


def _legal_placement(entry: Entry) -> Placement | None:
    """Read a placement; one that is deleted or malformed is none, and its tenants are denied."""
    try:
        return placement_from(entry).placement
    except IntelGraphError:
        return None
