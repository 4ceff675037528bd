"""WriteQueue writes that cannot be taken now: the home is changing, has no lease, or does not answer.

A held write is tried again until it has an answer or its time is over: the client's ``IG-Deadline-Ms``, at most
``hold_s_max``. What wakes it is news (the directory or the region's grant has changed) and, for news that nobody
brings, the clock: of each placement one write, the *prober*, tries again every ``STEP_S``; the others wait until a
write of their placement got through, and then follow, not all at once. How many are held is limited, in number and in
bytes, in all and for each tenant: beyond, a write is refused at once with ``held_full``. Trying again is safe because
the key makes every attempt the same write. Nothing here decides whether a write may be taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from intelgraph.api.http.request import Request
from intelgraph.api.limits.shares import Full, Shares
from intelgraph.api.metrics import Metrics
from intelgraph.model.errors import PermanentError, TransientError, refuse, retry
from intelgraph.settings import ApiPolicy

DEADLINE = b"ig-deadline-ms"
STEP_S = 0.05
STEP_OF_EACH_S = 0.005
"""When many placements are held at once, each prober waits longer: together they try 200 times a second at most."""
FOLLOW_AT_ONCE = 4
"""How many waiting writes one that got through brings along."""
_DIGITS_MAX = 9


def deadline_s(request: Request, policy: ApiPolicy) -> float:
    """Return how long the client waits for an answer, in seconds, as far as the API lets it."""
    given = request.headers.get(DEADLINE)
    if given is None:
        return min(policy.request_timeout_s, policy.hold_s_max)
    if not given.isdigit() or len(given) > _DIGITS_MAX:
        raise _bad_deadline()
    return min(int(given) / 1000.0, policy.hold_s_max)


def _bad_deadline() -> PermanentError:
    return refuse(
        "bad_request",
        "the request is refused: its header ig-deadline-ms must be a whole number of milliseconds",
        header="ig-deadline-ms",
    )


@dataclass(kw_only=True)
class _Queue:
    """The held writes of one placement, first come first."""

    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    has_prober: bool = False


class WriteQueue:
    """The writes that one worker holds."""

    def __init__(self, *, policy: ApiPolicy, metrics: Metrics) -> None:
        self._policy = policy
        self._metrics = metrics
        self._queues: dict[str, _Queue] = {}
        full = metrics.full("held writes")
        self._held = Shares(most=policy.held_max, each=policy.tenant_held_max, on_full=full)
        self._bytes = Shares(most=policy.held_bytes_max, each=policy.tenant_held_bytes_max, on_full=full)
        self._stopping = False
        self._news: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Something has changed: let one held write of each placement try at once."""
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)
        for queue in self._queues.values():
            _wake(queue, 1)

    async def news(self, besides: asyncio.Future[Any]) -> None:
        """Return when something has changed, or ``besides`` is done."""
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.wait({self._news, besides}, return_when=asyncio.FIRST_COMPLETED)

    def stop(self) -> None:
        """This process is about to stop: every held write is refused now, so that it can be sent elsewhere."""
        self._stopping = True
        for queue in self._queues.values():
            _wake(queue, len(queue.waiting))

    @contextmanager
    def queued(self, placement: str, size: int, why: TransientError, *, whose: str = "") -> Iterator[QueuedWrite]:
        """Hold one write for the length of a ``with`` block; ``held_full`` when there are too many already.

        ``whose``: the tenant, which has its share of the places and of the bytes.
        """
        self._take(whose, size, why)
        queue = self._queues.setdefault(placement, _Queue())
        held = QueuedWrite(write_queue=self, queue=queue)
        began_s = time.monotonic()
        self._metrics.held.inc()
        try:
            yield held
        finally:
            self._held.give(whose)
            self._bytes.give(whose, size)
            self._metrics.held.dec()
            self._metrics.held_seconds.observe(time.monotonic() - began_s)
            held.leave()
            if not queue.waiting and not queue.has_prober and self._queues.get(placement) is queue:
                del self._queues[placement]

    @property
    def step_s(self) -> float:
        """How long a prober waits for news."""
        return max(STEP_S, STEP_OF_EACH_S * len(self._queues))

    @property
    def is_stopping(self) -> bool:
        """Whether writes are not held any more."""
        return self._stopping

    def _take(self, whose: str, size: int, why: TransientError) -> None:
        full = self._held.take(whose)
        if full is not None:
            raise _no_room(full, "writes", why)
        full = self._bytes.take(whose, size)
        if full is not None:
            self._held.give(whose)
            raise _no_room(full, "bytes of writes", why)


def _no_room(full: Full, what: str, why: TransientError) -> TransientError:
    return retry(
        "held_full",
        f"the write is refused at once: {full.found} {what} {full.whose} are held here already; the limit is "
        f"{full.limit}. They are held because: {why.denied.reason}",
        retry_after_s=max(1.0, why.retry_after_s),
        held=full.found,
        limit=full.limit,
    )


class QueuedWrite:
    """One held write: waits for its turn to try again."""

    def __init__(self, *, write_queue: WriteQueue, queue: _Queue) -> None:
        self._write_queue = write_queue
        self._queue = queue
        self._is_prober = False

    async def wait(self, until_s: float, gone: Callable[[], bool]) -> bool:
        """Return ``True`` when it is time to try again, ``False`` when the write's time is over or its client ``gone``.

        A write whose client has gone is not tried again: nobody would hear of it, and by now the client may have
        sent it to another region, or changed its mind.
        """
        queue = self._queue
        if not self._is_prober and not queue.has_prober:
            self._is_prober = queue.has_prober = True
        while not self._write_queue.is_stopping:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return False
            pause_s = min(left_s, self._write_queue.step_s) if self._is_prober else left_s
            woken = await self._pause(pause_s)
            if self._write_queue.is_stopping:
                break
            if gone():
                _wake(queue, 1)
                return False
            if woken or self._is_prober:
                return time.monotonic() < until_s
        return False

    def passed(self) -> None:
        """The write got through: others of its placement may follow."""
        _wake(self._queue, FOLLOW_AT_ONCE)

    def leave(self) -> None:
        """Let another try where nobody does: the prober leaves, or the write that was woken to take its part."""
        if self._is_prober:
            self._is_prober = self._queue.has_prober = False
        if not self._queue.has_prober:
            _wake(self._queue, 1)

    async def _pause(self, timeout_s: float) -> bool:
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._queue.waiting
        if self._is_prober:
            waiting.appendleft(news)
        else:
            waiting.append(news)
        try:
            async with asyncio.timeout(timeout_s):
                await news
        except TimeoutError:
            return False
        finally:
            # One whose time is over may have been taken out by a wake before it runs again.
            with contextlib.suppress(ValueError):
                waiting.remove(news)
        return True


def _wake(queue: _Queue, count: int) -> None:
    """Wake the first writes of a queue that still wait."""
    while count > 0 and queue.waiting:
        news = queue.waiting.popleft()
        if not news.done():
            news.set_result(None)
            count -= 1
