"""Runs a process until it is told to stop: SIGTERM, or SIGINT from a terminal.

A second signal changes nothing: what was begun on the first one is finished.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

R = TypeVar("R")


def on_stop_signal(act: Callable[[], object], *, signals: Iterable[signal.Signals] = STOP_SIGNALS) -> None:
    """Call ``act`` in the running loop for each stop signal."""
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, act)


def stop_event(*, signals: Iterable[signal.Signals] = STOP_SIGNALS) -> asyncio.Event:
    """Return an event of the running loop that a stop signal sets."""
    stop = asyncio.Event()
    on_stop_signal(stop.set, signals=signals)
    return stop


async def cancelled_by_signal(work: Coroutine[Any, Any, R]) -> R:
    """Run ``work``; the first stop signal cancels it once, and then this raises ``CancelledError``."""
    task = asyncio.ensure_future(work)

    def cancel() -> None:
        if not task.cancelling():
            task.cancel()

    on_stop_signal(cancel)
    return await task


async def run_until_signal(work: Coroutine[Any, Any, object]) -> None:
    """Run ``work`` to its end or to a stop signal, which cancels it; both are a good end."""
    try:
        await cancelled_by_signal(work)
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise
