"""A heartbeat that also asks whether the database could grow: a full disk leaves heartbeats alone, and nothing else.

A heartbeat fits into a page and a log segment that are there already. Without this, a home whose disk is full would
keep its lease for minutes while it can append nothing, and its standby would wait (seen: until there was room again).
So a lease is renewed only while there is room for PostgreSQL's next log segment; it ends, and the standby takes over.
"""

from __future__ import annotations

from collections.abc import Callable

from intelgraph.control.agent.leases.keeper import Beat, Heartbeat
from intelgraph.model.errors import retry

SEGMENT_BYTES = 16 * 1024 * 1024


class RoomyHeartbeat:
    """A ``Heartbeat`` in front of another; ``room()`` says how many bytes are free where the database lives."""

    def __init__(self, heartbeat: Heartbeat, *, region: str, room: Callable[[], int]) -> None:
        self._heartbeat = heartbeat
        self._region = region
        self._room = room

    async def beat(self, term: str, counter: int) -> Beat:
        """Commit a heartbeat; ``disk_full`` if there is no room for what would have to follow it."""
        room = self._room()
        if room < SEGMENT_BYTES:
            raise retry(
                "disk_full",
                f"the lease is not renewed: the disk of {self._region} has {room / 1e6:.1f} MB left, and PostgreSQL "
                f"needs {SEGMENT_BYTES / 1e6:.1f} MB for its next log segment; make room there: it comes back by "
                "itself, and its standby writes meanwhile",
                retry_after_s=1.0,
                region=self._region,
            )
        return await self._heartbeat.beat(term, counter)
