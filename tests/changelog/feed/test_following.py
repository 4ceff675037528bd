"""Every row comes, in log order, at least once, and nobody waits for a subscriber but itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest

from intelgraph.changelog.feed.host import Host
from intelgraph.changelog.feed.streams import CHANNEL, Streams
from intelgraph.changelog.feed.subscriber import FeedRow
from intelgraph.runtime.json_log import JsonLog
from intelgraph.settings import SubscriberPolicy
from tests.changelog.feed.subscribers import QUICK, Collector, hosting
from tests.replication.lone import Lone, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


async def begun(region: Lone) -> asyncpg.Connection:
    """A connection with an append of ``slow`` that is not committed yet."""
    slow = await region.connect()
    await slow.execute("begin")
    await region.append(1, upsert("slow"), on=slow, key="slow")
    return slow


def test_rows_of_concurrent_writers_come_once_in_the_order_of_the_log(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        chance = random.Random(7)
        pauses = [[chance.uniform(0, 0.004) for _ in range(40)] for _ in range(6)]

        async def write(writer: int) -> None:
            connection = await region.connect()
            for number, pause_s in enumerate(pauses[writer]):
                await connection.execute("begin")
                await region.append(1, upsert(f"w{writer}-{number}"), on=connection)
                await asyncio.sleep(pause_s)
                await connection.execute("commit")

        collector = Collector()
        async with hosting(region, collector) as running:
            await running.until(lambda: collector.batches)
            await asyncio.gather(*(write(writer) for writer in range(6)))
            await running.until(lambda: len(collector.ids) >= 240)
        ordered = "select body #>> '{objects,0,id}' as id from ig.change where kind = 'write' order by arrived, arrival"
        assert collector.ids == [each["id"] for each in await region.main.fetch(ordered)]

    alone(story)


def test_a_cursor_does_not_pass_a_row_that_commits_later(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        collector = Collector()
        async with hosting(region, collector) as running:
            await running.until(lambda: collector.batches)
            slow = await begun(region)
            await region.append(1, upsert("quick"))
            looks = len(collector.batches)
            await running.until(lambda: len(collector.batches) > looks + 2)
            assert collector.ids == []
            await slow.execute("commit")
            await running.until(lambda: len(collector.ids) == 2)
        assert collector.ids == ["slow", "quick"]

    alone(story)


def test_a_batch_that_failed_comes_again_and_the_failure_is_said_until_it_ends(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        collector = Collector()
        failed: list[list[int]] = []

        async def fail(rows: Sequence[FeedRow]) -> None:
            if rows and len(failed) < 4:
                failed.append([row.position for row in rows])
                raise RuntimeError("it quotes somebody's data")

        async with hosting(region, collector) as running:
            await running.until(lambda: collector.batches)
            collector.before = fail
            for number in range(3):
                await region.append(1, upsert(f"e{number}"))

            async def is_said() -> bool:
                status = await running.status("collector")
                return (status.state, status.reason) == ("failing", "RuntimeError") and status.lag_rows > 0

            await running.until(is_said)
            await running.until(lambda: len(collector.ids) == 3)

            async def is_well() -> bool:
                status = await running.status("collector")
                return (status.state, status.reason, status.failing_ms) == ("following", None, None)

            await running.until(is_well)
        assert collector.ids == ["e0", "e1", "e2"]
        assert all(positions[0] == failed[0][0] for positions in failed)
        said = running.logged("subscriber_failed")
        assert [line["retry_after_s"] for line in said] == [0.01, 0.02, 0.04, 0.05]
        assert {line["reason"] for line in said} == {"RuntimeError"}

    alone(story)


def test_one_that_hangs_delays_no_other_and_no_write_and_is_said_to_be_silent(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        stuck, other = Collector("stuck"), Collector("other")

        async def hang(rows: Sequence[FeedRow]) -> None:
            if rows:
                await asyncio.Event().wait()

        policy = SubscriberPolicy(rows_max=5, look_s=0.02, receive_s_max=0.2, retry_s=0.01)
        async with hosting(region, stuck, other, policy=policy) as running:
            await running.until(lambda: stuck.batches and other.batches)
            stuck.before = hang
            for number in range(20):
                assert (await region.append(1, upsert(f"e{number}")))["status"] == "ok"
            await running.until(lambda: len(other.ids) == 20)
            assert stuck.ids == []

            async def is_said() -> bool:
                return (await running.status("stuck")).reason == "stuck did not take what it was given within 0.2 s"

            await running.until(is_said)
            stuck.before = None
            await running.until(lambda: len(stuck.ids) == 20)
        assert stuck.ids == other.ids

    alone(story)


def test_a_batch_is_bounded_in_rows_and_in_bytes(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        collector = Collector()
        policy = SubscriberPolicy(rows_max=4, bytes_max=3_000, look_s=0.02)
        async with hosting(region, collector, policy=policy) as running:
            await running.until(lambda: collector.batches)
            slow = await begun(region)
            for number in range(6):
                await region.append(1, upsert(f"small{number}"))
            for number in range(3):
                await region.append(1, upsert(f"large{number}", name="x" * 2_000))
            await slow.execute("commit")
            await running.until(lambda: len(collector.ids) == 10)
        assert [len(batch) for batch in collector.batches if batch] == [4, 4, 2]

    alone(story)


def test_streams_are_woken_by_rows_and_by_settled_positions(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        woken = asyncio.Event()
        await region.main.add_listener(CHANNEL, lambda *_: woken.set())
        # Nobody looks by itself here: what wakes a stream is what the feed says.
        async with hosting(region, Streams(), policy=SubscriberPolicy(look_s=600.0)) as running:
            await running.until(woken.is_set)
            for moves in (lambda: region.append(1, upsert("a")), lambda: region.ask("select ig.settle()")):
                woken.clear()
                await moves()
                running.host.moved()
                await running.until(woken.is_set)
            assert running.logged("subscriber_failed") == []

    alone(story)


def test_two_subscribers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two subscribers have one name: a, a"):
        Host(asyncpg.connect, [Collector("a"), Collector("a")], policy=QUICK, log=JsonLog("feed"))
