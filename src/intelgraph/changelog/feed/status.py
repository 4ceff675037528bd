"""How a region's subscribers are, as its database has it: for the metrics of the feed, and for ``status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from asyncpg import Connection

STATES = ("following", "rebuilding", "failing")


class SubscriberStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One subscriber, as its region's database has it.

    ``state`` is one of ``STATES``; ``failing_ms``: for how long it has failed, none if it does not. ``lag_rows`` counts
    the rows that wait for it, 10,001 at most; ``lag_ms`` is the age of the first, by the clock that wrote it.
    """

    subscriber: str
    state: str
    failing_ms: int | None
    reason: str | None
    lag_rows: int
    lag_ms: int


async def read_subscribers(connection: Connection) -> list[SubscriberStatus]:
    """Read every subscriber of a region, on a connection of its database's owner."""
    found = await connection.fetch("select * from ig.subscribers()")
    return [
        SubscriberStatus(
            subscriber=each["subscriber"],
            state=each["state"],
            failing_ms=each["since_ms"],
            reason=each["reason"],
            lag_rows=each["lag_rows"],
            lag_ms=each["lag_ms"],
        )
        for each in found
    ]
