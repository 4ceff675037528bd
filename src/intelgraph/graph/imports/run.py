"""Sends a plan's batches through the API: several at once, entities before relationships, resumable, nothing lost.

Each request's key is derived from the file's content, the tenant, the run, the batch and the request's own body: the
same request is sent again under the same key and counts once, another body is another request. How one batch gets
through is ``import_delivery``'s. What a finished phase means: every object of the file is stored, was there already, or
is listed in ``stix.rejects``.

HTTP, retries and tokens are the ``Sender``'s; files are the plan's and the journal's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType

import orjson

from intelgraph.graph.imports.delivery import Delivery, Sender
from intelgraph.graph.imports.journal import DoneBatch, ImportJournal
from intelgraph.graph.imports.plan import Batch, BatchLimits, ImportPlan
from intelgraph.graph.objects import Kind
from intelgraph.graph.stix.rejects import Rejected, Rejects
from intelgraph.graph.stix.versions import Verdict
from intelgraph.model.bookmark import Bookmark

_ENDPOINTS_AT_ONCE = 16
_JUDGED = frozenset({Verdict.OLDER.value, Verdict.CONTRADICTION.value})
_ENDPOINTS_A_TIME = 1_000


@dataclass(frozen=True, kw_only=True)
class ImportPolicy:
    """``in_flight_max`` requests at a time, each within ``batch``; ``replace``: the file's form wins."""

    in_flight_max: int = 4
    batch: BatchLimits = field(default_factory=BatchLimits)
    replace: bool = False


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
        self.unchanged: dict[Kind, int] = {"entity": 0, "relationship": 0}
        self.bookmark: Bookmark | None = None
        self.batches = 0
        self.batches_resumed = 0
        self.batches_unconfirmed = 0

    async def run(self) -> None:
        """Send everything; what the API says is in the attributes afterwards."""
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
        """Whether a batch needs nothing more. What was judged by the tenant's forms is judged again by today's."""
        if done.unchanged or any(each.code in _JUDGED for each in done.rejected):
            self._journal.forget(done)
            return False
        for key in done.keys:
            if not await self._sender.is_accepted(key):
                self._journal.forget(done)
                return False
        return True

    def _account(self, kind: Kind, done: DoneBatch) -> None:
        self.batches += 1
        self.written[kind] += done.objects
        self.unchanged[kind] += done.unchanged
        for rejected in done.rejected:
            self._rejects.add(rejected)
            if kind == "entity" and rejected.id is not None:
                self._plan.index.note_refused_entity(rejected.id)
        if done.bookmark is not None:
            bookmark = Bookmark.parse(done.bookmark)
            if self.bookmark is None or _place(bookmark) > _place(self.bookmark):
                self.bookmark = bookmark
        self._on_done(kind, done.objects + done.unchanged + len(done.rejected))

    async def _deliver(self, batch: Batch) -> DoneBatch:
        delivery = Delivery(
            batch, self._sender, self._journal, key_base=self._key_base(batch), replace=self._policy.replace
        )
        taken = await delivery.repeat(self._journal.sent.get((batch.kind, batch.number), []))
        kept, dangling = self._split_off_dangling(batch, taken)
        await delivery.deliver(kept)
        done = DoneBatch(
            kind=batch.kind,
            number=batch.number,
            objects=delivery.written,
            unchanged=delivery.unchanged,
            bookmark=delivery.bookmark,
            keys=tuple(delivery.keys),
            rejected=tuple(self._rejected(batch.kind, *refusal) for refusal in (*dangling, *delivery.refused)),
        )
        if delivery.confirmed:
            self._journal.note(done)
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

    def _split_off_dangling(self, batch: Batch, taken: set[int]) -> tuple[list[int], list[tuple[bytes, str, str]]]:
        """The indices of what is still to be sent, and the operations whose ends are no entities."""
        left = [index for index in range(len(batch.operations)) if index not in taken]
        if batch.kind == "entity" or not self._any_absent:
            return left, []
        kept, dangling = [], []
        for index in left:
            relationship = orjson.loads(batch.operations[index])["relationship"]
            why = {end: self._plan.index.why_absent(relationship[end]) for end in ("source", "target")}
            absent = [f"{end} {relationship[end]}: {reason}" for end, reason in why.items() if reason]
            if absent:
                dangling.append((batch.operations[index], "dangling", "; ".join(absent)))
            else:
                kept.append(index)
        return kept, dangling

    async def _find_absent_endpoints(self) -> None:
        """Ask the tenant for the endpoints that the file does not bring."""
        after = ""
        while unknown := self._plan.index.unknown_endpoints(after, _ENDPOINTS_A_TIME):
            after = unknown[-1]
            await self._note_absent(unknown)
        self._any_absent = self._plan.index.absent_endpoints() > 0

    async def _note_absent(self, unknown: list[str]) -> None:
        left, absent = iter(unknown), []

        async def ask() -> None:
            for entity_id in left:
                if not await self._sender.has_entity(entity_id):
                    absent.append(entity_id)

        async with _FirstError() as group:
            for _ in range(_ENDPOINTS_AT_ONCE):
                group.create_task(ask())
        index = self._plan.index
        unplaced = [one for one in absent if index.position("relationship", one) is None]
        relationships = await self._sender.forms("relationship", unplaced) if unplaced else {}
        for one in absent:
            if index.is_refused(one):
                index.note_absent(one, "the file has it, but it was not taken")
            elif one in relationships or one not in unplaced:
                index.note_absent(one, "it is a relationship, which cannot be an end")
            else:
                index.note_absent(one, "the tenant never had it or it was deleted")


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
