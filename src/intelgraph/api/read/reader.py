"""Asking the region's database for one tenant's read, and saying how fresh the answer is: REST, streams and GraphQL.

Every read is one statement, so data, refusal and staleness belong to one snapshot. A read with a bookmark sees that
write or is refused with a type; it waits at most ``bookmark_wait_s`` for it. ``IG-Staleness-Ms`` is an upper bound: the
age of the newest of this region's own clock readings that has come back through the home's log; at the home, for how
long its lease has been over. Which statement is asked does not belong here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from intelgraph.api.admission import Admitted
from intelgraph.api.database.database import READABLE, Database
from intelgraph.api.database.readable import Readable
from intelgraph.api.http.response import Header
from intelgraph.api.read.bookmarks import BookmarkWaiters
from intelgraph.model.errors import IntelGraphError, refuse, retry
from intelgraph.model.placement import Placement

_NS_PER_MS = 1_000_000
A = TypeVar("A", bound=Readable)


class LeaseAge(Protocol):
    """What a read has to know of the region's lease."""

    def over_for_s(self, placement: str) -> float | None:
        """Return for how long others may have been acknowledging writes of ``placement``; ``None``: it is not known."""
        ...


@dataclass(frozen=True, kw_only=True)
class Reader:
    """The reads of one worker. ``on_wait`` is told how long each read has waited for its bookmark."""

    region: str
    database: Database
    waiters: BookmarkWaiters
    lease: LeaseAge
    bookmark_wait_s: float
    on_wait: Callable[[float], None]

    async def ask(
        self, placement: Placement, bookmark: str | None, statement: tuple[object, ...], answers: type[A]
    ) -> A:
        """Send one statement, again after the bookmark's row has arrived, and refuse what is not ``ok``."""

        async def send() -> A:
            return msgspec.json.decode(await self.database.call(*statement), type=answers)  # type: ignore[arg-type]

        return await self.ask_until_seen(placement, bookmark, send)

    async def ask_until_seen(self, placement: Placement, bookmark: str | None, send: Callable[[], Awaitable[A]]) -> A:
        """Ask, again after the bookmark's row has arrived, and refuse what is not ``ok``."""
        answer = await send()
        if bookmark is not None and answer.may_still_come:
            began = time.monotonic()
            arrived = await self.waiters.wait(placement.id, bookmark, self.bookmark_wait_s)
            self.on_wait(time.monotonic() - began)
            if arrived:
                answer = await send()
        if answer.status != "ok":
            raise self._refusal(answer, bookmark)
        return answer

    async def see(self, admitted: Admitted, bookmark: str | None) -> None:
        """Wait until a bookmark is visible here, for statements that do not look at it themselves."""
        if bookmark is not None:
            place = admitted.placement
            await self.ask(place, bookmark, (READABLE, [place.id], [bookmark]), Readable)

    def facts(self, placement: str, answer: Readable, bookmark: str | None, *, stands_ms: int = 0) -> list[Header]:
        """Build the headers that say how fresh the answer is; ``stands_ms``: how old it is at least."""
        over_for_s = self.lease.over_for_s(placement) if answer.home == self.region else None
        stale_ms = staleness_ms(self.region, answer, over_for_s)
        if stale_ms.isdigit() and int(stale_ms) < stands_ms:
            stale_ms = b"%d" % stands_ms
        headers = [(b"ig-staleness-ms", stale_ms)]
        if bookmark is not None:
            headers.append((b"ig-bookmark", bookmark.encode()))
        return headers

    def _refusal(self, answer: Readable, bookmark: str | None) -> IntelGraphError:
        """Build the refusal of a read that this region cannot answer."""
        reason = answer.reason or answer.status
        if answer.status == "refused":
            return refuse(answer.code or "refused", reason)
        if answer.status == "unsettled":
            return retry("too_far_behind", reason, retry_after_s=1.0)
        if answer.status == "superseded":
            return refuse(
                "superseded",
                f"the read is refused: the write {bookmark} was cut off when a later epoch opened and has not been "
                "adopted",
                bookmark=bookmark,
            )
        if answer.status == "waiting":
            return retry(
                "too_far_behind",
                f"the read is refused: the write {bookmark} has not arrived in {self.region} within "
                f"{self.bookmark_wait_s:g} s",
                retry_after_s=1.0,
                bookmark=bookmark,
            )
        if answer.status in ("held", "gap"):
            return retry(answer.status, answer.reason or f"the row {bookmark} is held here", retry_after_s=1.0)
        if answer.status == "foreign":
            return refuse(
                "bad_bookmark",
                f"the bookmark {bookmark} is refused: no write of this graph can have it: it is of another graph, or "
                "of data that was wiped",
                bookmark=bookmark,
            )
        if answer.may_still_come:
            return retry(
                "too_far_behind",
                f"the read is refused: the tenant's placement has not arrived in {self.region} yet",
                retry_after_s=1.0,
            )
        return refuse("bad_bookmark", f"the bookmark {bookmark} is refused: its row was not addressed to {self.region}")


def staleness_ms(region: str, answer: Readable, over_for_s: float | None) -> bytes:
    """Return an upper bound of the answer's age in whole milliseconds, rounded up, or ``unknown``.

    A home that has no lease may have a successor that it has not heard of: it is as old as its lease is over.
    """
    if answer.home == region:
        return b"unknown" if over_for_s is None else str(math.ceil(over_for_s * 1000)).encode()
    if answer.token_ns is None:
        return b"unknown"
    age_ns = time.monotonic_ns() - answer.token_ns
    return b"unknown" if age_ns < 0 else str(-(-age_ns // _NS_PER_MS)).encode()
