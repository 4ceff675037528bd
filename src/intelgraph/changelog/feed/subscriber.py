"""What a subscriber of a region's log is, and what it is promised.

- **Every row, at least once, in log order.** Order is that of arrival in this region (transaction, then sequence);
  rows that touch one object come in the order in which they were committed. A row is handed out when nothing that
  could come before it is still under way. The cursor moves after ``receive`` returned: a crash repeats the last batch
  and skips nothing. A subscriber applies an object's forms by their rank ``(epoch, position)`` and so bears repeats.
- **Every row again whose status has changed**, where it changed: one that was ``held`` or ``inert`` and counts now, or
  that counted and is ``inert`` now. Of an object in a row that does not count any more, the state has to be read again.
- **The state first, where there is none.** A subscriber that has nothing, or that is behind what compaction keeps, is
  given the state of every tenant here in pages, and then the log from where it stood before the first page.
- **Its own pace.** Each has its own loop and connection, and batches bounded in rows and bytes. One that is slow or
  fails delays no other and no write; it is tried again with growing pauses. It must not block the event loop.

An ``open`` whose regions do not name this one ends the placement here: a subscriber forgets what it has of it.

RESIDENCY: a subscriber is given what this region may hold, and takes it nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncpg import Connection


@dataclass(frozen=True, kw_only=True)
class FeedRow:
    """One row of the log. ``status`` is what this region makes of it now; ``body`` is JSON text.

    ``body`` is none in a stub (``dropped``), and for a subscriber that reads no bodies.
    """

    origin: str
    life: int
    epoch: int
    position: int
    placement: str
    tenant: str | None
    kind: str
    status: str
    body: str | None


@dataclass(frozen=True, kw_only=True)
class StateObject:
    """One object of a tenant's state, with the rank of the row that it is from; ``body`` is JSON text.

    A deleted object is a tombstone (``"deleted": true``): a row that arrives late must not bring it back.
    """

    kind: str
    tenant: str
    id: str
    placement: str
    epoch: int
    position: int
    body: str


class KeptState(Protocol):
    """What a subscriber derives from the log and keeps, for as long as its process or longer."""

    async def is_there(self) -> bool:
        """Whether everything taken so far is still kept; ``False`` says "I have nothing": a snapshot follows."""
        ...

    async def begin(self) -> None:
        """Forget everything: the first page comes next. May be called again before it does."""
        ...

    async def receive(self, page: Sequence[StateObject]) -> None:
        """Take a page: entities of all tenants come before relationships. A page may come again."""
        ...


class Subscriber(Protocol):
    """Receives the rows of one region's log. Raising leaves the cursor where it is: the batch comes again."""

    @property
    def name(self) -> str:
        """The cursor's name; unique in the region."""
        ...

    @property
    def reads_bodies(self) -> bool:
        """Whether rows come with their bodies."""
        ...

    @property
    def state(self) -> KeptState | None:
        """What it keeps; none: it keeps nothing, is given no snapshot and begins at the end of the log."""
        ...

    async def receive(self, rows: Sequence[FeedRow], database: Connection) -> None:
        """Take a batch; it is empty when only settled positions moved, or when nothing came for a while.

        ``database`` is this subscriber's own connection to the region's database, in no transaction.
        """
        ...
