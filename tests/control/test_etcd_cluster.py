"""What a control store in etcd does when members are lost: it goes on with a majority, and says so without one."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from intelgraph.control.store.etcd import PAGE_KEYS, EtcdControlStore, change_told
from intelgraph.control.store.etcd_members import ANSWER_S, ANY_REVISION, ASIDE_S, Members
from intelgraph.control.store.protocol import COMPACTED, WATCH_HEARTBEAT_S, Change
from intelgraph.model.errors import TransientError
from tests.machine import WAIT_S, stretched

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
            async with asyncio.timeout(2 * WAIT_S):
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
            assert time.monotonic() - began < max(SLOW_S, WAIT_S)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
@pytest.mark.parametrize("number", [0, *(pytest.param(number, marks=pytest.mark.prove) for number in (1, 2))])
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
                async with asyncio.timeout(WAIT_S):
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


@pytest.mark.prove
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
        await asyncio.wait_for(task, WAIT_S)
        await writer.close()
        assert seen == [b"%d" % number for number in range(20)]

    run(story, cluster.members)


def test_a_read_at_a_paused_member_is_answered_by_the_next_one_soon_and_the_one_after_it_at_once(
    cluster: Cluster,
) -> None:
    async def story(store: EtcdControlStore) -> None:
        await until_written(store, "a", b"1")
        leader = await leader_of(cluster)
        nearest = next(number for number in range(3) if number != leader)
        others = [number for number in range(3) if number != nearest]
        near = EtcdControlStore([cluster.members[number] for number in (nearest, *others)])
        assert (await near.read(["a"])).entries["a"].value == b"1"
        cluster.send(nearest, signal.SIGSTOP)
        began_s = time.monotonic()
        try:
            first = await seconds(near.read(["a"]))
            second = await seconds(near.read(["a"]))
        finally:
            cluster.send(nearest, signal.SIGCONT)
        assert first < stretched(0.3 + 0.4, began_s) and second < stretched(0.2, began_s), (first, second)
        await near.close()

    run(story, cluster.members)


def test_a_paused_leader_is_passed_over_within_the_time_of_an_election(cluster: Cluster) -> None:
    async def story(store: EtcdControlStore) -> None:
        await until_written(store, "a", b"1")
        cluster.send(await leader_of(cluster), signal.SIGSTOP)
        began_s = time.monotonic()
        assert await until_written(store, "a", b"2") < stretched(4.0, began_s)

    run(story, cluster.members)


@pytest.mark.prove
def test_without_a_majority_every_answer_comes_in_a_second_and_a_half(cluster: Cluster) -> None:
    async def story(store: EtcdControlStore) -> None:
        await until_written(store, "a", b"1")
        for number in (1, 2):
            cluster.send(number, signal.SIGSTOP)
        for _ in range(6):
            for operation in (store.read(["a"]), store.compare_and_set(expected={"b": 0}, writes={"b": b"1"})):
                took_s = await seconds(operation, fails=True)
                assert took_s < stretched(ANSWER_S + 0.3, time.monotonic() - took_s), took_s
        for number in (1, 2):
            cluster.send(number, signal.SIGCONT)
        await until_written(store, "a", b"2")

    run(story, cluster.members)


def test_a_watch_goes_on_at_another_member_without_its_reader_noticing(cluster: Cluster) -> None:
    async def story(store: EtcdControlStore) -> None:
        await until_written(store, "w/0", b"0")
        leader = await leader_of(cluster)
        order = [number for number in range(3) if number != leader] + [leader]
        watcher = EtcdControlStore([cluster.members[number] for number in order])
        seen: list[bytes | None] = []
        silent_s = 0.0
        since = (await store.read()).revision

        async def follow() -> None:
            nonlocal silent_s
            heard_s = time.monotonic()
            async for change in watcher.watch("w/", since=since):
                silent_s, heard_s = max(silent_s, time.monotonic() - heard_s), time.monotonic()
                seen.extend(entry.value for entry in change.entries)
                if b"19" in seen:
                    return

        began_s = time.monotonic()
        task = asyncio.create_task(follow())
        for number in range(1, 20):
            if number == 7:
                cluster.send(order[0], signal.SIGSTOP)
            await until_written(store, f"w/{number}", b"%d" % number)
            await asyncio.sleep(0.1)
        await asyncio.wait_for(task, WAIT_S)
        await watcher.close()
        assert seen == [b"%d" % number for number in range(1, 20)]
        assert silent_s < stretched(2 * WATCH_HEARTBEAT_S, began_s)

    run(story, [*cluster.members])


@pytest.mark.prove
def test_a_prefix_of_many_keys_is_read_from_one_instant(cluster: Cluster) -> None:
    async def story(store: EtcdControlStore) -> None:
        count = PAGE_KEYS + 50
        for start in range(0, count, 100):
            keys = [f"many/{number:06}" for number in range(start, min(start + 100, count))]
            assert await store.compare_and_set(expected=dict.fromkeys(keys, 0), writes=dict.fromkeys(keys, b"x"))
        snapshot = await store.read(prefix="many/")
        assert len(snapshot.entries) == count
        assert all(entry.version <= snapshot.revision for entry in snapshot.entries.values())

    run(story, cluster.members)


def test_a_watch_from_before_a_compaction_says_so(cluster: Cluster) -> None:
    async def story(store: EtcdControlStore) -> None:
        for number in range(5):
            await until_written(store, "a", b"%d" % number)
        revision = (await store.read()).revision
        members = Members(cluster.members)
        await members.ask(cluster.members[0], "/v3/kv/compaction", {"revision": str(revision), "physical": True})
        await members.close()
        with pytest.raises(TransientError) as caught:
            await anext(store.watch("a", since=revision - 3))
        assert caught.value.denied.code == COMPACTED
        await anext(store.watch("a", since=revision))

    run(story, cluster.members)


def test_a_watch_that_is_told_how_far_there_was_nothing_goes_on_from_there() -> None:
    told = {"header": {"revision": "900"}}
    assert change_told(told, 5) == Change(revision=900, entries=())
    assert change_told(told, 1_000) == Change(revision=1_000, entries=())
    assert change_told({}, 5) == Change(revision=5, entries=())
    assert change_told({"header": {"revision": "900"}, "created": True}, 5) is None


def test_a_member_that_failed_is_asked_last_until_it_has_answered() -> None:
    async def story() -> None:
        now_s = 100.0
        members = Members(["near", "middle", "far"], monotonic=lambda: now_s)
        assert members.in_order() == ["near", "middle", "far"]
        members.failed("near")
        assert members.in_order() == ["middle", "far", "near"]
        now_s += 1.0
        members.failed("middle")
        assert members.in_order() == ["far", "near", "middle"]
        members.answered("near")
        assert members.in_order() == ["near", "far", "middle"]
        await members.close()

    asyncio.run(story())


@pytest.mark.prove
def test_a_member_that_is_back_takes_its_place_without_a_request_that_waits_for_it(cluster: Cluster) -> None:
    async def story(store: EtcdControlStore) -> None:
        await until_written(store, "a", b"0")
        leader = await leader_of(cluster)
        follower = next(number for number in range(3) if number != leader)
        order = [cluster.members[number] for number in (follower, *(n for n in range(3) if n != follower))]
        members = Members(order)
        cluster.send(follower, signal.SIGSTOP)
        began_s = time.monotonic()
        took = [await seconds(members.read("/v3/kv/range", ANY_REVISION)) for _ in range(50)]
        while time.monotonic() - began_s < 2 * ASIDE_S:
            took.append(await seconds(members.write("/v3/kv/put", {"key": "YQ==", "value": "YQ=="})))
            await asyncio.sleep(0.05)
        assert [each for each in took[1:] if each > stretched(0.25, began_s)] == []
        assert members.in_order()[-1] == order[0]
        cluster.send(follower, signal.SIGCONT)
        began_s = time.monotonic()
        while members.in_order() != order:
            assert time.monotonic() - began_s < stretched(ASIDE_S + 2.0, began_s)
            await asyncio.sleep(0.05)
        await members.close()

    run(story, cluster.members)


async def leader_of(cluster: Cluster) -> int:
    """The number of the member that leads."""
    members = Members(cluster.members)
    told = [await members.ask(url, "/v3/maintenance/status", {}) for url in cluster.members]
    await members.close()
    return [each["header"]["member_id"] for each in told].index(told[0]["leader"])


async def seconds(operation: Awaitable[object], *, fails: bool = False) -> float:
    """How long an operation takes; with ``fails``, one that must be refused as unavailable."""
    began_s = time.monotonic()
    if fails:
        with pytest.raises(TransientError) as caught:
            await operation
        assert caught.value.denied.code == "control_store_unavailable"
    else:
        await operation
    return time.monotonic() - began_s
