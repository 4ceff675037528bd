"""Hosts the subscribers of one region: each has a loop and a connection of its own, so that none delays another.

A loop delivers until nothing is left, and then waits until it is told that the log has moved. One that fails is begun
anew after a pause that doubles with each failure in a row; that it fails, since when and why is noted in its cursor,
for ``status`` and the metrics, and logged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from intelgraph.changelog.feed.delivery import Delivery
from intelgraph.changelog.feed.subscriber import Subscriber
from intelgraph.connection import DRIVER_ERRORS
from intelgraph.model.errors import IntelGraphError
from intelgraph.runtime.json_log import JsonLog
from intelgraph.settings import SubscriberPolicy

if TYPE_CHECKING:
    from asyncpg import Connection

Connect = Callable[[], Awaitable["Connection"]]


class Host:
    """The subscribers of one region's feed; only one host of a region may run at a time."""

    def __init__(
        self, connect: Connect, subscribers: Sequence[Subscriber], *, policy: SubscriberPolicy, log: JsonLog
    ) -> None:
        names = [each.name for each in subscribers]
        if len(set(names)) != len(names):
            raise ValueError(f"two subscribers have one name: {', '.join(sorted(names))}")
        self._connect = connect
        self._subscribers = subscribers
        self._policy = policy
        self._log = log
        self._moved = asyncio.Event()

    def moved(self) -> None:
        """Say that rows arrived, or that settled positions moved."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def run(self) -> None:
        """Deliver until cancelled. Raises what the driver raises before the first delivery."""
        connection = await self._connect()
        try:
            await connection.execute("select ig.forget_subscribers($1)", [each.name for each in self._subscribers])
        finally:
            await connection.close(timeout=1)
        async with asyncio.TaskGroup() as group:
            for each in self._subscribers:
                group.create_task(self._serve(each))

    async def _serve(self, subscriber: Subscriber) -> None:
        failures = 0

        def works() -> None:
            nonlocal failures
            failures = 0

        while True:
            try:
                await self._deliver(subscriber, works)
            except Exception as error:
                failures += 1
                pause_s = retry_after_s(failures, self._policy)
                reason = reason_of(error)
                self._log("subscriber_failed", subscriber=subscriber.name, reason=reason, retry_after_s=pause_s)
                await self._note(subscriber.name, reason)
                await asyncio.sleep(pause_s)

    async def _deliver(self, subscriber: Subscriber, works: Callable[[], None]) -> None:
        """Deliver for as long as it goes well; ``works`` is called after each step."""
        connection = await self._connect()
        try:
            delivery = Delivery(connection, subscriber, self._policy)
            await delivery.begin()
            rebuilding = noted = False
            while True:
                if delivery.is_rebuilding and not rebuilding:
                    self._log("subscriber_rebuilds", subscriber=subscriber.name)
                rebuilding = delivery.is_rebuilding
                moved = self._moved  # what moves from here on is not waited for
                more = await delivery.step()
                works()
                if not noted:
                    await connection.execute("select ig.note_subscriber($1, null)", subscriber.name)
                    noted = True
                if not more:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._policy.look_s):
                            await moved.wait()
        finally:
            connection.terminate()

    async def _note(self, name: str, reason: str) -> None:
        """Note a failure; where the database is away, the log alone says it."""
        with contextlib.suppress(*DRIVER_ERRORS):
            connection = await self._connect()
            try:
                await connection.execute("select ig.note_subscriber($1, $2)", name, reason)
            finally:
                connection.terminate()


def retry_after_s(failures: int, policy: SubscriberPolicy) -> float:
    """How long to wait after so many failures in a row."""
    doublings = min(failures - 1, 30)
    return min(policy.retry_s_max, policy.retry_s * float(1 << doublings))


def reason_of(error: Exception) -> str:
    """Why a subscriber fails, in words that quote nobody's data: a refusal's reason, else the kind of the error."""
    return error.denied.reason if isinstance(error, IntelGraphError) else type(error).__name__
