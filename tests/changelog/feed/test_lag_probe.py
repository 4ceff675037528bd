"""How often a region sends echo tokens: often while something moves, seldom after a while, at once when it begins."""

from __future__ import annotations

import asyncio

from intelgraph.changelog.feed.lag_probe import Pulse

LONG_S, WAIT_S = 600.0, 60.0


def test_while_something_moves_the_next_token_is_due_soon() -> None:
    async def body() -> None:
        pulse = Pulse(busy_s=0.0, idle_s=LONG_S, idle_after_s=LONG_S)
        pulse.moved()
        async with asyncio.timeout(WAIT_S):
            await pulse.wait()

    asyncio.run(body())


def test_after_a_while_it_is_due_seldom_and_at_once_when_something_moves() -> None:
    async def body() -> None:
        pulse = Pulse(busy_s=0.0, idle_s=LONG_S, idle_after_s=0.0)
        for _again in range(2):
            waiting = asyncio.create_task(pulse.wait())
            await asyncio.sleep(0.05)
            assert not waiting.done(), "it did not wait although nothing moved"
            pulse.moved()
            async with asyncio.timeout(WAIT_S):
                await waiting

    asyncio.run(body())


def test_nothing_moves_for_ever_and_tokens_go_on() -> None:
    async def body() -> None:
        pulse = Pulse(busy_s=0.0, idle_s=0.01, idle_after_s=0.0)
        async with asyncio.timeout(WAIT_S):
            for _token in range(3):
                await pulse.wait()

    asyncio.run(body())
