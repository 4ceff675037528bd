"""Virtual time: production's coroutines run on it unchanged, each process on its own clock and with its own fate."""

from __future__ import annotations

import asyncio
import gc
from random import Random

import pytest

from intelgraph.simulator.virtual_time import Pause, Site, Universe


def universe() -> Universe:
    return Universe(Random(1))


def test_nothing_waits_and_time_jumps_to_what_is_next() -> None:
    world, seen = universe(), list[float]()

    async def body() -> None:
        for _ in range(3):
            await asyncio.sleep(1000.0)
            seen.append(world.now)

    Site(world, "a").process("p").run(body())
    world.run_until(10_000.0)
    assert [round(at_s) for at_s in seen] == [1000, 2000, 3000]
    assert world.now == 10_000.0


def test_each_site_has_a_clock_of_its_own() -> None:
    world, seen = universe(), dict[str, float]()

    async def body(name: str) -> None:
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(10.0)
        seen[name] = world.now
        assert 10.0 <= asyncio.get_running_loop().time() - began_s < 10.001

    for name, rate in (("fast", 1.02), ("slow", 0.98)):
        Site(world, name, rate=rate, offset_s=1e6).process("p").run(body(name))
    world.run_until(20.0)
    assert abs(seen["fast"] - 10 / 1.02) < 0.001 and abs(seen["slow"] - 10 / 0.98) < 0.001


def test_a_paused_site_does_nothing_and_then_what_was_due() -> None:
    world, seen = universe(), list[float]()
    site = Site(world, "a")

    async def body() -> None:
        while True:
            await asyncio.sleep(1.0)
            seen.append(world.now)

    site.process("p").run(body())
    world.after(2.5, lambda: setattr(site, "paused", True))
    world.after(7.5, site.go_on)
    world.run_until(9.0)
    assert [round(at_s, 1) for at_s in seen] == [1.0, 2.0, 7.5, 8.5]


def test_a_process_that_is_starved_does_nothing_while_its_site_goes_on() -> None:
    world, seen = universe(), list[tuple[str, float]]()
    site = Site(world, "a")

    async def body(name: str) -> None:
        while True:
            await Pause(2.0)
            seen.append((name, round(world.now, 1)))

    for name in ("agent", "api"):
        site.process(name).run(body(name))
    world.after(1.0, site.starve, "agent")
    world.after(5.0, site.feed, "agent")
    world.run_until(7.5)
    assert [at_s for name, at_s in seen if name == "api"] == [2.0, 4.0, 6.0]
    assert [at_s for name, at_s in seen if name == "agent"] == [5.0, 7.0]


def test_a_pause_ends_early_when_its_task_is_cancelled() -> None:
    world, seen = universe(), list[str]()

    async def body() -> None:
        try:
            async with asyncio.timeout(1.0):
                await Pause(5.0)
        except TimeoutError:
            seen.append(f"{world.now:.1f}")
        await Pause(2.0)
        seen.append(f"{world.now:.1f}")

    Site(world, "a").process("p").run(body())
    world.run_until(10.0)
    assert seen == ["1.0", "3.0"]


@pytest.mark.filterwarnings("error")
def test_a_task_whose_process_ends_before_its_first_step_is_closed() -> None:
    world, seen = universe(), list[str]()
    site = Site(world, "a")

    async def child() -> None:
        seen.append("ran")

    async def body() -> None:
        asyncio.ensure_future(child())  # noqa: RUF006 - its process ends first
        site.kill()

    site.process("p").run(body())
    world.run_until(1.0)
    world.end([site])
    gc.collect()
    assert not seen


def test_of_a_killed_process_nothing_runs_any_more_not_even_its_cleaning_up() -> None:
    world, seen = universe(), list[str]()
    site = Site(world, "a")

    async def body(name: str) -> None:
        try:
            await asyncio.sleep(5.0)
            seen.append(f"{name} went on")
        finally:
            seen.append(f"{name} cleaned up")

    site.process("agent").run(body("agent"))
    site.process("api").run(body("api"))
    world.after(1.0, site.kill, "agent")
    world.run_until(6.0)
    assert seen == ["api went on", "api cleaned up"]


def test_one_process_wakes_another_and_time_outs_are_on_the_waiter_s_clock() -> None:
    world, seen = universe(), list[str]()
    there = Site(world, "there").process("p")

    async def asks() -> None:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[str] = loop.create_future()
        there.create_task(answers(told))
        seen.append(await told)
        try:
            async with asyncio.timeout(2.0):
                await loop.create_future()
        except TimeoutError:
            seen.append(f"{world.now:.1f}")

    async def answers(told: asyncio.Future[str]) -> None:
        await asyncio.sleep(1.0)
        told.set_result("answered")

    Site(world, "here").process("p").run(asks())
    world.run_until(10.0)
    assert seen == ["answered", "3.0"]
