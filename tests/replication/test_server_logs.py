"""What a server writes into its own log when things go wrong never holds what a tenant wrote."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from tests.replication.lone import Lone, entity, opening, upsert, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]
NEEDLE = "needle-7f3a"


def test_errors_of_the_door_and_of_the_stream_leave_no_content_in_the_log(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        door = await region.connect("ig_api")
        for fields in ({"created": NEEDLE}, {"valid_from": NEEDLE}, {"sources": [{"x": NEEDLE}], "updated": NEEDLE}):
            with contextlib.suppress(asyncpg.PostgresError):
                await region.append(1, upsert(NEEDLE, name=NEEDLE, **fields), on=door)
        for question in ("select ig.locate('p', 'a/b/c/needle-7f3a')", "select 'needle-7f3a'::int", "needle-7f3a"):
            with contextlib.suppress(asyncpg.PostgresError):
                await door.execute(question)
        stream = await region.stream()
        await region.apply(opening(1, placement="q"), on=stream)
        for number, fields in enumerate(({"created": NEEDLE}, {"confidence": NEEDLE}, {"revision": NEEDLE})):
            await region.apply(write(2 + number, entity(NEEDLE, **fields), placement="q", tenant=NEEDLE), on=stream)
        for kind in ("mark", "row", "snapshot", NEEDLE):
            await region.signal("us-east", kind, {"number": NEEDLE, "origin": NEEDLE, "placement": NEEDLE}, on=stream)
        first, second = await region.stream(), await region.stream()
        both = asyncio.Event(), asyncio.Event()
        await asyncio.gather(_cross(region, first, "ab", *both), _cross(region, second, "ba", *reversed(both)))
        log = region.server.log.read_text(errors="replace")
        assert "deadlock detected" in log
        assert NEEDLE not in log

    alone(story)


async def _cross(
    region: Lone, stream: asyncpg.Connection, order: str, mine: asyncio.Event, theirs: asyncio.Event
) -> None:
    """Write two entities; the second when the other stream has its first."""
    transaction = stream.transaction()
    await transaction.start()
    with contextlib.suppress(asyncpg.DeadlockDetectedError):
        for name in order:
            position = ord(name) + (100 if order == "ba" else 0)
            await region.apply(write(position, entity(f"{NEEDLE}-{name}"), placement="z", tenant=NEEDLE), on=stream)
            mine.set()
            await theirs.wait()
    with contextlib.suppress(asyncpg.PostgresError):
        await transaction.rollback()
