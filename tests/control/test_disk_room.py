"""A lease is renewed only while the database could grow."""

from __future__ import annotations

import asyncio

import pytest

from intelgraph.control.agent.leases.disk_room import SEGMENT_BYTES, RoomyHeartbeat
from intelgraph.control.agent.leases.keeper import Beat
from intelgraph.model.errors import TransientError


class Beats:
    """A database that commits every heartbeat."""

    def __init__(self) -> None:
        self.counters: list[int] = []

    async def beat(self, term: str, counter: int) -> Beat:
        self.counters.append(counter)
        return Beat(life=1, schema="s", terms=frozenset({term}))


def test_without_room_for_a_log_segment_the_lease_is_not_renewed_although_a_heartbeat_would_fit() -> None:
    room, database = [SEGMENT_BYTES], Beats()
    heartbeat = RoomyHeartbeat(database, region="us-east", room=lambda: room[0])
    assert asyncio.run(heartbeat.beat("t", 1)).terms == {"t"}
    room[0] -= 1
    with pytest.raises(TransientError) as refused:
        asyncio.run(heartbeat.beat("t", 2))
    assert refused.value.denied.code == "disk_full"
    assert "16.8 MB left" in refused.value.denied.reason and "make room" in refused.value.denied.reason
    assert "needs 16.8 MB for" in refused.value.denied.reason
    assert (refused.value.retry_after_s, refused.value.denied.facts) == (1.0, {"region": "us-east"})
    room[0] += 1
    asyncio.run(heartbeat.beat("t", 3))
    assert database.counters == [1, 3]
