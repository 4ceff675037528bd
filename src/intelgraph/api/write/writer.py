"""Taking a write to its home, and queueing it meanwhile: the order in which a write is tried, here or by a hop.

While a placement's home is changing, has no lease or does not answer, the write is held (``write_queue``): it is
tried again, wherever the home is by then, until its client's time is over. Trying again is safe because the key makes
every attempt the same write; what is certain after several attempts is for ``attempts`` to say. A write that came by a
hop is not held: it is held where it came in.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from intelgraph.api.admission import Admission
from intelgraph.api.http.response import Response
from intelgraph.api.write.acknowledgement import Acknowledged
from intelgraph.api.write.attempts import may_have_written, maybe_written
from intelgraph.api.write.forward import PASSING
from intelgraph.api.write.handover import Handover
from intelgraph.api.write.home import Home
from intelgraph.api.write.write import Write
from intelgraph.api.write.write_queue import WriteQueue, deadline_s
from intelgraph.control.directory.cache import CachedDirectory
from intelgraph.model.errors import Denied, PermanentError, TransientError
from intelgraph.model.placement import Placement
from intelgraph.placement.routing import Hold, WriteHere, route_write
from intelgraph.settings import ApiPolicy

_ANSWER_MARGIN_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Settles the writes of one worker, which serves ``region``."""

    region: str
    policy: ApiPolicy
    admission: Admission
    directory: CachedDirectory
    write_queue: WriteQueue
    home: Home
    handover: Handover

    async def settle(self, write: Write) -> Acknowledged | Response:
        """Try until there is an answer or the client's time is over; refused for certain is only what nobody wrote."""
        try:
            return await self._settle(write)
        except PermanentError as error:
            if write.unanswered is None:
                raise
            raise maybe_written(error.denied, write.unanswered) from None

    async def _settle(self, write: Write) -> Acknowledged | Response:
        until_s = time.monotonic() + deadline_s(write.request, self.policy)
        outcome = await self._attempt(write, write.admitted.placement, until_s)
        if not isinstance(outcome, TransientError):
            return outcome
        if write.request.hopped:
            raise outcome
        placement = write.admitted.placement.id
        with self.write_queue.queued(placement, len(write.body), outcome, whose=write.tenant) as held:
            while await held.wait(until_s, lambda: write.request.incoming.gone):
                outcome = await self._attempt_in_time(write, until_s, outcome)
                if not isinstance(outcome, TransientError):
                    held.passed()
                    return outcome
        raise outcome

    async def _attempt_in_time(
        self, write: Write, until_s: float, before: TransientError
    ) -> Acknowledged | Response | TransientError:
        """Try again; what has no answer when the client's time is over goes on alone, and the key tells about it."""
        trying = asyncio.ensure_future(self._attempt_anew(write, until_s))
        await asyncio.wait({trying}, timeout=max(0.0, until_s - time.monotonic()) + _ANSWER_MARGIN_S)
        if trying.done():
            return trying.result()
        trying.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        reason = f"{before.denied.reason}; the last attempt has no answer yet: repeat it with the same Idempotency-Key"
        facts = {name: name == "sent" or fact for name, fact in before.denied.facts.items()}  # by now it may be sent
        denied = Denied(code=before.denied.code, reason=reason, facts=facts)
        return TransientError(denied, retry_after_s=before.retry_after_s)

    async def _attempt_anew(self, write: Write, until_s: float) -> Acknowledged | Response | TransientError:
        return await self._attempt(write, await self._placement(write), until_s)

    async def _placement(self, write: Write) -> Placement:
        """Find the placement as it is now, or was when the control store was last heard."""
        with contextlib.suppress(TransientError):
            await self.directory.refresh()
        return await self.admission.placement_of(write.admitted.principal)

    async def _attempt(
        self, write: Write, placement: Placement, until_s: float
    ) -> Acknowledged | Response | TransientError:
        """Answer the write, or return why it must be held."""
        route = route_write(region=self.region, placement=placement, hopped=write.request.hopped)
        if isinstance(route, Hold):
            return TransientError(route.denied, retry_after_s=1.0)
        try:
            if isinstance(route, WriteHere):
                return await self.home.append(write, placement, route.epoch, until_s)
            return await self.handover.send(write, placement, route, until_s)
        except TransientError as error:
            if may_have_written(error):
                write.unanswered = placement.home
            if error.denied.code in PASSING:
                return error
            raise
