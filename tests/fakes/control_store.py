"""A control store in memory whose every step a test decides: who goes on, who dies, and whose answer is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping, Sequence

from intelgraph.control.store.protocol import ABSENT, Change, Entry, Snapshot
from intelgraph.model.errors import retry


class Pause:
    """A place at which a process waits for its turn, or dies."""

    def __await__(self) -> Generator[None, None, None]:
        """Wait once."""
        yield


class SteppedStore:
    """A ``ControlStore``: each call waits before it takes effect, and before it answers."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._revision = 0
        self.written: dict[str, list[bytes | None]] = {}
        """By key: every value that it ever had."""
        self.loses_answer = False
        """The next write's answer does not arrive."""

    async def read(self, keys: Sequence[str] = (), *, prefix: str | None = None) -> Snapshot:
        """Read, from one instant."""
        await Pause()
        named = {key: self._entry(key) for key in keys}
        found = {key: entry for key, entry in self._entries.items() if prefix is not None and key.startswith(prefix)}
        snapshot = Snapshot(revision=self._revision, entries={**named, **found})
        await Pause()
        return snapshot

    async def compare_and_set(self, *, expected: Mapping[str, int], writes: Mapping[str, bytes | None]) -> bool:
        """Write all or nothing."""
        await Pause()
        holds = all(self._entry(key).version == version for key, version in expected.items())
        if holds:
            self._revision += 1
            for key, value in writes.items():
                assert key in expected, "nobody overwrites what they have not read"
                self._entries[key] = Entry(key=key, value=value, version=self._revision)
                self.written.setdefault(key, []).append(value)
        lost, self.loses_answer = self.loses_answer, False
        await Pause()
        if lost:
            raise retry("control_store_unavailable", "whether it was written is not known", retry_after_s=0.0)
        return holds

    def watch(self, prefix: str, *, since: int) -> AsyncIterator[Change]:
        """Nobody watches it."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is held."""

    def _entry(self, key: str) -> Entry:
        return self._entries.get(key, Entry(key=key, value=None, version=ABSENT))
