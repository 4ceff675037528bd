"""Handing a write to its home: for as long as that region is its home, and as long as one try may last."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from intelgraph.api.admission import Tenants
from intelgraph.api.http.response import Response
from intelgraph.api.write.forward import Forwarder, moved_meanwhile
from intelgraph.api.write.write import Write
from intelgraph.api.write.write_queue import WriteQueue
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.routing import ForwardTo

_TRY_S = 2.5
_REMOTE_MARGIN_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Handover:
    """Hands writes of one worker over. ``remote_wait_s``: how long a home may wait for a placement's standby."""

    forwarder: Forwarder
    tenants: Tenants
    write_queue: WriteQueue
    remote_wait_s: float

    async def send(self, write: Write, placement: Placement, route: ForwardTo, until_s: float) -> Response:
        """Send the write to its home and return the answer; ``home_unreachable`` if the home changes meanwhile."""
        try_s = _TRY_S
        if placement.durability is Durability.REMOTE:
            try_s = max(try_s, self.remote_wait_s + _REMOTE_MARGIN_S)
        try_s = max(0.05, min(try_s, until_s - time.monotonic()))
        trying = asyncio.ensure_future(
            self.forwarder.forward(write.request, write.body, route.home, timeout_s=try_s, unanswered=write.unanswered)
        )
        try:
            while not trying.done():
                await self.write_queue.news(trying)
                located = self.tenants.cached(write.tenant)
                if not trying.done() and located is not None and located.placement.home != route.home:
                    raise moved_meanwhile(route.home)
            return await trying
        finally:
            trying.cancel()
