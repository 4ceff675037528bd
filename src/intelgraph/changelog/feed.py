"""The feed: one reader per region hands every row that arrived to each subscriber, in log order, at least once.

Order is that of arrival (transaction, then sequence); rows that touch one object arrive in the order they were
committed. A subscriber's cursor moves after it returned, so a crash repeats its last batch and never skips one.
Writers notify nobody: the reader asks, and what it tells waiting processes (``NOTIFY ig_feed``) is its own
transaction. Caches, graph engines and live streams hang on ``Subscriber``; none of them is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from asyncpg import Connection

CHANNEL = "ig_feed"


@dataclass(frozen=True, kw_only=True)
class FeedRow:
    """One row as it arrived here. ``status`` is what this region made of it; ``body`` is JSON text or None."""

    origin: str
    life: int
    epoch: int
    position: int
    placement: str
    tenant: str | None
    kind: str
    status: str
    body: str | None


class Subscriber(Protocol):
    """Receives batches. Raising leaves the cursor where it is: the batch comes again."""

    @property
    def name(self) -> str:
        """The cursor's name; unique in the region."""
        ...

    async def receive(self, rows: Sequence[FeedRow]) -> None:
        """Take a batch; must tolerate rows it has seen."""
        ...


async def deliver(connection: Connection, subscriber: Subscriber, *, batch_rows: int) -> int:
    """Hand ``subscriber`` its next batch and move its cursor; returns the number of rows."""
    rows: list[Any] = await connection.fetch("select * from ig.feed($1, $2)", subscriber.name, batch_rows)
    if not rows:
        return 0
    await subscriber.receive(
        [
            FeedRow(
                origin=row["origin"],
                life=row["life"],
                epoch=row["epoch"],
                position=row["position"],
                placement=row["placement"],
                tenant=row["tenant"],
                kind=row["kind"],
                status=row["status"],
                body=row["body"],
            )
            for row in rows
        ]
    )
    await connection.execute("select ig.advance($1, $2, $3)", subscriber.name, rows[-1]["arrived"], rows[-1]["arrival"])
    return len(rows)


async def tally_digests(connection: Connection, *, batch_rows: int) -> int:
    """Count newly arrived rows into the log digests, cursor and all in one transaction; returns how many."""
    counted: int = await connection.fetchval("select ig.tally($1)", batch_rows)
    return counted


async def wake_streams(connection: Connection) -> None:
    """Tell processes that hold live streams open that there may be something to read."""
    await connection.execute(f"notify {CHANNEL}")
