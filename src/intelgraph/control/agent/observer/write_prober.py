"""Probes the region's own write path, again and again, the way a client's write goes: by a new connection to its edge.

``GET /readyz?writes`` makes the API process that answers log in to the database anew and commit (``api.health``). What
the probes say is judged in ``placement.write_path``. A loop of its own: neither a probe that hangs nor one that is slow
makes a renewal of the lease wait. Probes overlap, so that one that hangs hides no other; an answer is waited for in
steps, so that an agent that gets no processor counts less time than has passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import aiohttp
import msgspec

from intelgraph.control.agent.leases.steady import Clock
from intelgraph.http_body import BodyTooLarge, read_body
from intelgraph.model.errors import Denied
from intelgraph.placement.write_path import UNPROBED, Probed, WritePath, WritePathPolicy, judge, overtaken

_UNDER_WAY_MAX = 4
_ANSWER_BYTES_MAX = 64 * 1024


class _Answer(msgspec.Struct):
    """What is read of an answer: of ours, or of the edge's own when nobody is behind it."""

    reason: str = ""
    limits: dict[str, str] = {}


class WriteProber:
    """One loop. ``edge``: the base URL of the region's own edge; empty: there is none, and nothing is probed."""

    def __init__(
        self, edge: str, *, region: str, policy: WritePathPolicy, clock: Clock, on_change: Callable[[], None]
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
        self.path: WritePath | None = None if edge else UNPROBED
        """What is known; none before the first result."""
        self.limits: Mapping[str, str] = {}
        """What the worker that answered the last probe lacks, by name; nothing when nobody answered."""

    async def run(self) -> None:
        """Probe for ever."""
        if not self._edge:
            await asyncio.Event().wait()
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            try:
                while True:
                    if len(self._under_way) < _UNDER_WAY_MAX:
                        probe = asyncio.ensure_future(self._probe(session))
                        self._under_way.add(probe)
                        probe.add_done_callback(self._under_way.discard)
                    await asyncio.sleep(self._policy.probe_s)
            finally:
                for probe in self._under_way:
                    probe.cancel()

    async def _probe(self, session: aiohttp.ClientSession) -> None:
        began_s, waited_s = self._clock(), 0.0
        asking = asyncio.ensure_future(self._ask(session))
        try:
            while waited_s < self._policy.answer_s:
                done, _ = await asyncio.wait({asking}, timeout=self._policy.look_s)
                if done:
                    break
                waited_s += self._policy.look_s
            why = asking.result() if asking.done() else self._silent()
        finally:
            asking.cancel()
        self._take(began_s, Probed(why=why, waited_s=waited_s))

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

    async def _ask(self, session: aiohttp.ClientSession) -> Denied | None:
        """Ask once; return why no write gets through, if none does."""
        try:
            async with session.get(self._edge.rstrip("/") + "/readyz?writes") as answer:
                decoded = _decoded(await read_body(answer.content, _ANSWER_BYTES_MAX))
                self.limits = decoded.limits
                if answer.status == 200:
                    return None
                return self._fails(decoded.reason[:300] or f"the edge answers {answer.status}")
        except BodyTooLarge as error:
            self.limits = {}
            return self._fails(f"the edge's answer cannot be read: {error}")
        except (aiohttp.ClientError, OSError) as error:
            self.limits = {}
            return self._fails(f"its edge refuses new connections ({type(error).__name__})")

    def _silent(self) -> Denied:
        self.limits = {}
        return self._fails(f"its edge has not answered a new connection within {self._policy.answer_s:g} s")

    def _fails(self, why: str) -> Denied:
        reason = f"writes fail in {self._region}: {why}"
        return Denied(code="write_path", reason=reason, facts={"about": self._region})


def _decoded(body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError:
        return _Answer()
