"""Gets the operations of one batch through the API, without those that it refuses and those that change nothing.

Each operation is sent on the condition that its object is as it was last seen, at first that there is none: a first
import reads nothing, and no write of somebody else is passed over. Where the condition fails, the tenant's forms are
read and each operation is judged (``versions.judge``): written over the revision that was read, left out because it
changes nothing, or refused because what the tenant has is newer. Each request is noted in the journal before it is
sent, so that the next run can send the same one again.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Protocol

import msgspec

from intelgraph.graph.imports.answer import Answer, Step, decide
from intelgraph.graph.imports.journal import ABSENT, ImportJournal, Sent
from intelgraph.graph.imports.plan import Batch
from intelgraph.graph.objects import GraphObject, Kind, read_object
from intelgraph.graph.stix.mapping import stix_time
from intelgraph.graph.stix.versions import Verdict, Version, judge, version_of
from intelgraph.model.errors import refuse

_ASKED_AGAIN_MAX = 3
_COMPARED_AGAIN_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Form:
    """An object as the tenant has it."""

    revision: int
    thing: GraphObject


class Sender(Protocol):
    """The API as an import needs it. Each method retries what may pass and raises when it does not."""

    async def send(self, *, key: str, body: bytes) -> Answer:
        """Post one request of operations."""

    async def forms(self, kind: Kind, ids: list[str]) -> dict[str, Form]:
        """The tenant's objects with these ids, as far as it has them."""

    async def has_entity(self, entity_id: str) -> bool:
        """Whether the tenant holds this entity."""

    async def is_accepted(self, key: str) -> bool:
        """Whether a write with this key is in force."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Operations of the batch, by their index, with the revisions they depend on (0: there is no such object)."""

    items: tuple[tuple[int, int], ...]
    taken_out: int = 0
    compared: int = 0


class Delivery:
    """One batch on its way. What became of it is in the attributes."""

    def __init__(
        self, batch: Batch, sender: Sender, journal: ImportJournal, *, key_base: str, replace: bool = False
    ) -> None:
        self._batch = batch
        self._sender = sender
        self._journal = journal
        self._key_base = key_base
        self._replace = replace
        self.written = 0
        self.unchanged = 0
        self.bookmark: str | None = None
        self.keys: list[str] = []
        self.refused: list[tuple[bytes, str, str]] = []
        self.confirmed = True

    async def repeat(self, begun: list[Sent]) -> set[int]:
        """Send again what an earlier run had begun to send; returns the indices of what was taken."""
        taken: set[int] = set()
        for sent in begun:
            items = tuple((index, revision) for index, revision in enumerate(sent.revisions) if revision != ABSENT)
            if not items or items[-1][0] >= len(self._batch.operations):
                continue
            body = self._body(items)
            if self._key(body) != sent.key:
                continue
            answer = await self._ask(sent.key, body)
            step, _ = decide(answer, operations=len(items), taken_out=0)
            if step is Step.GIVE_UP:
                raise _given_up(answer)
            if step in (Step.DONE, Step.ASK_AGAIN):
                self._account(answer, sent.key, step, len(items))
                taken |= {index for index, _ in items}
        return taken

    async def deliver(self, indices: list[int]) -> None:
        """Get the operations with these indices through."""
        parts = [_Part(items=tuple((index, 0) for index in indices))]
        while parts:
            part = parts.pop()
            if not part.items:
                continue
            answer, key = await self._send(part.items)
            step, place = decide(answer, operations=len(part.items), taken_out=part.taken_out, compared=part.compared)
            if step is Step.GIVE_UP:
                raise _given_up(answer)
            if step is Step.COMPARE:
                parts.append(await self._compare(part))
            elif step is Step.TAKE_OUT:
                index, _ = part.items[place]
                self.refused.append((self._batch.operations[index], answer.code, answer.reason))
                left = part.items[:place] + part.items[place + 1 :]
                parts.append(_Part(items=left, taken_out=part.taken_out + 1, compared=part.compared))
            elif step is Step.HALVE:
                middle = len(part.items) // 2
                halves = part.items[middle:], part.items[:middle]
                parts += [_Part(items=half, compared=part.compared) for half in halves]
            else:
                self._account(answer, key, step, len(part.items))

    def _account(self, answer: Answer, key: str, step: Step, objects: int) -> None:
        self.confirmed = self.confirmed and step is Step.DONE
        self.written += objects
        self.keys.append(key)
        self.bookmark = answer.bookmark or self.bookmark

    async def _compare(self, part: _Part) -> _Part:
        """Judge every operation by what the tenant has; what is left is to be written over the revisions read."""
        if part.compared:
            await asyncio.sleep(_COMPARED_AGAIN_S * 2**part.compared)
        kind = self._batch.kind
        things = {
            index: read_object(kind, msgspec.json.decode(self._batch.operations[index])[kind])
            for index, _ in part.items
        }
        forms = await self._sender.forms(kind, [thing.id for thing in things.values()])
        left = []
        for index, thing in things.items():
            form = forms.get(thing.id)
            if form is None:
                left.append((index, 0))
                continue
            ours, theirs = version_of(thing), version_of(form.thing)
            verdict = judge(ours, theirs, replace=self._replace)
            if verdict is Verdict.WRITE:
                left.append((index, form.revision))
            elif verdict is Verdict.UNCHANGED:
                self.unchanged += 1
            else:
                detail = _detail(verdict, ours, theirs)
                self.refused.append((self._batch.operations[index], verdict.value, detail))
        return _Part(items=tuple(left), compared=part.compared + 1)

    async def _send(self, items: tuple[tuple[int, int], ...]) -> tuple[Answer, str]:
        body = self._body(items)
        key = self._key(body)
        revisions = [ABSENT] * (items[-1][0] + 1)
        for index, revision in items:
            revisions[index] = revision
        self._journal.note(Sent(kind=self._batch.kind, number=self._batch.number, key=key, revisions=tuple(revisions)))
        return await self._ask(key, body), key

    async def _ask(self, key: str, body: bytes) -> Answer:
        answer = await self._sender.send(key=key, body=body)
        asked_again = 0
        while answer.status == 202 and asked_again < _ASKED_AGAIN_MAX:
            asked_again += 1
            answer = await self._sender.send(key=key, body=body)
        return answer

    def _body(self, items: tuple[tuple[int, int], ...]) -> bytes:
        operations = (b'%b,"if_revision":%d}' % (self._batch.operations[index][:-1], at) for index, at in items)
        return b'{"operations":[' + b",".join(operations) + b"]}"

    def _key(self, body: bytes) -> str:
        digest = hashlib.sha256(f"{self._key_base}\n{hashlib.sha256(body).hexdigest()}".encode()).hexdigest()
        return f"import-{digest[:48]}"


def _given_up(answer: Answer) -> Exception:
    return refuse(answer.code or "import_failed", answer.reason or f"the API answered {answer.status}")


def _detail(verdict: Verdict, ours: Version, theirs: Version) -> str:
    if verdict is Verdict.OLDER:
        return (
            f"{stix_time(ours.modified + 'Z')} in the file, {stix_time(theirs.modified + 'Z')} in the tenant; "
            "--replace takes the file's"
        )
    return "the tenant's form stays; --replace takes the file's"
