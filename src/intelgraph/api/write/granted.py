"""The region's grant as one worker knows it: what may be acknowledged, and until when on this process's own clock.

The worker asks its region's agent over a Unix socket and notes when it *asked*; the answer may be used until
``asked + remains_s``. So an answer that is late, or a worker that was stopped for a while, can only find the grant
over earlier. Without an agent that answers there is no grant, and nothing is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from intelgraph.api.metrics import Metrics
from intelgraph.api.write.durability import Granted
from intelgraph.control.agent.leases.grants import LINE_BYTES_MAX, LONG_POLL_S, Bound, GrantAnswer, GrantAsked
from intelgraph.control.agent.leases.steady import Clock
from intelgraph.model.errors import Denied, Fact
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.governor import AtRisk, admit
from intelgraph.placement.policy import GovernorPolicy

ANSWER_WAIT_S = LONG_POLL_S + 1.0
_RETRY_S = 0.1
# A grant that is not renewed is over sooner than this: until then the age that is added is what counts.
_GOVERNOR = GovernorPolicy(unknown_s_max=5.0)
_DECODER = msgspec.json.Decoder(GrantAnswer)


@dataclass(frozen=True, kw_only=True)
class _Known:
    generation: str = ""
    until_s: float = -math.inf
    epochs: Mapping[str, int] = field(default_factory=dict)
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    measured_s: float = -math.inf
    """When, at the latest reckoning, the agent measured what the bounds say, on this process's clock."""


class GrantedLease:
    """A ``LeaseCheck`` on the agent at ``path``. ``run`` keeps it and must be a task of its own."""

    def __init__(
        self,
        *,
        region: str,
        path: str,
        clock: Clock,
        on_change: Callable[[], None],
        metrics: Metrics,
        on_clock: Callable[[float | None], None] = lambda ahead_s: None,
    ) -> None:
        self._region = region
        self._path = path
        self._clock = clock
        self._on_change = on_change
        self._metrics = metrics
        self._on_clock = on_clock
        self._known = _Known()
        self._alone_until_s: dict[str, float] = {}
        """Of each placement that was ever granted: until when nobody else can have acknowledged a write of it."""
        self._why = "the region's agent has not answered yet"
        self._answered_s = clock()
        self._limits: Mapping[str, str] = {}
        self._passed_over = False

    def grant_for(self, placement: Placement) -> Granted | Denied:
        """Say in which epoch a write may be appended now, or why it has to wait."""
        known = self._known
        facts: dict[str, Fact] = {"region": self._region, "placement": placement.id, "epoch": placement.epoch}
        if self._clock() >= known.until_s:
            why = f": {self._why}" if self._why else ""
            return Denied(
                code="lease_over",
                reason=f"the write is held: {self._region} has no lease now, and acknowledges nothing without one{why}",
                facts=facts,
            )
        epoch = known.epochs.get(placement.id)
        if epoch != placement.epoch:
            granted = "it is not this region's" if epoch is None else f"the lease covers epoch {epoch}"
            return Denied(
                code="not_granted",
                reason=f"the write is held: {self._region} may not write placement {placement.id} "
                f"in epoch {placement.epoch}: {granted}",
                facts=facts,
            )
        return self._within_bounds(placement, known, facts)

    def _within_bounds(self, placement: Placement, known: _Known, facts: dict[str, Fact]) -> Granted | Denied:
        bound = known.bounds.get(placement.id)
        if placement.standby is None or (bound is None and placement.durability is Durability.REMOTE):
            return Granted(epoch=placement.epoch)
        if bound is not None and bound.refused_code:
            return Denied(code=bound.refused_code, reason=bound.refused_reason, facts=facts)
        if placement.durability is Durability.REMOTE:
            return Granted(epoch=placement.epoch)
        if bound is None or bound.oldest_s is None:
            why = f"how far its standby {placement.standby} is behind is not known yet"
            return Denied(code="not_granted", reason=f"the write is held: {why}", facts=facts)
        admitted = admit(
            bound.oldest_s,
            measured_s_ago=self._clock() - known.measured_s,
            rpo_s_max=bound.rpo_s_max,
            policy=_GOVERNOR,
        )
        if isinstance(admitted, AtRisk):
            return admitted.denied
        return Granted(epoch=placement.epoch, delay_s=admitted.delay_s)

    def may_acknowledge(self, placement: str, epoch: int) -> bool:
        """Say whether a write of ``placement`` that has committed in ``epoch`` may be acknowledged now."""
        known = self._known
        return self._clock() < known.until_s and known.epochs.get(placement) == epoch

    def over_for_s(self, placement: str) -> float | None:
        """Return for how long others may have been acknowledging writes of ``placement``; ``None``: it is not known."""
        until_s = self._alone_until_s.get(placement)
        return None if until_s is None else max(0.0, self._clock() - until_s)

    def remains_s(self) -> float:
        """Return for how much longer the lease lasts if it is not renewed; 0 when it is over."""
        return max(0.0, self._known.until_s - self._clock())

    def silent_s(self) -> float:
        """Return for how long the agent has not answered."""
        return max(0.0, self._clock() - self._answered_s)

    def limits(self) -> Mapping[str, str]:
        """Return what the agent said last that the region serves less well than it should."""
        return self._limits

    def is_passed_over(self) -> bool:
        """Say what the agent said last, if it still answers: one that is silent leaves everything as it was."""
        return self._passed_over

    async def run(self) -> None:
        """Ask the agent for ever; one that is away is asked again soon."""
        while True:
            with contextlib.suppress(OSError, TimeoutError, EOFError, ValueError, msgspec.DecodeError):
                await self._converse()
            self._why = "the region's agent does not answer"
            await asyncio.sleep(_RETRY_S)

    async def _converse(self) -> None:
        async with asyncio.timeout(ANSWER_WAIT_S):
            reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_BYTES_MAX)
        try:
            while True:
                async with asyncio.timeout(ANSWER_WAIT_S):
                    asked_s = self._clock()
                    writer.write(msgspec.json.encode(self.question()) + b"\n")
                    await writer.drain()
                    line = await reader.readuntil(b"\n")
                self.take(asked_s, _DECODER.decode(line))
        finally:
            writer.close()

    def question(self) -> GrantAsked:
        """Return what the agent is asked next: for another grant than the one that is here."""
        return GrantAsked(after=self._known.generation)

    def take(self, asked_s: float, told: GrantAnswer) -> None:
        """Take the agent's answer to what it was asked at ``asked_s``, on this process's clock."""
        before = self._known
        if told.generation != before.generation:
            self._metrics.grants.inc()
        self._why = told.why or ""
        self._on_clock(told.clock_ahead_s)
        self._answered_s = self._clock()
        self._limits, self._passed_over = told.limits, told.passed_over
        self._known = _Known(
            generation=told.generation,
            until_s=asked_s + told.remains_s,
            epochs=told.epochs,
            bounds=told.bounds,
            measured_s=asked_s + told.waited_s,
        )
        self._note_alone(asked_s, told)
        if told.epochs != before.epochs or asked_s >= before.until_s:
            self._on_change()

    def _note_alone(self, asked_s: float, told: GrantAnswer) -> None:
        """What was granted has no other writer until then; what is granted no longer may have had one ever since."""
        for placement in self._alone_until_s.keys() - told.epochs.keys():
            self._alone_until_s[placement] = min(self._alone_until_s[placement], asked_s)
        if told.remains_s > 0:
            self._alone_until_s.update(dict.fromkeys(told.epochs, asked_s + told.remains_s))
