"""Delivers a region's log to one subscriber, on one connection: pages of the state where it has none, then rows.

Everything that has to survive this process is in the subscriber's row of ``ig.cursor``. The order of the steps is what
keeps the promises of ``subscriber.py``: the cursor is set before the first page is read; whether rows were compacted
is asked after they were read and before they are handed on; the cursor moves after they were taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from intelgraph.changelog.feed.subscriber import FeedRow, KeptState, StateObject, Subscriber
from intelgraph.model.errors import refuse
from intelgraph.settings import SubscriberPolicy

if TYPE_CHECKING:
    from asyncpg import Connection

T = TypeVar("T")


class Delivery:
    """One session with a subscriber. Raises what the driver and the subscriber raise; then a new one is begun."""

    def __init__(self, connection: Connection, subscriber: Subscriber, policy: SubscriberPolicy) -> None:
        self._connection = connection
        self._subscriber = subscriber
        self._policy = policy
        self._name = subscriber.name
        self._rebuilding = False
        self._page_after: list[str] | None = None

    async def begin(self) -> None:
        """Find out where the subscriber is; one that is new here has to be given the state."""
        await self._connection.execute("select ig.know_subscriber($1)", self._name)
        state = self._subscriber.state
        if state is not None and not await self._bounded(state.is_there()):
            await self._connection.execute("select ig.ask_for_rebuild($1)", self._name)
        found = await self._connection.fetchrow(
            "select rebuilding, page_after from ig.cursor where subscriber = $1", self._name
        )
        self._rebuilding, self._page_after = found["rebuilding"], found["page_after"]

    @property
    def is_rebuilding(self) -> bool:
        """Whether it is given the state."""
        return self._rebuilding

    async def step(self) -> bool:
        """Deliver one page or one batch, empty or not; returns whether more is there to be delivered at once."""
        return await (self._give_page() if self._rebuilding else self._give_rows())

    async def _give_rows(self) -> bool:
        policy = self._policy
        found: list[Any] = await self._connection.fetch(
            "select * from ig.feed($1, $2, $3, $4)",
            self._name, policy.rows_max, policy.bytes_max, self._subscriber.reads_bodies,
        )  # fmt: skip
        may_follow = await self._connection.fetchval("select ig.may_follow($1)", self._name)
        if may_follow is None:
            raise refuse("no_cursor", f"nothing is delivered to {self._name}: its cursor was removed")
        if not may_follow:
            await self._connection.execute("select ig.ask_for_rebuild($1)", self._name)
            self._rebuilding, self._page_after = True, None
            return True
        rows = [_feed_row(each) for each in found]
        await self._bounded(self._subscriber.receive(rows, self._connection))
        if found:
            last = found[-1]
            await self._connection.execute(
                "select ig.advance($1, $2, $3)", self._name, last["arrived"], last["arrival"]
            )
        return is_full(rows, policy)

    async def _give_page(self) -> bool:
        if self._page_after is None:
            if not await self._connection.fetchval("select ig.begin_rebuild($1)", self._name):
                return False
            self._page_after = []
        state = self._subscriber.state
        if state is None or not await self._give_page_to(state, self._page_after):
            await self._connection.execute("select ig.end_rebuild($1)", self._name)
            self._rebuilding, self._page_after = False, None
        return True

    async def _give_page_to(self, state: KeptState, after: list[str]) -> bool:
        """Returns whether there was a page."""
        if not after:
            await self._bounded(state.begin())
        page: list[Any] = await self._connection.fetch(
            "select * from ig.state_page($1, $2, $3)", after, self._policy.rows_max, self._policy.bytes_max
        )
        if not page:
            return False
        await self._bounded(state.receive([_state_object(each) for each in page]))
        last = page[-1]
        self._page_after = [last["kind"], last["tenant"], last["id"]]
        await self._connection.execute("select ig.end_page($1, $2)", self._name, self._page_after)
        return True

    async def _bounded(self, taken: Awaitable[T]) -> T:
        limit_s = self._policy.receive_s_max
        try:
            async with asyncio.timeout(limit_s) as bound:
                return await taken
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise refuse(
                "subscriber_silent", f"{self._name} did not take what it was given within {limit_s:g} s"
            ) from error


def is_full(rows: Sequence[FeedRow], policy: SubscriberPolicy) -> bool:
    """Whether a batch ended because of its size, so that more rows may be waiting."""
    return len(rows) >= policy.rows_max or sum(len((row.body or "").encode()) for row in rows) >= policy.bytes_max


def _feed_row(found: Any) -> FeedRow:
    return FeedRow(
        origin=found["origin"],
        life=found["life"],
        epoch=found["epoch"],
        position=found["position"],
        placement=found["placement"],
        tenant=found["tenant"],
        kind=found["kind"],
        status=found["status"],
        body=found["body"],
    )


def _state_object(found: Any) -> StateObject:
    return StateObject(
        kind=found["kind"],
        tenant=found["tenant"],
        id=found["id"],
        placement=found["placement"],
        epoch=found["epoch"],
        position=found["position"],
        body=found["object"],
    )
