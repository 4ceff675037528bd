"""A signal stops a process in order: what it had begun to put away is put away, once."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from intelgraph.runtime.stop_signals import cancelled_by_signal, run_until_signal, stop_event


async def _signalled(ended: list[str]) -> None:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # a second one does not interrupt the end
        await asyncio.sleep(0.01)
        ended.append("whole")


def test_a_signal_cancels_the_work_and_a_second_one_does_not_interrupt_its_end() -> None:
    ended: list[str] = []
    asyncio.run(run_until_signal(_signalled(ended)))
    assert ended == ["whole"]


def test_whoever_has_to_know_is_told_that_a_signal_ended_the_work() -> None:
    async def story() -> None:
        with pytest.raises(asyncio.CancelledError):
            await cancelled_by_signal(_signalled([]))

    asyncio.run(story())


def test_a_failure_of_the_work_is_not_hidden() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(run_until_signal(broken()))


def test_a_task_that_waits_for_a_signal_can_be_cancelled_itself() -> None:
    async def story() -> bool:
        waiting = asyncio.create_task(run_until_signal(asyncio.sleep(60)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return waiting.cancelled()

    assert asyncio.run(story())


def test_only_the_signals_that_are_named_set_the_event() -> None:
    async def story() -> bool:
        stop = stop_event(signals=(signal.SIGUSR1,))
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(10):
            await stop.wait()
        return stop.is_set()

    assert asyncio.run(story())
