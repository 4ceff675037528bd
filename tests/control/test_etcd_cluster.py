"""What a control store in etcd does when members are lost: it goes on with a majority, and says so without one."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from intelgraph.control.etcd import EtcdControlStore
from intelgraph.control.store import WATCH_HEARTBEAT_S
from intelgraph.model.errors import TransientError

from .etcd_cluster import Cluster, etcd_cluster

pytestmark = pytest.mark.postgres
SLOW_S = 10.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with etcd_cluster(3) as made:
        yield made


def run(story: Callable[[EtcdControlStore], Awaitable[None]], members: list[str]) -> None:
    async def bounded() -> None:
        store = EtcdControlStore(members)
        try:
            async with asyncio.timeout(60):
                await story(store)
        finally:
            await store.close()

    asyncio.run(bounded())


async def until_written(store: EtcdControlStore, key: str, value: bytes) -> float:
    """Write a key as a careful caller does: read, set, and read again after every doubt; returns the seconds."""
    began = time.monotonic()
    while True:
        try:
            entry = (await store.read([key])).entries[key]
            if entry.value == value:
                return time.monotonic() - began
            await store.compare_and_set(expected={key: entry.version}, writes={key: value})
        except TransientError as error:
            assert error.denied.code == "control_store_unavailable"
            assert time.monotonic() - began < SLOW_S


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
@pytest.mark.parametrize("number", range(3))
def test_one_member_of_three_may_be_lost(cluster: Cluster, fault: signal.Signals, number: int) -> None:
    async def story(store: EtcdControlStore) -> None:
        await until_written(store, "a", b"1")
        revision = (await store.read(["a"])).revision
        cluster.send(number, fault)
        await until_written(store, "a", b"2")
        assert (await store.read(["a"])).entries["a"].version > revision

    run(story, cluster.members)


def test_without_a_majority_nothing_is_answered_and_nothing_is_remembered(cluster: Cluster) -> None:
    async def story(store: EtcdControlStore) -> None:
        await until_written(store, "a", b"1")
        watch = store.watch("", since=(await store.read()).revision)
        assert (await anext(watch)).entries == ()
        for number in (1, 2):
            cluster.send(number, signal.SIGKILL)
        for operation in (store.read(["a"]), store.compare_and_set(expected={"b": 0}, writes={"b": b"1"})):
            with pytest.raises(TransientError) as caught:
                await operation
            assert caught.value.denied.code == "control_store_unavailable"
        with pytest.raises(TransientError):
            while True:
                async with asyncio.timeout(3 * WATCH_HEARTBEAT_S):
                    await anext(watch)
        for number in (1, 2):
            cluster.start(number)
        await until_written(store, "a", b"2")

    run(story, cluster.members)


def test_writers_through_every_member_never_both_win_while_members_come_and_go(cluster: Cluster) -> None:
    async def writer(store: EtcdControlStore, name: str, won: list[tuple[int, str]], ends: asyncio.Event) -> None:
        while not ends.is_set():
            try:
                entry = (await store.read(["n"])).entries["n"]
                number = int((entry.value or b"0 -").split()[0]) + 1
                if await store.compare_and_set(
                    expected={"n": entry.version}, writes={"n": f"{number} {name}".encode()}
                ):
                    won.append((number, name))
            except TransientError:
                await asyncio.sleep(0.05)

    async def story(store: EtcdControlStore) -> None:
        won: list[tuple[int, str]] = []
        ends = asyncio.Event()
        stores = [EtcdControlStore(cluster.members[n:] + cluster.members[:n]) for n in range(3)]
        tasks = [asyncio.create_task(writer(each, f"w{n}", won, ends)) for n, each in enumerate(stores)]
        for number in range(3):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(cluster.send, number, signal.SIGKILL)
            await asyncio.sleep(1.0)
            cluster.start(number)
            await asyncio.to_thread(cluster.wait_healthy, number)
        ends.set()
        await asyncio.gather(*tasks)
        for each in stores:
            await each.close()
        numbers = [number for number, _ in won]
        assert len(numbers) == len(set(numbers)), "two writers were told that they had written the same version"
        assert {name for _, name in won} == {"w0", "w1", "w2"}
        last = int(((await store.read(["n"])).entries["n"].value or b"0").split()[0])
        # A write whose answer was lost counts and was not told; none that was told is missing.
        assert max(numbers) <= last

    run(story, cluster.members)


def test_a_watch_resumed_at_another_member_misses_nothing(cluster: Cluster) -> None:
    async def story(store: EtcdControlStore) -> None:
        seen: list[bytes | None] = []
        since = (await store.read()).revision

        async def follow() -> None:
            nonlocal since
            while b"19" not in seen:
                try:
                    async for change in store.watch("w/", since=since):
                        since = change.revision
                        seen.extend(entry.value for entry in change.entries)
                        if b"19" in seen:
                            return
                except TransientError:
                    await asyncio.sleep(0.05)

        task = asyncio.create_task(follow())
        writer = EtcdControlStore(cluster.members[1:])
        for number in range(20):
            if number == 7:
                await asyncio.to_thread(cluster.send, 0, signal.SIGKILL)
            await until_written(writer, f"w/{number}", b"%d" % number)
        await asyncio.wait_for(task, 20)
        await writer.close()
        assert seen == [b"%d" % number for number in range(20)]

    run(story, cluster.members)
