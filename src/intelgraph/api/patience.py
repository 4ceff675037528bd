"""What takes milliseconds of Python is done aside: on a thread of its own, for each tenant in turn, with rests.

A document that was seen costs next to nothing. One that was not has to be parsed, validated and perhaps refused, and a
large body has to be decoded: on the event loop nobody would be answered meanwhile. On the thread others lose
``SWITCH_S`` at a time; and a tenant's next one waits as long again as the last one took, or nine times as long if that
was refused.
Whoever sends documents that are known is never made to wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from intelgraph.model.errors import retry

LARGE_BYTES = 32_768
SWITCH_S = 0.0005
"""How long the thread may hold the interpreter while the event loop waits for it: ``sys.setswitchinterval``."""
_REST, _REST_AFTER_REFUSAL = 1.0, 9.0
"""A tenant has the thread for half of the time at most, and for a tenth while it is refused."""
_CHEAP_S = 0.0005
_WAITING_MAX = 32
_TENANTS_MAX = 1_000

T = TypeVar("T")


@dataclass
class _Turn:
    one: asyncio.Lock = field(default_factory=asyncio.Lock)
    not_before: float = 0.0
    waiting: int = 0


class Patience:
    """The turns of one worker's tenants."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aside")

    async def aside(self, tenant: str, work: Callable[[], T]) -> T:
        """Do ``work`` in the tenant's turn; raises what it raises.

        Refuses with ``overloaded`` when too many of the tenant's requests wait already.
        """
        turn = self._turns.get(tenant)
        if turn is None:
            turn = self._turns[tenant] = _Turn()
            self._forget()
        if turn.waiting >= _WAITING_MAX:
            raise retry(
                "overloaded",
                f"the request is refused: {turn.waiting} of the tenant's documents wait to be looked at; the limit is "
                f"{_WAITING_MAX}",
                retry_after_s=1.0,
            )
        turn.waiting += 1
        try:
            async with turn.one:
                pause = turn.not_before - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(pause)
                began, rest = time.monotonic(), _REST_AFTER_REFUSAL
                try:
                    done = await asyncio.get_running_loop().run_in_executor(self._thread, work)
                    rest = _REST
                    return done
                finally:
                    ended = time.monotonic()
                    if ended - began > _CHEAP_S:
                        turn.not_before = ended + rest * (ended - began)
        finally:
            turn.waiting -= 1

    def _forget(self) -> None:
        if len(self._turns) > _TENANTS_MAX:
            now = time.monotonic()
            self._turns = {
                tenant: turn for tenant, turn in self._turns.items() if turn.waiting or turn.not_before > now
            }
