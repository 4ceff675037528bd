"""The feed's protocol on a real server: log order, at least once, nothing passed that commits later."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import asyncpg
import pytest

from intelgraph.changelog.feed import FeedRow, deliver
from tests.replication.conftest import Story
from tests.replication.world import World, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Story], None]


class Collector:
    """Keeps what it received; raises while ``broken``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.broken = False
        self.rows: list[FeedRow] = []

    async def receive(self, rows: Sequence[FeedRow]) -> None:
        """Take a batch, or fail with it."""
        if self.broken:
            raise RuntimeError("the subscriber is away")
        self.rows += rows

    def of(self, placement: str) -> list[str]:
        """The ids of a placement's objects, in the order they came."""
        written = [row for row in self.rows if row.placement == placement and row.kind == "write"]
        return [thing["id"] for row in written for thing in json.loads(row.body or "{}")["objects"]]


async def drain(world: World, region: str, collector: Collector, batch_rows: int = 100) -> None:
    while await deliver(world.at[region], collector, batch_rows=batch_rows):
        pass


def test_every_region_tells_its_subscribers_the_rows_in_log_order(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", world.names)
        for number in range(30):
            last = await world.append(placement, [upsert(f"e{number}")])
        for region in world.names:
            await world.arrived(region, last["bookmark"])
            collector = Collector(placement)
            await world.until(lambda r=region, c=collector: _drained(world, r, c, placement, 30))  # type: ignore[misc]
            assert collector.of(placement) == [f"e{number}" for number in range(30)]

    regions(story)


def test_a_batch_that_failed_comes_again_and_none_is_skipped(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", world.names)
        collector = Collector(placement)
        await drain(world, "us-east", collector)
        await world.append(placement, [upsert("a")])
        collector.broken = True
        with pytest.raises(RuntimeError):
            await world.until(lambda: deliver(world.at["us-east"], collector, batch_rows=1))
        collector.broken = False
        await world.append(placement, [upsert("b")])
        await world.until(lambda: _drained(world, "us-east", collector, placement, 2))
        assert collector.of(placement) == ["a", "b"]

    regions(story)


def test_a_cursor_does_not_pass_a_row_that_commits_later(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", world.names)
        collector = Collector(placement)
        await drain(world, "us-east", collector)
        slow = await asyncpg.connect(**world.servers["us-east"].connect_arguments())
        try:
            begun = slow.transaction()
            await begun.start()
            body = json.dumps([upsert("slow")])
            await slow.fetchval("select ig.append($1, 1, $1, 'slow', $2, $3)", placement, b"x" * 32, body)
            await world.append(placement, [upsert("quick")])
            await drain(world, "us-east", collector)
            assert collector.of(placement) == []
            await begun.commit()
        finally:
            await slow.close()
        await world.until(lambda: _drained(world, "us-east", collector, placement, 2))
        assert collector.of(placement) == ["slow", "quick"]

    regions(story)


async def _drained(world: World, region: str, collector: Collector, placement: str, count: int) -> bool:
    await drain(world, region, collector, batch_rows=7)
    return len(collector.of(placement)) >= count
