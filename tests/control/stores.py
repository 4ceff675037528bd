"""Both real control stores for tests, and one that shows what may happen between two of its steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from intelgraph.control.store.etcd import EtcdControlStore
from intelgraph.control.store.protocol import Change, ControlStore, Snapshot
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.errors import retry

from .etcd_cluster import etcd_cluster

Open = Callable[[], ControlStore]
STORES = ("etcd", "sqlite")


@contextmanager
def real_store(kind: str, directory: Path) -> Iterator[Open]:
    """A store of that kind, which can be opened several times."""
    if kind == "sqlite":
        yield lambda: SqliteControlStore(directory / "control.db", poll_s=0.01)
        return
    with etcd_cluster(1) as cluster:
        yield lambda: EtcdControlStore(cluster.members)


@asynccontextmanager
async def opened(open_store: Open, count: int = 1) -> AsyncIterator[list[ControlStore]]:
    """So many clients of one store."""
    stores = [open_store() for _ in range(count)]
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()


def run(body: Awaitable[None]) -> None:
    """Run a test's body, which must end."""

    async def bounded() -> None:
        async with asyncio.timeout(90):
            await body

    asyncio.run(bounded())


class Watched:
    """A real store, with what a test wants to happen after its next compare-and-set."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store
        self.after_set: Callable[[], Awaitable[None]] | None = None
        self.loses_answer = False

    async def read(self, keys: Sequence[str] = (), *, prefix: str | None = None) -> Snapshot:
        return await self._store.read(keys, prefix=prefix)

    async def compare_and_set(self, *, expected: Mapping[str, int], writes: Mapping[str, bytes | None]) -> bool:
        written = await self._store.compare_and_set(expected=expected, writes=writes)
        after, self.after_set = self.after_set, None
        if after is not None:
            await after()
        if self.loses_answer:
            self.loses_answer = False
            raise retry("control_store_unavailable", "whether it was written is not known", retry_after_s=1.0)
        return written

    def watch(self, prefix: str, *, since: int) -> AsyncIterator[Change]:
        return self._store.watch(prefix, since=since)

    async def close(self) -> None:
        await self._store.close()
