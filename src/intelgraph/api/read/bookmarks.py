"""Waiting until a bookmark's row has arrived here: one poll loop for all readers that wait.

The loop asks the database about every distinct (placement, bookmark) in one statement each ``POLL_S``, and sleeps for
ever when nobody waits; a thousand waiting readers cost the database one small query at a time.
"""

from __future__ import annotations

import asyncio

import msgspec

from intelgraph.api.database.database import READABLE, Database
from intelgraph.api.database.readable import Readable
from intelgraph.model.errors import IntelGraphError

POLL_S = 0.003
_PAUSE_AFTER_ERROR_S = 0.05

_Wanted = tuple[str, str]


class _Waited:
    """A bookmark that ``readers`` wait for."""

    __slots__ = ("answered", "readers")

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.readers = 0


class BookmarkWaiters:
    """Readers that wait for rows. ``run`` must be a task of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[_Wanted, _Waited] = {}
        self._anybody = asyncio.Event()

    async def wait(self, placement: str, bookmark: str, timeout_s: float) -> bool:
        """Say whether there is an answer about the bookmark other than "not yet" within ``timeout_s``."""
        wanted = (placement, bookmark)
        waited = self._waiting.setdefault(wanted, _Waited())
        waited.readers += 1
        self._anybody.set()
        try:
            async with asyncio.timeout(timeout_s):
                await waited.answered.wait()
        except TimeoutError:
            return False
        finally:
            waited.readers -= 1
            if waited.readers == 0 and self._waiting.get(wanted) is waited:
                del self._waiting[wanted]
        return True

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._anybody.wait()
            await asyncio.sleep(POLL_S)
            try:
                await self._look()
            except IntelGraphError:
                await asyncio.sleep(_PAUSE_AFTER_ERROR_S)

    async def _look(self) -> None:
        wanted = list(self._waiting)
        if not wanted:
            self._anybody.clear()
            return
        placements, bookmarks = [key[0] for key in wanted], [key[1] for key in wanted]
        answers = await self._database.call_many(READABLE, placements, bookmarks)
        for key, answer in zip(wanted, answers, strict=True):
            waited = self._waiting.get(key)
            if waited is not None and not msgspec.json.decode(answer, type=Readable).may_still_come:
                del self._waiting[key]
                waited.answered.set()
