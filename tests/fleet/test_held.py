"""What is held down says so at once, whatever it was the moment before."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

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
