"""News from the region's feed: it notifies ``ig_feed`` after it has moved on, and whoever streams looks again.

Writers never notify (a notification inside their transactions would serialise them). Notices may be lost while the
database is away, so streams also look by themselves every ``LOOK_S``; many notices within ``GATHER_S`` are one.
"""

from __future__ import annotations

import asyncio

from intelgraph.api.database.database import Database
from intelgraph.connection import DRIVER_ERRORS

LOOK_S = 1.0
GATHER_S = 0.01
_RECONNECT_S = 0.5
_CHECK_S = 0.5


class FeedNotices:
    """Wakes every stream of this worker. ``run`` must be a task of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = asyncio.Event()
        self._gathering = False

    @property
    def next(self) -> asyncio.Event:
        """What the next notice sets. Taken before a look, it tells of all that the look may not have seen."""
        return self._news

    async def wait(self, news: asyncio.Event) -> None:
        """Return when there may be something new, after ``LOOK_S`` at the latest."""
        try:
            async with asyncio.timeout(LOOK_S):
                await news.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Listen for ever; a connection that broke is made again."""
        while True:
            try:
                connection = await self._database.listen(self._notice)
            except DRIVER_ERRORS:
                await asyncio.sleep(_RECONNECT_S)
                continue
            try:
                while not connection.is_closed():  # noqa: ASYNC110 - the driver has no event for it
                    await asyncio.sleep(_CHECK_S)
            finally:
                connection.terminate()

    def _notice(self) -> None:
        if not self._gathering:
            self._gathering = True
            asyncio.get_running_loop().call_later(GATHER_S, self.wake)

    def wake(self) -> None:
        """Have every stream look now."""
        self._gathering = False
        news, self._news = self._news, asyncio.Event()
        news.set()
