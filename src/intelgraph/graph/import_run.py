"""Sends a plan's batches through the door: several at once, entities before relationships, resumable, nothing lost.

Each request's key is derived from the file's content, the tenant, the run, the batch and the request's own body: the
same request is sent again under the same key and counts once, another body is another request. A batch that the door
refuses for one operation is sent again without it. What a finished phase means: every object of the file is stored,
or listed in ``rejects``.

HTTP, retries and tokens are the ``Sender``'s; files are the plan's and the journal's.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

import orjson

from intelgraph.graph.import_answer import Answer, Step, decide
from intelgraph.graph.import_journal import DoneBatch, ImportJournal
from intelgraph.graph.import_plan import Batch, BatchLimits, ImportPlan
from intelgraph.graph.objects import Kind
from intelgraph.graph.rejects import Rejected, Rejects
from intelgraph.model.bookmark import Bookmark
from intelgraph.model.errors import refuse

_ASKED_AGAIN_MAX = 3
_ENDPOINTS_AT_ONCE = 16
_ENDPOINTS_A_TIME = 1_000


class Sender(Protocol):
    """The door as an import needs it. Each method retries what may pass and raises when it does not."""

    async def send(self, *, key: str, body: bytes) -> Answer:
        """Post one request of operations."""

    async def has_entity(self, entity_id: str) -> bool:
        """Whether the tenant holds this entity."""

    async def is_accepted(self, key: str) -> bool:
        """Whether a write with this key is in force."""


@dataclass(frozen=True, kw_only=True)
class ImportPolicy:
    """``in_flight_max`` requests at a time, each within ``batch``."""

    in_flight_max: int = 4
    batch: BatchLimits = field(default_factory=BatchLimits)


class ImportRun:
    """One import of ``plan`` into ``tenant``; ``on_done(kind, objects)`` is told of every finished batch."""

    def __init__(
        self,
        *,
        plan: ImportPlan,
        sender: Sender,
        journal: ImportJournal,
        rejects: Rejects,
        policy: ImportPolicy,
        on_done: Callable[[Kind, int], None] = lambda kind, objects: None,
    ) -> None:
        self._plan = plan
        self._sender = sender
        self._journal = journal
        self._rejects = rejects
        self._policy = policy
        self._on_done = on_done
        self._any_absent = False
        self.written: dict[Kind, int] = {"entity": 0, "relationship": 0}
        self.bookmark: Bookmark | None = None
        self.batches = 0
        self.batches_resumed = 0
        self.batches_unconfirmed = 0

    async def run(self) -> None:
        """Send everything; what the door says is in the attributes afterwards."""
        await self._phase("entity")
        await self._find_absent_endpoints()
        await self._phase("relationship")

    async def _phase(self, kind: Kind) -> None:
        batches = self._plan.batches(kind, self._policy.batch)
        async with _FirstError() as group:
            for _ in range(self._policy.in_flight_max):
                group.create_task(self._work(batches))

    async def _work(self, batches: Iterator[Batch]) -> None:
        for batch in batches:
            done = self._journal.done.get((batch.kind, batch.number))
            if done is not None and await self._still_there(done):
                self.batches_resumed += 1
            else:
                done = await self._deliver(batch)
            self._account(batch.kind, done)

    async def _still_there(self, done: DoneBatch) -> bool:
        for key in done.keys:
            if not await self._sender.is_accepted(key):
                self._journal.forget(done)
                return False
        return True

    def _account(self, kind: Kind, done: DoneBatch) -> None:
        self.batches += 1
        self.written[kind] += done.objects
        for rejected in done.rejected:
            self._rejects.add(rejected)
            if kind == "entity" and rejected.id is not None:
                self._plan.index.note_refused_entity(rejected.id)
        if done.bookmark is not None:
            bookmark = Bookmark.parse(done.bookmark)
            if self.bookmark is None or _place(bookmark) > _place(self.bookmark):
                self.bookmark = bookmark
        self._on_done(kind, done.objects + len(done.rejected))

    async def _deliver(self, batch: Batch) -> DoneBatch:
        delivery = _Delivery(self._sender, self._key_base(batch))
        kept, dangling = self._split_off_dangling(batch)
        await delivery.deliver(kept)
        done = DoneBatch(
            kind=batch.kind,
            number=batch.number,
            objects=delivery.written,
            bookmark=delivery.bookmark,
            keys=tuple(delivery.keys),
            rejected=tuple(self._rejected(batch.kind, *refusal) for refusal in (*dangling, *delivery.refused)),
        )
        if delivery.confirmed:
            self._journal.add(done)
        else:
            self.batches_unconfirmed += 1
        return done

    def _key_base(self, batch: Batch) -> str:
        heading = self._journal.heading
        limits = self._policy.batch
        return "\n".join(
            str(part)
            for part in (
                heading.content_hash,
                heading.tenant,
                heading.run,
                batch.kind,
                batch.number,
                limits.operations_max,
                limits.bytes_max,
            )
        )

    def _rejected(self, kind: Kind, operation: bytes, code: str, detail: str) -> Rejected:
        object_id = str(orjson.loads(operation)[kind]["id"])
        return Rejected(
            position=self._plan.index.position(kind, object_id), id=object_id, code=code, detail=detail[:300]
        )

    def _split_off_dangling(self, batch: Batch) -> tuple[list[bytes], list[tuple[bytes, str, str]]]:
        if batch.kind == "entity" or not self._any_absent:
            return list(batch.operations), []
        kept, dangling = [], []
        for operation in batch.operations:
            relationship = orjson.loads(operation)["relationship"]
            absent = [end for end in ("source", "target") if self._plan.index.is_absent(relationship[end])]
            if absent:
                dangling.append((operation, "dangling", " and ".join(f"{end} {relationship[end]}" for end in absent)))
            else:
                kept.append(operation)
        return kept, dangling

    async def _find_absent_endpoints(self) -> None:
        """Ask the tenant for the endpoints that the file does not bring."""
        after = ""
        while unknown := self._plan.index.unknown_endpoints(after, _ENDPOINTS_A_TIME):
            after = unknown[-1]
            await self._note_absent(unknown)
        self._any_absent = self._plan.index.absent_endpoints() > 0

    async def _note_absent(self, unknown: list[str]) -> None:
        left = iter(unknown)

        async def ask() -> None:
            for entity_id in left:
                if not await self._sender.has_entity(entity_id):
                    self._plan.index.note_absent(entity_id)

        async with _FirstError() as group:
            for _ in range(_ENDPOINTS_AT_ONCE):
                group.create_task(ask())


class _Delivery:
    """Gets the operations of one batch through the door, without those it refuses."""

    def __init__(self, sender: Sender, key_base: str) -> None:
        self._sender = sender
        self._key_base = key_base
        self.written = 0
        self.bookmark: str | None = None
        self.keys: list[str] = []
        self.refused: list[tuple[bytes, str, str]] = []
        self.confirmed = True

    async def deliver(self, operations: list[bytes]) -> None:
        parts = [(operations, 0)]
        while parts:
            part, taken_out = parts.pop()
            if not part:
                continue
            answer, key = await self._send(part)
            step, index = decide(answer, operations=len(part), taken_out=taken_out)
            if step is Step.GIVE_UP:
                raise refuse(answer.code or "import_failed", answer.reason or f"the door answered {answer.status}")
            if step is Step.TAKE_OUT:
                self.refused.append((part[index], answer.code, answer.reason))
                parts.append((part[:index] + part[index + 1 :], taken_out + 1))
            elif step is Step.HALVE:
                middle = len(part) // 2
                parts += [(part[middle:], 0), (part[:middle], 0)]
            else:
                self.confirmed = self.confirmed and step is Step.DONE
                self.written += len(part)
                self.keys.append(key)
                self.bookmark = answer.bookmark or self.bookmark

    async def _send(self, part: list[bytes]) -> tuple[Answer, str]:
        body = b'{"operations":[' + b",".join(part) + b"]}"
        digest = hashlib.sha256(f"{self._key_base}\n{hashlib.sha256(body).hexdigest()}".encode()).hexdigest()
        key = f"import-{digest[:48]}"
        answer = await self._sender.send(key=key, body=body)
        asked_again = 0
        while answer.status == 202 and asked_again < _ASKED_AGAIN_MAX:
            asked_again += 1
            answer = await self._sender.send(key=key, body=body)
        return answer, key


def _place(bookmark: Bookmark) -> tuple[int, int]:
    return bookmark.epoch, bookmark.position


class _FirstError:
    """A task group whose first error leaves it as itself, not inside an ExceptionGroup."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> asyncio.TaskGroup:
        return await self._group.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._group.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
