"""Asks other regions' doors, again and again, whether they answer: over the WAN, or from the edge at the witness.

What was found is young or absent. Whether a region may go on writing is decided by its lease, never by this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

PROBE_S = 1.0
_ANSWER_S = 0.8


class Probes:
    """One loop that asks every region it knows at once. ``regions``: the base URL of each region's API."""

    def __init__(self, regions: Mapping[str, str]) -> None:
        self._regions = regions
        self._reached: dict[str, bool] = {}

    def reached(self) -> dict[str, bool]:
        """Return whether each region answered when it was last asked."""
        return dict(self._reached)

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
                self._reached[name] = answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            self._reached[name] = False
