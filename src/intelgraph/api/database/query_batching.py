"""Reads that arrive together and differ only in their values become one statement.

Only reads of one tenant, one compiled statement and one bookmark are put together, so row-level security holds for all
of them alike. The first of a kind goes alone and at once; who arrives while as many statements of its kind are under
way as it has lanes waits for one of them to end, and is then asked with the others that wait. A kind of cheap reads has
one lane: while PostgreSQL answers one batch the worker sends the answers of the one before, so that a second lane makes
batches smaller and nothing sooner. Behind a statement that is slow all the same, further lanes are opened. A batch that
fails is asked again one by one, since an error is only that of the read that caused it; where the database is away, or
too busy, all are told so at once. Kinds do not wait for each other.

An answer is bounded in bytes. A statement makes its data only where the tenant's largest object leaves no doubt that it
is small enough, of all that are asked together; else the read is asked alone, in the form that counts
(``graph.engines.postgres.weight``).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from cachetools import FIFOCache

from intelgraph.api.database.database import Database
from intelgraph.api.database.errors import is_whoevers
from intelgraph.api.database.readable import Readable
from intelgraph.api.limits.shares import Full, Shares, overloaded
from intelgraph.graph.engines.postgres.statement import Statement
from intelgraph.graph.engines.postgres.weight import object_bytes_max
from intelgraph.model.errors import IntelGraphError, retry

COST_MAX = 2_000
"""Reads that may cost more are asked alone: whoever is asked with them would have to wait for them."""
LANES, LANES_MAX = 2, 4
_CHEAP = 100
"""Reads that cost no more than this have one lane."""
_PLACEMENTS_MAX = 10_000
_SLOW_S = 0.01
"""A kind of which a statement has taken so long by now gets a lane more, up to ``LANES_MAX``."""

Told = tuple[bytes, str | None]
Key = tuple[str, str, str, str | None]


class Read(NamedTuple):
    """A compiled read. All but its values is what makes two reads of one kind."""

    statement: Statement
    tenant: str
    placement: str
    bookmark: str | None
    values: Sequence[Any]
    cost: int
    objects: int = 1
    """How many entities and relationships the answer may hold."""


_READABLE = msgspec.json.Decoder(Readable)
_Waiting = tuple[Read, asyncio.Future[Told]]


@dataclass
class _Kind:
    lanes: int
    began_s: list[float] = field(default_factory=list)
    """When each statement that is under way was sent, the oldest first; a lane has one at a time."""
    used: int = 0
    """How many lanes are in use."""
    waiting: deque[_Waiting] = field(default_factory=deque)

    @property
    def is_slow(self) -> bool:
        return bool(self.began_s) and time.monotonic() - self.began_s[0] > _SLOW_S


class QueryBatcher:
    """Asks compiled reads. ``batch_max`` is how many become one statement at most; 1 or less: none ever do.

    ``on_batch`` hears how many were answered by one statement.
    """

    def __init__(
        self,
        database: Database,
        *,
        batch_max: int,
        waiting_max: int,
        on_batch: Callable[[int], None],
        waiting_of_tenant_max: int | None = None,
        on_full: Callable[[Full], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._on_batch = on_batch
        self._batch_max = batch_max
        each = waiting_max if waiting_of_tenant_max is None else waiting_of_tenant_max
        self._waiting = Shares(most=waiting_max, each=each, on_full=on_full)
        self._kinds: dict[Key, _Kind] = {}
        self._largest: FIFOCache[str, int] = FIFOCache(_PLACEMENTS_MAX)
        """The largest object of placements whose statements have left data out because of it."""
        self._readable_of, self._readable = b"", Readable(status="")
        self._tasks: set[asyncio.Task[None]] = set()

    def readable(self, raw: bytes) -> Readable:
        """Read what ``Database.query`` says of the placement; those asked together are told the same."""
        if raw != self._readable_of:
            self._readable_of, self._readable = raw, _READABLE.decode(raw)
        return self._readable

    async def ask(self, read: Read) -> Told:
        """Return what ``Database.query`` answers for it."""
        if self._batch_max < 2 or read.cost > COST_MAX or not read.statement.can_be_many:
            return await self._alone(read)
        key = (read.statement.text, read.tenant, read.placement, read.bookmark)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(lanes=1 if read.cost <= _CHEAP else LANES)
        if kind.used >= kind.lanes:
            return await self._with_others(key, kind, read)
        kind.used += 1
        kind.began_s.append(began_s := time.monotonic())
        try:
            return await self._alone(read)
        finally:
            kind.began_s.remove(began_s)
            self._free(key, kind)

    async def _alone(self, read: Read) -> Told:
        statement = read.statement
        bytes_max = object_bytes_max(read.objects)
        by_tenant = self._may_exceed(read.placement, bytes_max)
        text = statement.bounded(bytes_max, by_tenant=by_tenant)
        told = await self._database.query(text, read.tenant, read.placement, read.bookmark, *read.values)
        if told[1] is not None or bytes_max is None or not self._may_be_large(read, told[0]):
            return told
        if not by_tenant:
            told = await self._query(read, statement.bounded(bytes_max, by_tenant=True))
            if told[1] is not None or not self._may_be_large(read, told[0]):
                return told
        return await self._query(read, statement.weighing, heavy=True)

    async def _query(self, read: Read, text: str, *, heavy: bool = False) -> Told:
        asked = (text, read.tenant, read.placement, read.bookmark, *read.values)
        return await (self._database.query(*asked, heavy=True) if heavy else self._database.query(*asked))

    def _may_exceed(self, placement: str, bytes_max: int | None) -> bool:
        """Whether an object of the placement is known that is larger than the statement allows."""
        return bytes_max is not None and placement in self._largest and self._largest[placement] > bytes_max

    def _may_be_large(self, read: Read, raw: bytes) -> bool:
        """Whether data is left out because of its size; remembers what is told of the placement."""
        readable = self.readable(raw)
        if readable.status != "ok":
            return False
        self._largest[read.placement] = readable.largest
        return True

    async def _with_others(self, key: Key, kind: _Kind, read: Read) -> Told:
        full = self._waiting.take(read.tenant)
        if full is not None:
            raise overloaded(full)
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        kind.waiting.append((read, future))
        if kind.used < LANES_MAX and kind.is_slow:
            kind.used += 1
            self._begin(key, kind)
        try:
            return await future
        finally:
            self._waiting.give(read.tenant)

    def _free(self, key: Key, kind: _Kind) -> None:
        """Give a lane to those that wait, or give it up."""
        if kind.waiting and (kind.used <= kind.lanes or kind.is_slow):
            self._begin(key, kind)
            return
        kind.used -= 1
        if kind.used == 0:
            self._kinds.pop(key, None)

    def _begin(self, key: Key, kind: _Kind) -> None:
        task = asyncio.create_task(self._drain(key, kind))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, key: Key, kind: _Kind) -> None:
        """Use a lane until nobody waits; one that was opened behind a slow statement, until that has ended."""
        try:
            while kind.waiting and (kind.used <= kind.lanes or kind.is_slow):
                kind.began_s.append(began_s := time.monotonic())
                try:
                    await self._some([kind.waiting.popleft() for _ in range(min(len(kind.waiting), self._batch_max))])
                finally:
                    kind.began_s.remove(began_s)
        finally:
            self._free(key, kind)

    async def _some(self, asked: list[_Waiting]) -> None:
        """Answer those that still wait: together, or one by one when that failed."""
        wanted = [(read, future) for read, future in asked if not future.done()]
        told: list[Told] | None = None
        try:
            if len(wanted) > 1:
                try:
                    told = await self._together([read for read, _ in wanted])
                except Exception as error:
                    if _is_for_all(error):
                        _fail(wanted, error)
            for number, (read, future) in enumerate(wanted):
                if future.done():
                    continue
                try:
                    answer = told[number] if told is not None else await self._alone(read)
                except Exception as error:
                    _fail(wanted if _is_for_all(error, alone=True) else [(read, future)], error)
                else:
                    if not future.done():
                        future.set_result(answer)
        finally:
            _fail(wanted, _stopped())

    async def _together(self, reads: list[Read]) -> list[Told] | None:
        first, many = reads[0], reads[0].statement.for_many
        assert many is not None
        columns = many.columns([read.values for read in reads])
        bytes_max = object_bytes_max(self._batch_max * max(read.objects for read in reads))
        by_tenant = self._may_exceed(first.placement, bytes_max)
        text = many.bounded(bytes_max, by_tenant=by_tenant)
        readable, texts = await self._database.query_many(text, first.tenant, first.placement, first.bookmark, *columns)
        if texts is None:
            # They may be too large together: each is asked for alone.
            return None if self._may_be_large(first, readable) else [(readable, None)] * len(reads)
        self._on_batch(len(reads))
        return [(readable, text) for text in texts]


def _is_for_all(error: Exception, *, alone: bool = False) -> bool:
    """Whether all others would be told the same, and later; one that was asked ``alone`` may itself take too long."""
    if not isinstance(error, IntelGraphError) or not is_whoevers(error.denied):
        return False
    return not alone or error.denied.code == "database_unavailable"


def _fail(asked: list[_Waiting], error: Exception) -> None:
    """Tell those that have no answer."""
    for _, future in asked:
        if not future.done():
            future.set_exception(error)


def _stopped() -> IntelGraphError:
    return retry("stopping", "the read is refused: this process is about to stop", retry_after_s=1.0)
