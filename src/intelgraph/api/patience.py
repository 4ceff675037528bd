"""What costs a worker's event loop milliseconds is done for each tenant in turn, and for a share of the time only.

A document that was seen costs next to nothing. One that was not has to be parsed, validated and perhaps refused, and a
large body has to be decoded: while that is done the worker answers nobody. So a tenant's next one waits until ``_REST``
times as long as the last one took has passed. Whoever sends documents that are known is never made to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from intelgraph.model.errors import retry

LARGE_BYTES = 32_768
_REST = 4.0
"""Of its time the worker gives one tenant a fifth for this."""
_CHEAP_S = 0.0005
_WAITING_MAX = 32
_TENANTS_MAX = 1_000


@dataclass
class _Turn:
    one: asyncio.Lock = field(default_factory=asyncio.Lock)
    not_before: float = 0.0
    waiting: int = 0


class Patience:
    """The turns of one worker's tenants."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    @contextlib.asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Wait for the tenant's turn; what is done within, without waiting for anything, is what counts.

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
                began = time.monotonic()
                try:
                    yield
                finally:
                    ended = time.monotonic()
                    if ended - began > _CHEAP_S:
                        turn.not_before = ended + _REST * (ended - began)
        finally:
            turn.waiting -= 1

    def _forget(self) -> None:
        if len(self._turns) > _TENANTS_MAX:
            now = time.monotonic()
            self._turns = {
                tenant: turn for tenant, turn in self._turns.items() if turn.waiting or turn.not_before > now
            }
