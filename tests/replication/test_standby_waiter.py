"""The standby's waiter confirms nothing that was committed after it looked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

from intelgraph.changelog.durability import StandbyWaiter


@dataclass(kw_only=True)
class SlowServer:
    """Plays the pool and its connection: each look reads the positions at once and answers when it is let."""

    here: str = "0/10"
    flushed: str = "0/10"
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def acquire(self, **_limits: float) -> AsyncIterator[SlowServer]:
        yield self

    async def fetch(self, _statement: str, **_limits: float) -> list[dict[str, Any]]:
        seen = {"slot": "a__b", "here": self.here, "there": self.flushed}
        self.looked.set()
        await self.answer.wait()
        return [seen]


def test_a_look_that_began_before_a_commit_does_not_confirm_it() -> None:
    async def story() -> None:
        server = SlowServer()
        waiter = StandbyWaiter(pool=cast(Any, server), here="a")
        first = asyncio.create_task(waiter.wait("b", 5.0))
        async with asyncio.timeout(5):
            await server.looked.wait()
        # A write commits while the first look is under way; the standby has not flushed it.
        server.here = "0/20"
        second = asyncio.create_task(waiter.wait("b", 0.2))
        await asyncio.sleep(0)
        server.answer.set()
        assert await first
        assert not await second

    asyncio.run(story())
