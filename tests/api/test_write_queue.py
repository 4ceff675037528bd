"""Held writes: one of a placement tries while others wait, all follow when it gets through, none waits too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from intelgraph.api.metrics import Metrics
from intelgraph.api.write.write_queue import STEP_S, WriteQueue
from intelgraph.model.errors import TransientError, retry
from intelgraph.settings import ApiPolicy
from tests.machine import WAIT_S, stretched

WHY = retry("closing", "the placement is about to change", retry_after_s=1.0)


class Home:
    """A home that takes writes from some moment on; how often it was asked, and how many at once."""

    def __init__(self) -> None:
        self.opens = asyncio.Event()
        self.asked = 0
        self.most_at_once = 0
        self._at_once = 0

    async def take(self) -> bool:
        self.asked += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0.001)
        self._at_once -= 1
        return self.opens.is_set()


async def write(
    write_queue: WriteQueue,
    home: Home,
    placement: str = "p",
    *,
    wait_s: float = 5.0,
    size: int = 10,
    gone: Callable[[], bool] = lambda: False,
) -> bool:
    """One write as ``api.write`` holds it; whether it got through."""
    until_s = time.monotonic() + wait_s
    with write_queue.queued(placement, size, WHY) as held:
        while await held.wait(until_s, gone):
            if await home.take():
                held.passed()
                return True
    return False


def run(tmp_path: Path, body: Callable[[WriteQueue, Home], Awaitable[None]], **policy: int) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WAIT_S):
            await body(WriteQueue(policy=ApiPolicy(**policy), metrics=Metrics()), Home())  # type: ignore[arg-type]

    asyncio.run(bounded())


def test_of_many_writes_of_one_placement_one_tries_until_the_home_opens_and_then_all_go_through(tmp_path: Path) -> None:
    async def body(write_queue: WriteQueue, home: Home) -> None:
        began_s = time.monotonic()
        writes = [asyncio.create_task(write(write_queue, home, wait_s=WAIT_S)) for _ in range(500)]
        await asyncio.sleep(1.0)
        assert 2 <= home.asked <= (time.monotonic() - began_s) / STEP_S + 2
        home.opens.set()
        opened_s = time.monotonic()
        assert all(await asyncio.gather(*writes))
        assert time.monotonic() - opened_s < stretched(2.0, opened_s)
        assert home.asked <= 530

    run(tmp_path, body)


def test_news_wakes_a_write_at_once(tmp_path: Path) -> None:
    async def body(write_queue: WriteQueue, home: Home) -> None:
        for number in range(400):  # many placements: their probers wait for longer
            asyncio.create_task(write(write_queue, Home(), f"other{number}", wait_s=3.0))  # noqa: RUF006
        waiting = asyncio.create_task(write(write_queue, home, wait_s=WAIT_S))
        await asyncio.sleep(0.05)
        assert write_queue.step_s > 2.0
        home.opens.set()
        write_queue.wake()
        began_s = time.monotonic()
        assert await waiting
        assert time.monotonic() - began_s < stretched(1.0, began_s)

    run(tmp_path, body)


def test_when_the_one_that_tries_gives_up_another_takes_its_part(tmp_path: Path) -> None:
    async def body(write_queue: WriteQueue, home: Home) -> None:
        impatient = asyncio.create_task(write(write_queue, home, wait_s=0.2))
        patient = asyncio.create_task(write(write_queue, home))
        cancelled = asyncio.create_task(write(write_queue, home))
        await asyncio.sleep(0.01)
        cancelled.cancel()  # its client is gone
        assert not await impatient
        home.opens.set()
        assert await patient
        assert home.asked >= 2

    run(tmp_path, body)


def test_a_write_that_is_woken_when_its_own_time_is_just_over_lets_another_try(tmp_path: Path) -> None:
    async def body(write_queue: WriteQueue, home: Home) -> None:
        prober = asyncio.create_task(write(write_queue, home))
        late = asyncio.create_task(write(write_queue, home, wait_s=0.04))
        patient = asyncio.create_task(write(write_queue, home, wait_s=2.0))
        await asyncio.sleep(0.01)
        prober.cancel()  # it hands its part to the next
        await asyncio.sleep(0)
        time.sleep(0.05)  # noqa: ASYNC251 (whose time is over before it runs)
        assert not await late
        home.opens.set()
        assert await patient

    run(tmp_path, body)


def test_a_write_whose_client_has_gone_is_not_tried_again_and_lets_others_by(tmp_path: Path) -> None:
    async def body(write_queue: WriteQueue, home: Home) -> None:
        left = [asyncio.create_task(write(write_queue, Home(), gone=lambda: True)) for _ in range(10)]
        waiting = asyncio.create_task(write(write_queue, home))
        await asyncio.sleep(0)
        home.opens.set()
        assert await waiting
        assert not any(await asyncio.gather(*left))

    run(tmp_path, body)


@pytest.mark.parametrize("policy", [{"held_max": 3}, {"held_bytes_max": 30}])
def test_beyond_the_limit_of_writes_or_bytes_the_next_is_refused_and_what_ended_makes_room(
    tmp_path: Path, policy: dict[str, int]
) -> None:
    async def body(write_queue: WriteQueue, home: Home) -> None:
        writes = [asyncio.create_task(write(write_queue, home)) for _ in range(3)]
        await asyncio.sleep(0.01)
        with pytest.raises(TransientError) as refused:
            await write(write_queue, home)
        assert refused.value.denied.code == "held_full"
        assert "about to change" in refused.value.denied.reason
        home.opens.set()
        assert all(await asyncio.gather(*writes))
        assert await write(write_queue, home)

    run(tmp_path, body, **policy)


def test_a_process_that_stops_lets_every_write_go(tmp_path: Path) -> None:
    async def body(write_queue: WriteQueue, home: Home) -> None:
        writes = [asyncio.create_task(write(write_queue, home)) for _ in range(20)]
        await asyncio.sleep(0.01)
        write_queue.stop()
        began_s = time.monotonic()
        assert not any(await asyncio.gather(*writes))
        assert time.monotonic() - began_s < stretched(2.0, began_s)
        assert not await write(write_queue, home)

    run(tmp_path, body)


def test_a_write_whose_time_is_over_as_others_are_woken_just_ends(tmp_path: Path) -> None:
    async def body(write_queue: WriteQueue, home: Home) -> None:
        one = asyncio.create_task(write(write_queue, home))
        await asyncio.sleep(STEP_S / 4)
        one.cancel()  # as its time-out does; before it runs again, something has changed
        write_queue.wake()
        with pytest.raises(asyncio.CancelledError):
            await one

    run(tmp_path, body)


def test_writes_without_a_body_are_held_like_others_and_hold_nobody_up(tmp_path: Path) -> None:
    async def body(write_queue: WriteQueue, home: Home) -> None:
        empty = [asyncio.create_task(write(write_queue, Home(), wait_s=wait_s, size=0)) for wait_s in (0.1, 0.2)]
        assert await asyncio.gather(*empty) == [False, False]
        waiting = asyncio.create_task(write(write_queue, home, wait_s=2.0))
        await asyncio.sleep(0)
        home.opens.set()
        assert await waiting

    run(tmp_path, body)
