"""Keeps a peer that sends rows again in step with their arrival: a few portions under way, never a flood.

What is sent again is itself WAL at the peer, kept by the slot for this region. Unpaced, a long repair would outrun the
slot's bound, lose the slot, and lose with it what it had sent; and a comparison made before the rows have arrived would
ask for them once more. Arrival is seen by an echo: a token that this region's clock gave after a portion was sent comes
back through the same stream, behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Connection

_UNDER_WAY_MAX = 2
_POLL_S = 0.01
_PATIENCE_S = 10.0


@dataclass(kw_only=True)
class Pace:
    """Portions on their way from ``peer`` to ``region``; ``here`` and ``there`` are connections to the two."""

    here: Connection
    there: Connection
    region: str
    peer: str
    clock_ns: Callable[[], int] = time.monotonic_ns
    _under_way: deque[int] = field(default_factory=deque)

    async def portion_sent(self) -> bool:
        """Call after each portion: waits until few enough are under way; ``False`` when nothing arrives any more."""
        token_ns = self.clock_ns()
        await self.there.execute("select ig.echo($1, $2)", self.region, token_ns)
        self._under_way.append(token_ns)
        return await self._at_most(_UNDER_WAY_MAX - 1)

    async def all_arrived(self) -> bool:
        """Wait until nothing is under way; ``False`` when nothing arrives any more."""
        return await self._at_most(0)

    async def _at_most(self, portions: int) -> bool:
        deadline_s = time.monotonic() + _PATIENCE_S
        while len(self._under_way) > portions:
            heard_ns = await self.here.fetchval("select token_ns from ig.peer where name = $1", self.peer)
            if heard_ns is not None and heard_ns >= self._under_way[0]:
                self._under_way.popleft()
                deadline_s = time.monotonic() + _PATIENCE_S
            elif time.monotonic() >= deadline_s:
                return False
            else:
                await asyncio.sleep(_POLL_S)
        return True
