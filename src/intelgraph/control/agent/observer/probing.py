"""Asks other regions' doors, again and again, whether they answer: over the WAN, or from the edge at the witness.

What was found is young or absent. Whether a region may go on writing is decided by its lease, never by this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

PROBE_S = 1.0
_ANSWER_S = 0.8
UNREACHED_AFTER = 3
"""So many unanswered probes in a row say that a region is not reached: one alone says that somebody was busy."""
REACHED_AFTER = 5
"""It counts as reached again after so many answers in a row: a link that flaps is down."""


class Probes:
    """One loop that asks every region it knows at once. ``regions``: the base URL of each region's API."""

    def __init__(self, regions: Mapping[str, str]) -> None:
        self._regions = regions
        self._reached: dict[str, bool] = {}
        self._unreached_s: dict[str, float] = {}
        self._answers: dict[str, int] = {}

    def reached(self) -> dict[str, bool]:
        """Return whether each region answered when it was last asked."""
        return dict(self._reached)

    def unreached_s(self) -> dict[str, float]:
        """Return for how long, counted in probes, each region has not answered, of those that do not."""
        return dict(self._unreached_s)

    async def run(self) -> None:
        """Ask for ever."""
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(force_close=True)) as session:
            while True:
                await asyncio.gather(*(self._ask(session, name, url) for name, url in self._regions.items()))
                await asyncio.sleep(PROBE_S)

    async def _ask(self, session: aiohttp.ClientSession, name: str, url: str) -> None:
        try:
            async with session.get(url.rstrip("/") + "/healthz") as answer:
                self.take(name, answered=answer.status == 200)
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.take(name, answered=False)

    def take(self, name: str, *, answered: bool) -> None:
        """Take one answer, or its absence, into account."""
        self._reached[name] = answered
        if not answered:
            self._answers[name] = 0
            self._unreached_s[name] = self._unreached_s.get(name, 0.0) + PROBE_S
            return
        self._answers[name] = self._answers.get(name, 0) + 1
        if self._unreached_s.get(name, 0.0) < UNREACHED_AFTER * PROBE_S or self._answers[name] >= REACHED_AFTER:
            self._unreached_s.pop(name, None)
