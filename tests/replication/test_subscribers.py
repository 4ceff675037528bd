"""Every region hosts its subscribers: each is told the same rows in the order in which they were committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from intelgraph.changelog.feed.host import Host
from intelgraph.changelog.feed.process import open_connection
from intelgraph.runtime.json_log import JsonLog
from tests.changelog.feed.subscribers import QUICK, Collector
from tests.replication.conftest import Story
from tests.replication.world import World, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Story], None]


def test_every_region_tells_its_subscribers_the_rows_in_log_order(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", world.names)
        collectors = {region: Collector(placement) for region in world.names}
        hosts = [
            Host(partial(open_connection, world.servers[region].login()), [each], policy=QUICK, log=JsonLog("feed"))
            for region, each in collectors.items()
        ]
        tasks = [asyncio.create_task(host.run()) for host in hosts]
        try:
            for each in collectors.values():
                await world.until(lambda each=each: _is(each.batches))  # type: ignore[misc]
            for number in range(30):
                await world.append(placement, [upsert(f"e{number}")])
            for each in collectors.values():
                await world.until(lambda each=each: _is(len(each.ids) >= 30))  # type: ignore[misc]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert [each.ids for each in collectors.values()] == [[f"e{number}" for number in range(30)]] * 3

    regions(story)


async def _is(condition: object) -> bool:
    return bool(condition)
