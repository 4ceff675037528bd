"""Slots: never more at once than there are, in turn, and nobody waits longer than is said or is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from random import Random

import pytest

from intelgraph.api.limits.slots import Slots


def run(story: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_cancelled_or_times_out_no_slot_is_lost_or_made(seed: int) -> None:
    async def story() -> None:
        chance = Random(seed)
        slots, held, most = Slots(3, wait_s=0.01), 0, 0

        async def use() -> None:
            nonlocal held, most
            await slots.take()
            held += 1
            most = max(most, held)
            try:
                await asyncio.sleep(chance.random() * 0.01)
            finally:
                held -= 1
                slots.give()

        tasks = []
        for _ in range(200):
            tasks.append(asyncio.create_task(use()))
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() * 0.003)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in ended} <= {type(None), TimeoutError, asyncio.CancelledError}
        assert most == 3
        assert [slots.take_now() for _ in range(4)] == [True, True, True, False]

    run(story())


def test_they_are_given_in_turn() -> None:
    async def story() -> None:
        slots, got = Slots(1, wait_s=5), []
        await slots.take()

        async def use(name: int) -> None:
            await slots.take()
            got.append(name)
            slots.give()

        tasks = [asyncio.create_task(use(name)) for name in range(5)]
        await asyncio.sleep(0)
        slots.give()
        assert not slots.take_now()
        await asyncio.gather(*tasks)
        assert got == [0, 1, 2, 3, 4]

    run(story())


def test_who_waits_too_long_is_told_and_others_go_on() -> None:
    async def story() -> None:
        slots = Slots(1, wait_s=0.05)
        await slots.take()
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await slots.take()
        assert 0.04 < asyncio.get_running_loop().time() - began < 2
        slots.give()
        assert slots.take_now()

    run(story())
