"""So many at once, and fewer for each owner; whoever comes later waits in turn, and no longer than a fixed time.

Owners take turns: one that waits for many holds up nobody else, and however many it waits for, some slots are never its
own. One timer serves all that wait, since they all wait equally long: ``asyncio.timeout`` around a semaphore makes one
for each, which costs a request as much as it takes to understand it.
"""

from __future__ import annotations

import asyncio
from collections import deque

_Turn = tuple[float, asyncio.Future[None]]


class Slots:
    """``count`` slots, ``each`` for one owner at most. ``take`` one, ``give`` it back; nobody's have no such limit."""

    def __init__(self, count: int, *, wait_s: float, each: int | None = None) -> None:
        self._free = count
        self._each = count if each is None else each
        self._wait_s = wait_s
        self._taken: dict[str, int] = {}
        self._queues: dict[str, deque[_Turn]] = {}
        """Who waits, by owner; the owner whose turn is next comes first."""
        self._timer: asyncio.TimerHandle | None = None

    def take_now(self, owner: str = "") -> bool:
        """Take a slot if one is free and the owner may have it, which is so only if none of its own wait."""
        has = self._taken.get(owner, 0)
        if not self._free or owner in self._queues or (owner and has >= self._each):
            return False
        self._free -= 1
        self._taken[owner] = has + 1
        return True

    async def take(self, owner: str = "") -> None:
        """Take a slot; raises ``TimeoutError`` after ``wait_s``."""
        if self.take_now(owner):
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        until = loop.time() + self._wait_s
        self._queues.setdefault(owner, deque()).append((until, turn))
        if self._timer is None:
            self._timer = loop.call_at(until, self._look, loop)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give(owner)
            raise

    def give(self, owner: str = "") -> None:
        """Give a slot to the next owner that waits and may have it, or back."""
        self._free += 1
        left = self._taken[owner] - 1
        if left:
            self._taken[owner] = left
        else:
            del self._taken[owner]
        if not self._queues:
            return
        for waiting, queue in list(self._queues.items()):
            if self._may(waiting) and self._hand(waiting, queue):
                return

    def _may(self, owner: str) -> bool:
        return not owner or self._taken.get(owner, 0) < self._each

    def _hand(self, owner: str, queue: deque[_Turn]) -> bool:
        """Give a slot to the owner's first that still waits; the owner's next turn comes behind the others'."""
        del self._queues[owner]
        while queue:
            _, turn = queue.popleft()
            if not turn.done():
                self._free -= 1
                self._taken[owner] = self._taken.get(owner, 0) + 1
                turn.set_result(None)
                if queue:
                    self._queues[owner] = queue
                return True
        return False

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for owner, queue in list(self._queues.items()):
            while queue and queue[0][0] <= now:
                _, turn = queue.popleft()
                if not turn.done():
                    turn.set_exception(TimeoutError())
            if not queue:
                del self._queues[owner]
        if self._queues:
            first = min(queue[0][0] for queue in self._queues.values())
            self._timer = loop.call_at(first, self._look, loop)
