"""Probes the region's own write path, again and again, the way a client's write goes: by a new connection to its edge.

``GET /readyz?writes`` makes the API process that answers log in to the database anew and commit (``api.health``). What
the probes say is judged in ``placement.write_path``. A loop of its own: neither a probe that hangs nor one that is slow
makes a renewal of the lease wait. Probes overlap, so that one that hangs hides no other; an answer is waited for in
steps, so that an agent that gets no processor counts less time than has passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import msgspec

from intelgraph.control.agent.leases.steady import Clock
from intelgraph.http_body import BodyTooLarge, read_body
from intelgraph.model.errors import Denied, why_no_answer
from intelgraph.placement.write_path import UNPROBED, Probed, WritePath, WritePathPolicy, judge, overtaken

_UNDER_WAY_MAX = 4
_ANSWER_BYTES_MAX = 64 * 1024


class _Answer(msgspec.Struct):
    """What is read of an answer: of ours, or of the edge's own when nobody is behind it."""

    reason: str = ""
    limits: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class EdgeAnswer:
    """What a probe was answered: why no write gets through, if none does; what the worker that answered lacks."""

    why: str | None = None
    limits: Mapping[str, str] = field(default_factory=dict)


Ask = Callable[[], Awaitable[EdgeAnswer]]
Edge = Callable[[], AbstractAsyncContextManager[Ask]]
"""What probes are sent through, for as long as it is open."""


def edge_at(url: str) -> Edge | None:
    """Return what probes the edge at a base URL; none if it is empty: there is no edge."""
    return (lambda: _asking(url)) if url else None


@asynccontextmanager
async def _asking(url: str) -> AsyncIterator[Ask]:
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield partial(_ask, session, url.rstrip("/") + "/readyz?writes")


async def _ask(session: aiohttp.ClientSession, url: str) -> EdgeAnswer:
    """Ask once, by a new connection."""
    try:
        async with session.get(url) as answer:
            decoded = _decoded(await read_body(answer.content, _ANSWER_BYTES_MAX))
            if answer.status == 200:
                return EdgeAnswer(limits=decoded.limits)
            why = decoded.reason[:300] or f"the edge answers {answer.status}"
            return EdgeAnswer(why=why, limits=decoded.limits)
    except BodyTooLarge as error:
        return EdgeAnswer(why=f"the edge's answer cannot be read: {error}")
    except (aiohttp.ClientError, OSError) as error:
        return EdgeAnswer(why=f"its edge refuses new connections ({why_no_answer(error)})")


class WriteProber:
    """One loop. ``edge``: the region's own edge; none: there is none, and nothing is probed."""

    def __init__(
        self, edge: Edge | None, *, region: str, policy: WritePathPolicy, clock: Clock, on_change: Callable[[], None]
    ) -> None:
        self._edge = edge
        self._region = region
        self._policy = policy
        self._clock = clock
        self._on_change = on_change
        self._judged_s: float | None = None
        self._through_s = float("-inf")
        """When the last probe that got through began."""
        self._under_way: set[asyncio.Task[None]] = set()
        self.path: WritePath | None = None if edge is not None else UNPROBED
        """What is known; none before the first result."""
        self.limits: Mapping[str, str] = {}
        """What the worker that answered the last probe lacks, by name; nothing when nobody answered."""

    async def run(self) -> None:
        """Probe for ever."""
        if self._edge is None:
            await asyncio.Event().wait()
            return
        async with self._edge() as ask:
            try:
                while True:
                    if len(self._under_way) < _UNDER_WAY_MAX:
                        probe = asyncio.ensure_future(self._probe(ask))
                        self._under_way.add(probe)
                        probe.add_done_callback(self._under_way.discard)
                    await asyncio.sleep(self._policy.probe_s)
            finally:
                for probe in self._under_way:
                    probe.cancel()

    async def _probe(self, ask: Ask) -> None:
        began_s, waited_s = self._clock(), 0.0
        asking = asyncio.ensure_future(ask())
        try:
            while waited_s < self._policy.answer_s:
                done, _ = await asyncio.wait({asking}, timeout=self._policy.look_s)
                if done:
                    break
                waited_s += self._policy.look_s
            answer = asking.result() if asking.done() else self._silence
        finally:
            asking.cancel()
        self.limits = answer.limits
        self._take(began_s, Probed(why=None if answer.why is None else self._fails(answer.why), waited_s=waited_s))

    def _take(self, began_s: float, probed: Probed) -> None:
        before, now_s = self.path, self._clock()
        if probed.why is not None and began_s < self._through_s:
            self.path = overtaken(before)
            return
        passed_s = 0.0 if self._judged_s is None else now_s - self._judged_s
        self._judged_s = now_s
        if probed.why is None:
            self._through_s = max(self._through_s, began_s)
        self.path = judge(before, probed, passed_s=passed_s, policy=self._policy)
        if before is None or before.is_broken != self.path.is_broken:
            self._on_change()

    @property
    def _silence(self) -> EdgeAnswer:
        return EdgeAnswer(why=f"its edge has not answered a new connection within {self._policy.answer_s:g} s")

    def _fails(self, why: str) -> Denied:
        reason = f"writes fail in {self._region}: {why}"
        return Denied(code="write_path", reason=reason, facts={"about": self._region})


def _decoded(body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError:
        return _Answer()
