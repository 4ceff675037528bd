"""Importing a STIX 2.1 bundle into a tenant's graph, through the API.

The bundle is read to its end before anything is sent; a journal lets an import that was stopped go on where it was. Who
asks is recorded before anything is sent, in the fleet whose edges or whose issuer are used. Where there is none (an
address and a token were given) there is no record here: the token says to that fleet who asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from intelgraph.client.import_sender import ApiSender
from intelgraph.graph.imports.journal import Heading, ImportJournal, new_run
from intelgraph.graph.imports.plan import KINDS, ImportPlan, scan
from intelgraph.graph.imports.run import ImportPolicy, ImportRun
from intelgraph.graph.stix.bundle_source import BundleSource, PieceReader
from intelgraph.graph.stix.read import Limits
from intelgraph.graph.stix.rejects import Rejects
from intelgraph.graph.stix.sample_attack import SampleAttack
from intelgraph.model.errors import Denied, IntelGraphError, refuse, retry, what_failed
from intelgraph.operations.record import record
from intelgraph.operations.transfer.access import Access
from intelgraph.operations.transfer.file_places import check_outside, check_places, is_there
from intelgraph.operations.transfer.progress import NoProgress
from intelgraph.operations.transfer.rejects_list import rejects_list

SAMPLES = ("attack",)


@dataclass(frozen=True, kw_only=True)
class ImportSource:
    """What is imported: a file, bytes that come from elsewhere, or a sample (MITRE ATT&CK); one of them."""

    file: Path | None = None
    stream: BinaryIO | None = None
    sample: str | None = None

    @property
    def name(self) -> str:
        """What the record calls it."""
        return str(self.file) if self.file is not None else f"sample {self.sample}" if self.sample else "a stream"


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """``rejects``: where to list what is not taken. ``journal``: where to note what is done, if not where it would be.

    ``replace``: take the bundle's form also where the tenant's is newer.
    """

    rejects: Path | None = None
    journal: Path | None = None
    resume: bool = True
    replace: bool = False


class ImportListener(NoProgress):
    """What an import tells meanwhile; for whoever wants to hear of nothing, as it is."""

    def sample_read(self, sample: SampleAttack) -> None:
        """The sample was read to its end."""

    def broken_off(self) -> None:
        """The import ends before it is complete; the same import goes on where it was."""

    def not_listed(self, reason: str) -> None:
        """The import fails, and what it did not take cannot be listed either."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did. ``rejected`` counts by reason; ``bookmark`` names its last write, if it wrote anything.

    ``entities`` and ``relationships`` were written, ``unchanged`` are there already, as the file has them.
    """

    tenant: str
    entities: int
    relationships: int
    unchanged: int
    rejected: dict[str, int]
    seconds: float
    objects_per_s: float
    bookmark: str | None
    batches: int
    batches_resumed: int
    batches_unconfirmed: int
    retries: int
    content_hash: str


@dataclass(frozen=True, kw_only=True)
class Imported:
    """An import that is written. ``elements``: how many it had. ``unlisted``: why what was not taken is not listed."""

    summary: Summary
    rejects: Rejects
    elements: int
    unlisted: Denied | None = None

    @property
    def took_nothing(self) -> bool:
        """Whether there were objects, and not one of them was taken or there already."""
        summary = self.summary
        return bool(self.elements) and not summary.entities + summary.relationships + summary.unchanged

    @property
    def failure(self) -> IntelGraphError | None:
        """What is wrong with it although it is written."""
        summary = self.summary
        if self.unlisted is not None:
            return refuse("rejects_not_written", f"the import is done, but {self.unlisted.reason}")
        if summary.batches_unconfirmed:
            return retry(
                "not_confirmed",
                f"the import is written at home, but {summary.batches_unconfirmed} of its {summary.batches} batches "
                "were not confirmed by the standby in time; run the same command again to have them confirmed",
                retry_after_s=5.0,
            )
        return None


def import_bundle(
    access: Access,
    source: ImportSource,
    options: ImportOptions | None = None,
    listener: ImportListener | None = None,
) -> Imported:
    """Import a bundle. Places and the tenant are checked before it is read, and all of it is read before any is sent.

    Not asynchronous: reading may block, and an interruption has to end that at once.
    """
    options, listener = options or ImportOptions(), listener or ImportListener()
    _check(access, source, options)
    asyncio.run(_check_tenant(access, listener))
    imported: Imported | None = None
    try:
        with contextlib.ExitStack() as stack:
            listed = stack.enter_context(rejects_list(options.rejects, listener.not_listed))
            rejects = Rejects(listed.sink)
            began_s = time.monotonic()
            plan = stack.enter_context(_scan(source, rejects, listener))
            _record(access, source, options, plan)
            listed.keep()
            run, retries = asyncio.run(_send(access, options, plan, rejects, listener))
            summary = _summary(access, plan, run, rejects, retries, time.monotonic() - began_s)
            imported = Imported(summary=summary, rejects=rejects, elements=plan.elements)
    except IntelGraphError as error:
        if imported is None:
            raise
        imported = replace(imported, unlisted=error.denied)  # it is written all the same
    return imported


def _check(access: Access, source: ImportSource, options: ImportOptions) -> None:
    check_places(source.file, source.stream, rejects=options.rejects, journal=options.journal)
    if source.file is not None and not is_there(source.file):
        with _opened(source, ImportListener()):  # says why not, before anybody is asked anything
            pass
    check_outside(access.options.fleet_state(), options.rejects, options.journal)


def _record(access: Access, source: ImportSource, options: ImportOptions, plan: ImportPlan) -> None:
    operator = access.operator
    if operator is not None:
        record(
            operator,
            "import",
            tenant=access.tenant,
            source=source.name,
            content_hash=plan.content_hash,
            url=access.url,
            replace=options.replace,
        )


def _scan(source: ImportSource, rejects: Rejects, listener: ImportListener) -> ImportPlan:
    with _opened(source, listener) as (raw, size):
        listener.start("reading", size)
        try:
            return scan(BundleSource(raw), Limits(), rejects, lambda taken, elements: listener.set(taken))
        except OSError as error:
            raise refuse("cannot_read", f"the import is refused while reading: {what_failed(error)}") from error


async def _check_tenant(access: Access, listener: ImportListener) -> None:
    async with access.client(listener) as client:
        await client.check_tenant()


@contextlib.contextmanager
def _opened(source: ImportSource, listener: ImportListener) -> Iterator[tuple[BinaryIO, int | None]]:
    """The bytes to import and how many they are, if that is known."""
    if source.sample is not None:
        sample = SampleAttack()
        yield cast(BinaryIO, PieceReader(sample.pieces())), None
        listener.sample_read(sample)
    elif source.file is None:
        assert source.stream is not None
        yield source.stream, None
    else:
        try:
            raw = source.file.open("rb")
        except OSError as error:
            raise refuse("no_file", f"the import is refused: {source.file}: {error.strerror}") from error
        with raw:
            yield raw, os.fstat(raw.fileno()).st_size


async def _send(
    access: Access, options: ImportOptions, plan: ImportPlan, rejects: Rejects, listener: ImportListener
) -> tuple[ImportRun, int]:
    policy = ImportPolicy(replace=options.replace)
    journal = _journal(access, options, plan, policy)
    totals = {kind: plan.index.count(kind) for kind in KINDS}
    started: set[str] = set()

    def on_done(kind: str, objects: int) -> None:
        if kind not in started:
            started.add(kind)
            listener.start({"entity": "entities", "relationship": "relationships"}[kind], totals[cast(Any, kind)])
        listener.advance(objects)

    async with access.client(listener) as client:
        run = ImportRun(
            plan=plan, sender=ApiSender(client), journal=journal, rejects=rejects, policy=policy, on_done=on_done
        )
        try:
            await run.run()
        except (asyncio.CancelledError, IntelGraphError):
            journal.close()
            listener.broken_off()
            raise
    if run.batches_unconfirmed:
        journal.close()
    else:
        journal.delete()
    return run, client.retries


def _journal(access: Access, options: ImportOptions, plan: ImportPlan, policy: ImportPolicy) -> ImportJournal:
    heading = Heading(
        tenant=access.tenant,
        content_hash=plan.content_hash,
        operations_max=policy.batch.operations_max,
        bytes_max=policy.batch.bytes_max,
        run=new_run(),
        replace=policy.replace,
    )
    path = options.journal
    if path is None:
        named = f"{access.tenant}\n{access.options.url}\n{plan.content_hash}"
        name = hashlib.sha256(named.encode()).hexdigest()[:16]
        path = _journal_directory(access) / f".intelgraph-import-{name}.json"
    return ImportJournal(path, heading, resume=options.resume)


def _journal_directory(access: Access) -> Path:
    """Beside the fleet's state directory, never in it: what is under a region is that region's processes' alone."""
    return Path.cwd() if access.site is None else access.site.state.resolve().parent


def _summary(
    access: Access, plan: ImportPlan, run: ImportRun, rejects: Rejects, retries: int, seconds: float
) -> Summary:
    return Summary(
        tenant=access.tenant,
        entities=run.written["entity"],
        relationships=run.written["relationship"],
        unchanged=sum(run.unchanged.values()),
        rejected=dict(sorted(rejects.by_code.items())),
        seconds=round(seconds, 3),
        objects_per_s=round(sum(run.written.values()) / max(seconds, 0.001), 1),
        bookmark=str(run.bookmark) if run.bookmark else None,
        batches=run.batches,
        batches_resumed=run.batches_resumed,
        batches_unconfirmed=run.batches_unconfirmed,
        retries=retries,
        content_hash=plan.content_hash,
    )
