"""So many at once; whoever comes later waits in turn, and no longer than a fixed time.

One timer serves all that wait, since they all wait equally long: ``asyncio.timeout`` around a semaphore makes one for
each, which costs a request as much as it takes to understand it.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """``count`` slots. ``take`` one, ``give`` it back."""

    def __init__(self, count: int, *, wait_s: float) -> None:
        self._free = count
        self._wait_s = wait_s
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def take_now(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if self._free and not self._waiting:
            self._free -= 1
            return True
        return False

    async def take(self) -> None:
        """Take a slot; raises ``TimeoutError`` after ``wait_s``."""
        if self.take_now():
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        until = loop.time() + self._wait_s
        self._waiting.append((until, turn))
        if self._timer is None:
            self._timer = loop.call_at(until, self._look, loop)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give()
            raise

    def give(self) -> None:
        """Give a slot to whoever waits longest, or back."""
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._waiting:
            until, turn = self._waiting[0]
            if until > loop.time():
                self._timer = loop.call_at(until, self._look, loop)
                return
            self._waiting.popleft()
            if not turn.done():
                turn.set_exception(TimeoutError())
