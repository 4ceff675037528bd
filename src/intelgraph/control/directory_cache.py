"""The directory as an API worker sees it: in memory, kept current by a watch, and closed when it cannot be trusted.

A lookup never waits for the store as long as the watch has been heard from within ``ttl_s`` (plus its heartbeat). When
it has not, lookups are refused with ``directory_unreadable``: a tenant may have been moved, and unknown means no. A
tenant or placement that is not found is looked up once more in the store before it is denied, so that one that was
created a moment ago is served at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from intelgraph.control.directory import (
    PLACEMENTS,
    TENANTS,
    PlacementRecord,
    placement_from,
    tenant_from,
)
from intelgraph.control.store import WATCH_HEARTBEAT_S, ControlStore, Entry
from intelgraph.model.errors import IntelGraphError, TransientError, refuse, retry
from intelgraph.model.placement import Placement

REFRESH_MIN_S = 0.02
RECONNECT_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Located:
    """A tenant and the placement it belongs to."""

    tenant: str
    placement: Placement


class CachedDirectory:
    """The read side of the directory. ``run`` keeps it current and must be a task of its own."""

    def __init__(self, store: ControlStore, *, ttl_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._fresh_for_s = ttl_s + WATCH_HEARTBEAT_S
        self._monotonic = monotonic
        self._located: dict[str, Located] = {}
        self._tenants: dict[str, str] = {}
        self._placements: dict[str, Placement] = {}
        self._revision = -1
        self._heard_at: float | None = None
        self._refreshed_at = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None

    def cached(self, tenant: str) -> Located | None:
        """Look a tenant up in memory; ``None`` if it is not there or memory is too old to be believed."""
        heard_at = self._heard_at
        if heard_at is None or self._monotonic() - heard_at > self._fresh_for_s:
            return None
        return self._located.get(tenant)

    async def locate(self, tenant: str) -> Located:
        """Find a tenant's placement; ``unknown_tenant`` or ``directory_unreadable`` if that cannot be said."""
        found = self.cached(tenant)
        if found is not None:
            return found
        await self.refresh()
        found = self.cached(tenant)
        if found is None:
            raise refuse("unknown_tenant", f"the tenant {tenant} is refused: the directory does not know it")
        return found

    async def refresh(self) -> None:
        """Read the whole directory now, together with whoever else asks; ``directory_unreadable`` if that fails."""
        if self._refreshing is None:
            self._refreshing = asyncio.ensure_future(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)
        await asyncio.shield(self._refreshing)

    def why_unreadable(self) -> str | None:
        """Say why the directory cannot be trusted now, or ``None`` if it can."""
        if self._heard_at is None:
            return "the directory has not been read yet"
        silent_s = self._monotonic() - self._heard_at
        if silent_s > self._fresh_for_s:
            return f"the control store has been silent for {silent_s:.1f} s; the bound is {self._fresh_for_s:.1f} s"
        return None

    async def run(self) -> None:
        """Follow the store for ever; a store that cannot be reached is tried again."""
        while True:
            with contextlib.suppress(IntelGraphError):
                await self._follow()
            await asyncio.sleep(RECONNECT_S)

    async def _follow(self) -> None:
        revision = await self._load()
        async for change in self._store.watch("", since=revision):
            self._heard_at = self._monotonic()
            if change.entries and change.revision > self._revision:
                self._take(change.entries)
                self._revision = change.revision

    async def _refresh(self) -> None:
        wait_s = self._refreshed_at + REFRESH_MIN_S - self._monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        try:
            await self._load()
        except TransientError as error:
            raise retry(
                "directory_unreadable",
                "the request is refused: the directory of tenants cannot be read, and unknown means no",
                retry_after_s=error.retry_after_s,
            ) from error
        finally:
            self._refreshed_at = self._monotonic()

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled():
            task.exception()

    async def _load(self) -> int:
        heard_at = self._monotonic()
        snapshot = await self._store.read(prefix="")
        if snapshot.revision >= self._revision:
            self._tenants, self._placements = {}, {}
            self._take(tuple(snapshot.entries.values()))
            self._revision = snapshot.revision
        self._heard_at = heard_at
        return snapshot.revision

    def _take(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            if entry.key.startswith(PLACEMENTS):
                self._take_placement(entry)
            elif entry.key.startswith(TENANTS):
                self._take_tenant(entry)
        self._located = {
            tenant: Located(tenant=tenant, placement=self._placements[placement])
            for tenant, placement in self._tenants.items()
            if placement in self._placements
        }

    def _take_placement(self, entry: Entry) -> None:
        name = entry.key.removeprefix(PLACEMENTS)
        record = _legal_placement(entry)
        if record is None:
            self._placements.pop(name, None)
        else:
            self._placements[name] = record.placement

    def _take_tenant(self, entry: Entry) -> None:
        name = entry.key.removeprefix(TENANTS)
        try:
            self._tenants[name] = tenant_from(entry).placement
        except IntelGraphError:
            self._tenants.pop(name, None)


def _legal_placement(entry: Entry) -> PlacementRecord | None:
    """Read a placement; one that is deleted or malformed is none, and its tenants are denied."""
    try:
        return placement_from(entry)
    except IntelGraphError:
        return None
