"""Writes that wait at the same time become one transaction: one round trip and one flush for all of them.

A write goes at once while fewer than ``_LANES`` transactions of its placement are under way; the others wait for one
of them to end, and then go together, whoever's they are. What each is answered is what it would be answered alone:

- its key, position and outcome are its own, and a refusal is its own, for it writes nothing;
- where something fails in the transaction, nothing of it is kept, and each is asked again alone;
- nothing in a lane waits for an object that another write holds: such a write is told ``busy`` and asked again alone,
  beside the lanes, where it waits for nobody's sake but its own;
- what may take long (many operations, large ones, deletions, which take relationships with them, erasures) never is in
  a lane.

An answer is given after the commit that holds its write. What must hold between the commit and the word "ok" is not
for here (``write.acknowledge``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from intelgraph.api.database.database import LARGE_BYTES, Database
from intelgraph.api.limits.shares import Full, Shares, overloaded
from intelgraph.api.write.operations import Operations
from intelgraph.model.errors import IntelGraphError

_LANES = 2
TOGETHER_OPERATIONS_MAX = 16
"""A write of more operations goes alone."""
_GROUP_OPERATIONS_MAX = 256
_GROUP_BYTES_MAX = 512 * 1024
_AWAY = frozenset({"database_unavailable", "write_timed_out"})
_BUSY = b'{"status": "busy"}'

Told = tuple[bytes, str]
"""What the database answers, and its flush position after the commit (empty where nobody asked for it)."""


@dataclass(frozen=True, kw_only=True)
class Append:
    """One request to append. ``placed``: the flush position after the commit is wanted too."""

    placement: str
    epoch: int
    tenant: str
    key: str
    request_hash: bytes
    operations: Operations
    placed: bool


@dataclass
class _Lane:
    """The writes of one placement in one epoch: how many transactions are under way, and who waits."""

    under_way: int = 0
    waiting: deque[tuple[Append, asyncio.Future[Told]]] = field(default_factory=deque)


class GroupCommit:
    """GroupCommit requests. ``group_max`` is how many become one transaction at most; 1 or less: none ever do.

    ``on_group`` hears how many were in each transaction of several.
    """

    def __init__(
        self,
        database: Database,
        *,
        group_max: int,
        waiting_max: int,
        on_group: Callable[[int], None],
        waiting_of_tenant_max: int | None = None,
        on_full: Callable[[Full], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._group_max = group_max
        self._on_group = on_group
        each = waiting_max if waiting_of_tenant_max is None else waiting_of_tenant_max
        self._waiting = Shares(most=waiting_max, each=each, on_full=on_full)
        self._lanes: dict[tuple[str, int, bool], _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, asked: Append) -> Told:
        """Return what ``ig.append`` answers to the request, once that is committed."""
        given = asked.operations
        is_large = given.count > TOGETHER_OPERATIONS_MAX or len(given.body) > LARGE_BYTES
        if self._group_max < 2 or not given.only_upserts or is_large:
            return await self._alone(asked)
        full = self._waiting.take(asked.tenant)
        if full is not None:
            raise overloaded(full)
        key = (asked.placement, asked.epoch, asked.placed)
        lane = self._lanes.setdefault(key, _Lane())
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        lane.waiting.append((asked, future))
        if lane.under_way < _LANES:
            lane.under_way += 1
            self._spawn(self._drain(key, lane))
        try:
            return await future
        finally:
            self._waiting.give(asked.tenant)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, key: tuple[str, int, bool], lane: _Lane) -> None:
        """Take what waits, a group at a time, until nothing does."""
        try:
            while group := self._next_group(lane):
                await self._settle(group)
        finally:
            lane.under_way -= 1
            if lane.under_way == 0 and not lane.waiting:
                self._lanes.pop(key, None)

    def _next_group(self, lane: _Lane) -> list[tuple[Append, asyncio.Future[Told]]]:
        """Those that wait longest and still want an answer, as many as may go together."""
        group: list[tuple[Append, asyncio.Future[Told]]] = []
        operations = size = 0
        while lane.waiting and len(group) < self._group_max:
            asked, future = lane.waiting[0]
            operations += asked.operations.count
            size += len(asked.operations.body)
            if group and (operations > _GROUP_OPERATIONS_MAX or size > _GROUP_BYTES_MAX):
                break
            lane.waiting.popleft()
            if not future.done():
                group.append((asked, future))
        return group

    async def _settle(self, group: list[tuple[Append, asyncio.Future[Told]]]) -> None:
        """Answer a group; whoever has no answer from the one transaction is asked alone, and not waited for here."""
        told: list[Told] | None = None
        failed: Exception | None = None
        try:
            told = await self._together([asked for asked, _ in group])
        except IntelGraphError as error:
            failed = error if _is_everybodys(error) else None
        except Exception as error:
            failed = error
        for number, (asked, future) in enumerate(group):
            if future.done():
                continue
            if failed is not None:
                future.set_exception(failed)
            elif told is None or told[number][0] == _BUSY:
                self._spawn(self._answer_alone(asked, future))
            else:
                future.set_result(told[number])

    async def _answer_alone(self, asked: Append, future: asyncio.Future[Told]) -> None:
        try:
            answer = await self._alone(asked)
        except Exception as error:
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(answer)

    async def _alone(self, asked: Append) -> Told:
        arguments = (
            asked.placement, asked.epoch, asked.tenant, asked.key, asked.request_hash, asked.operations.body,
        )  # fmt: skip
        if asked.placed:
            return await self._database.append_and_place(*arguments)
        return await self._database.append(*arguments), ""

    async def _together(self, group: list[Append]) -> list[Told]:
        first = group[0]
        arguments = (
            first.placement,
            first.epoch,
            [asked.tenant for asked in group],
            [asked.key for asked in group],
            [asked.request_hash for asked in group],
            [asked.operations.body for asked in group],
        )
        if first.placed:
            answers, flushed = await self._database.append_many_and_place(*arguments)
        else:
            answers, flushed = await self._database.append_many(*arguments), ""
        if len(group) > 1:
            self._on_group(len(group))
        return [(answer, flushed) for answer in answers]


def _is_everybodys(error: IntelGraphError) -> bool:
    """Say whether an error is the database's, which is away, and not that of something in the group."""
    return error.denied.code in _AWAY and "sqlstate" not in error.denied.facts
