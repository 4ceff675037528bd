"""What is held down says so at once, whatever it was the moment before."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from intelgraph.fleet.supervisor.status import Phase
from intelgraph.fleet.supervisor.tending import HELD_DOWN, Tended


def test_a_part_that_is_held_down_is_not_called_ready() -> None:
    async def nothing() -> None:
        return

    async def body() -> None:
        part: Any = SimpleNamespace(
            name="us-east/feed", kind=SimpleNamespace(value="feed"), region="us-east", ports=(), log="log"
        )
        fleet: Any = None
        tended = Tended(fleet=fleet, part=part, needs=nothing, changed=lambda: None, phase=Phase.READY)
        tended.hold()
        assert (tended.status().phase, tended.status().reason) == (Phase.HELD, HELD_DOWN)
        tended.release()
        assert tended.status().phase is not Phase.HELD

    asyncio.run(body())


def test_what_is_held_while_it_waits_for_another_is_not_started() -> None:
    needed, started, fleet = asyncio.Event(), list[str](), cast(Any, None)

    async def waits() -> None:
        await needed.wait()

    class Waiting(Tended):
        async def _start(self) -> None:
            started.append(self.part.name)
            await asyncio.Event().wait()

    async def body() -> None:
        part: Any = SimpleNamespace(name="us-east/feed")
        tended = Waiting(fleet=fleet, part=part, needs=waits, changed=lambda: None)
        tending = asyncio.ensure_future(tended.tend())
        await asyncio.sleep(0)  # it waits now for what it needs
        tended.hold()
        needed.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert started == []
        tended.release()
        for _ in range(10):
            await asyncio.sleep(0)
        assert started == ["us-east/feed"]
        tending.cancel()

    asyncio.run(body())
