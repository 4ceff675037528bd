"""What every control store promises; a new implementation is one line in ``STORES``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from intelgraph.control.store.etcd import EtcdControlStore
from intelgraph.control.store.protocol import ABSENT, COMPACTED, WATCH_HEARTBEAT_S, Change, ControlStore
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.errors import TransientError
from tests.machine import WAIT_S, stretched

from .etcd_cluster import etcd_cluster

Open = Callable[[], ControlStore]
STORES = ("etcd", "sqlite")


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    if request.param == "sqlite":
        yield lambda: SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
        return
    with etcd_cluster(1) as cluster:
        yield lambda: EtcdControlStore(cluster.members)


def run(body: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WAIT_S):
            await body

    asyncio.run(bounded())


@asynccontextmanager
async def opened(open_store: Open, count: int = 1) -> AsyncIterator[list[ControlStore]]:
    stores = [open_store() for _ in range(count)]
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()


def test_an_absent_key_reads_as_version_zero_without_value(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            entry = (await store.read(["a"])).entries["a"]
            assert (entry.version, entry.value) == (0, None)

    run(body())


def test_many_keys_are_read_at_once_and_from_one_instant(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            names = [f"many/{number:03}" for number in range(300)]
            for number in (0, 299):
                assert await store.compare_and_set(
                    expected={names[number]: ABSENT}, writes={names[number]: b"%d" % number}
                )
            found = await store.read(names, prefix="many/")
            assert list(found.entries) == names
            assert {key: entry.value for key, entry in found.entries.items() if entry.value is not None} == {
                names[0]: b"0",
                names[299]: b"299",
            }

    run(body())


def test_a_key_is_created_only_while_it_is_absent(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            assert await store.compare_and_set(expected={"a": 0}, writes={"a": b"1"})
            assert not await store.compare_and_set(expected={"a": 0}, writes={"a": b"2"})
            assert (await store.read(["a"])).entries["a"].value == b"1"

    run(body())


def test_a_stale_version_writes_none_of_several_keys(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            await store.compare_and_set(expected={"a": 0, "b": 0}, writes={"a": b"1", "b": b"1"})
            a = (await store.read(["a"])).entries["a"].version
            assert not await store.compare_and_set(expected={"a": a, "b": a + 1}, writes={"a": b"2", "b": b"2"})
            snapshot = await store.read(prefix="")
            assert {key: entry.value for key, entry in snapshot.entries.items()} == {"a": b"1", "b": b"1"}

    run(body())


def test_versions_are_revisions_of_the_store_and_a_deleted_key_is_absent_again(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            await store.compare_and_set(expected={"a": 0}, writes={"a": b"1"})
            await store.compare_and_set(expected={"b": 0}, writes={"b": b"1"})
            snapshot = await store.read(["a", "b"])
            first, second = snapshot.entries["a"].version, snapshot.entries["b"].version
            assert 0 < first < second == snapshot.revision
            assert await store.compare_and_set(expected={"a": first}, writes={"a": None})
            snapshot = await store.read(["a"], prefix="")
            assert snapshot.entries["a"].version == 0
            assert [key for key, entry in snapshot.entries.items() if entry.value is not None] == ["b"]
            assert await store.compare_and_set(expected={"a": 0}, writes={"a": b"again"})
            assert (await store.read(["a"])).entries["a"].version > snapshot.revision

    run(body())


def test_a_key_is_not_written_without_saying_which_version_was_read(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            with pytest.raises(ValueError, match="without an expected version"):
                await store.compare_and_set(expected={}, writes={"a": b"1"})

    run(body())


def test_of_many_writers_that_read_the_same_version_one_wins(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store, 4) as stores:
            won = 0
            for _ in range(10):
                version = (await stores[0].read(["a"])).entries["a"].version
                tries = [s.compare_and_set(expected={"a": version}, writes={"a": b"x"}) for s in stores]
                won += sum(await asyncio.gather(*tries))
            assert won == 10

    run(body())


def test_a_watch_from_the_revision_that_was_read_misses_nothing(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store, 2) as [writer, reader]:
            await writer.compare_and_set(expected={"t/a": 0}, writes={"t/a": b"0"})
            since = (await reader.read(prefix="t/")).revision
            await writer.compare_and_set(expected={"t/b": 0, "other": 0}, writes={"t/b": b"1", "other": b"1"})
            seen: list[tuple[str, bytes | None]] = []

            async def follow() -> None:
                async for change in reader.watch("t/", since=since):
                    seen.extend((entry.key, entry.value) for entry in change.entries)
                    if ("t/a", None) in seen:
                        return

            task = asyncio.create_task(follow())
            version = (await writer.read(["t/a"])).entries["t/a"].version
            await writer.compare_and_set(expected={"t/a": version}, writes={"t/a": None})
            await task
            assert seen == [("t/b", b"1"), ("t/a", None)]

    run(body())


def test_a_quiet_watch_says_that_nothing_has_changed(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            began_s = time.monotonic()
            async with asyncio.timeout(WAIT_S):
                change = await anext(store.watch("", since=0))
            assert change == Change(revision=0, entries=())
            assert time.monotonic() - began_s < stretched(WATCH_HEARTBEAT_S, began_s)

    run(body())


def test_a_watch_from_a_revision_that_the_store_has_not_come_to_says_so(open_store: Open) -> None:
    """It was made anew, or an earlier state of it was put back."""

    async def body() -> None:
        async with opened(open_store) as (store,):
            later = (await store.read()).revision + 100
            with pytest.raises(TransientError) as caught:
                async with asyncio.timeout(WAIT_S):
                    async for _ in store.watch("", since=later):
                        pass
            assert caught.value.denied.code == COMPACTED

    run(body())


def test_a_store_that_cannot_be_reached_is_a_transient_error(tmp_path: Path) -> None:
    async def body() -> None:
        (tmp_path / "control.db").write_bytes(b"this is no database" * 1000)
        store = SqliteControlStore(tmp_path / "control.db")
        with pytest.raises(TransientError) as caught:
            await store.read(["a"])
        assert caught.value.denied.code == "control_store_unavailable"
        with pytest.raises(TransientError):
            await anext(store.watch("", since=0))
        await store.close()

    run(body())


@pytest.mark.parametrize("harm", ["deleted", "overwritten"])
def test_a_file_that_is_gone_under_a_reader_is_not_read_from_memory(tmp_path: Path, harm: str) -> None:
    async def body() -> None:
        path = tmp_path / "control.db"
        writer = SqliteControlStore(path)
        assert await writer.compare_and_set(expected={"a": ABSENT}, writes={"a": b"1"})
        await writer.close()
        store = SqliteControlStore(path)
        watch = store.watch("", since=0)
        assert (await store.read(["a"])).entries["a"].value == b"1"
        assert (await anext(watch)).revision == 1
        _harm(tmp_path, harm)
        with pytest.raises(TransientError):
            await store.read(["a"])
        with pytest.raises(TransientError):
            await anext(watch)
        await store.close()

    run(body())


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    async def body() -> None:
        for name, value in (("control.db", b"old"), ("other.db", b"new")):
            writer = SqliteControlStore(tmp_path / name)
            assert await writer.compare_and_set(expected={"a": ABSENT}, writes={"a": value})
            await writer.close()
        store = SqliteControlStore(tmp_path / "control.db")
        assert (await store.read(["a"])).entries["a"].value == b"old"
        _harm(tmp_path, "deleted")
        (tmp_path / "other.db").rename(tmp_path / "control.db")
        assert (await store.read(["a"])).entries["a"].value == b"new"
        await store.close()

    run(body())


def _harm(directory: Path, harm: str) -> None:
    for file in directory.glob("control.db*"):
        if harm == "deleted":
            file.unlink()
        else:
            file.write_bytes(b"this is no database" * 1_000)
