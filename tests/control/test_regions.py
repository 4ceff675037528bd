"""What operators say of regions: why one was drained is kept until it is resumed, and shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

from intelgraph.control.agent.observer.observing import read_known
from intelgraph.control.directory.regions import RegionState, declare, drain
from intelgraph.control.store.sqlite import SqliteControlStore


def test_a_reason_stays_until_another_is_given_or_the_region_is_resumed(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteControlStore(tmp_path / "control.db")

        async def why() -> dict[str, str]:
            known = await read_known(store)
            assert known.drained == known.drained_why.keys()
            return dict(known.drained_why)

        assert await why() == {}
        assert await drain(store, "us-east", why="kernel update", by="ada")
        assert await why() == {"us-east": "kernel update"}
        assert not await drain(store, "us-east", why="", by="bob")
        assert await why() == {"us-east": "kernel update"}
        assert await drain(store, "us-east", why="disk", by="bob")
        assert await drain(store, "eu-west", why="", by="bob")
        assert await why() == {"us-east": "disk", "eu-west": "drained by bob"}
        assert await declare(store, "us-east", RegionState())
        assert await why() == {"eu-west": "drained by bob"}
        assert await drain(store, "us-east", why="", by="bob")
        assert (await why())["us-east"] == "drained by bob"
        await store.close()

    asyncio.run(story())
