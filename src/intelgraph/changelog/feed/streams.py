"""Live streams as a subscriber: wakes the processes that hold streams open when there may be something to read.

It keeps nothing: which changes a stream is told, and from where, is asked of the database by whoever holds it open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from intelgraph.changelog.feed.subscriber import FeedRow

if TYPE_CHECKING:
    from asyncpg import Connection

CHANNEL = "ig_feed"


class Streams:
    """Notifies ``CHANNEL``. Writers notify nobody: a notification inside their transactions would serialise them."""

    name = "streams"
    reads_bodies = False
    state = None

    async def receive(self, rows: Sequence[FeedRow], database: Connection) -> None:
        """Wake them, also when only settled positions moved: a stream goes as far as those."""
        await database.execute(f"notify {CHANNEL}")
