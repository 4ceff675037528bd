"""The control store, in memory and linearizable, and how each site reaches it: a ``ControlStore`` under virtual time.

A call takes effect at one instant between asking and answering, or never; whoever gets no answer does not know which.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

from intelgraph.control.directory.regions import REGIONS
from intelgraph.control.store.protocol import ABSENT, Change, Entry, Snapshot
from intelgraph.model.errors import IntelGraphError, retry
from intelgraph.simulator.network import NEAR_S, STORE, Network
from intelgraph.simulator.virtual_time import Pause, Universe

TIMEOUT_S = 1.5
T = TypeVar("T")


class Store:
    """Keys with versions, and compare-and-set over several of them."""

    def __init__(self, universe: Universe, network: Network) -> None:
        self.universe = universe
        self.network = network
        self.revision = 0
        self.down = False
        self.slow_s = 0.0
        self.written: Callable[[str, bytes | None, str], None] = lambda key, value, by: None
        """Told of every write at the instant it happens; only the observer listens."""
        self.drains_read_s: dict[str, float] = {}
        """By site: when it last read which regions are drained; only the observer asks."""
        self.asked_s: dict[str, float] = {}
        """By site: when it asked for the write of its that took effect last; only the observer asks."""
        self.waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._folders: dict[str, dict[str, Entry]] = {}

    def entry(self, key: str) -> Entry:
        """Look at one key, from outside of the schedule's world."""
        folder = self._folders.get(key[: key.index("/") + 1], {})
        return folder.get(key) or Entry(key=key, value=None, version=ABSENT)

    def folder(self, prefix: str) -> Mapping[str, Entry]:
        """Look at every key that begins so; a prefix ends with its slash."""
        return self._folders.get(prefix, {})

    def put(self, key: str, value: bytes | None, by: str) -> None:
        """Write at once."""
        self.revision += 1
        self._put(key, value, by)

    def set_if(self, expected: Mapping[str, int], writes: Mapping[str, bytes | None], by: str) -> bool:
        """Write everything if every expected key has that version."""
        if any(self.entry(key).version != version for key, version in expected.items()):
            return False
        self.revision += 1
        for key, value in writes.items():
            self._put(key, value, by)
        return True

    def snapshot(self, keys: Sequence[str], prefix: str | None) -> Snapshot:
        """Read as of this instant."""
        entries = dict(self._folders.get(prefix, {})) if prefix else {}
        for key in keys:
            entries[key] = self.entry(key)
        return Snapshot(revision=self.revision, entries=entries)

    def _put(self, key: str, value: bytes | None, by: str) -> None:
        prefix = key[: key.index("/") + 1]
        folder = self._folders.setdefault(prefix, {})
        if value is None:
            folder.pop(key, None)
        else:
            folder[key] = Entry(key=key, value=value, version=self.revision)
        self.written(key, value, by)
        for future in self.waiting.pop(prefix, ()):
            if not future.done():
                future.set_result(None)


class StoreClient:
    """The store as one site reaches it; made in the process that uses it."""

    def __init__(self, store: Store, site: str) -> None:
        self._store = store
        self._site = site

    async def read(self, keys: Sequence[str] = (), *, prefix: str | None = None) -> Snapshot:
        """Read ``keys`` and every key under ``prefix``, as of one instant."""
        if prefix == REGIONS:
            return await self._call(self._drains)
        return await self._call(lambda: self._store.snapshot(keys, prefix))

    async def compare_and_set(self, *, expected: Mapping[str, int], writes: Mapping[str, bytes | None]) -> bool:
        """Write all of ``writes`` if every expected key has that version."""
        asked_s = self._store.universe.now

        def effect() -> bool:
            self._store.asked_s[self._site] = asked_s
            return self._store.set_if(expected, writes, self._site)

        return await self._call(effect)

    async def watch(self, prefix: str, *, since: int) -> AsyncIterator[Change]:
        """Yield what is written under ``prefix`` after ``since``; no heartbeats: nobody here waits for them."""
        store, loop = self._store, asyncio.get_running_loop()
        while True:
            entries = tuple(entry for entry in store.folder(prefix).values() if entry.version > since)
            if not entries:
                news = loop.create_future()
                store.waiting.setdefault(prefix, []).append(news)
                await news
                await Pause(self._latency_s())
            if not self._reaches(STORE, self._site):
                raise _unavailable()
            entries = tuple(entry for entry in store.folder(prefix).values() if entry.version > since)
            since = max((entry.version for entry in entries), default=since)
            yield Change(revision=since, entries=entries)

    async def close(self) -> None:
        """Nothing is held."""

    def _drains(self) -> Snapshot:
        self._store.drains_read_s[self._site] = self._store.universe.now
        return self._store.snapshot((), REGIONS)

    async def _call(self, effect: Callable[[], T]) -> T:
        store, random = self._store, self._store.universe.random.random
        delay_s = self._latency_s() + store.slow_s * random()
        early = random() < 0.5
        answer: T | None = None
        if early:
            answer = self._effect(effect)
        await Pause(min(delay_s, TIMEOUT_S))
        if not early:
            answer = self._effect(effect)
        if answer is None or delay_s > TIMEOUT_S or not self._reaches(STORE, self._site):
            await Pause(max(TIMEOUT_S - delay_s, 0.0))
            raise _unavailable()
        return answer

    def _latency_s(self) -> float:
        slow, name = self._store.network.slow_s, self._site
        there_s = NEAR_S + (slow.get((name, STORE), 0.0) if slow else 0.0)
        return there_s * (0.5 + self._store.universe.random.random()) + (slow.get((STORE, name), 0.0) if slow else 0.0)

    def _effect(self, effect: Callable[[], T]) -> T | None:
        """Have the effect, if the request arrives."""
        return effect() if self._reaches(self._site, STORE) else None

    def _reaches(self, source: str, destination: str) -> bool:
        return not self._store.down and (source, destination) not in self._store.network.cuts


def _unavailable() -> IntelGraphError:
    return retry("control_store_unavailable", "the control store does not answer", retry_after_s=0.5)
