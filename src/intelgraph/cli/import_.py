"""``intelgraph import``: a STIX 2.1 bundle into a tenant's graph, through the door."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import click
import msgspec

from intelgraph.cli.doors import DoorOptions, door_options, fleet_state, open_door
from intelgraph.cli.import_places import check_outside, check_places, is_there
from intelgraph.cli.options import json_option
from intelgraph.cli.output import say, say_json
from intelgraph.cli.progress import Steps
from intelgraph.cli.rejects_file import rejects_file
from intelgraph.client.api_client import ApiClient
from intelgraph.client.import_sender import ApiSender
from intelgraph.graph.imports.journal import Heading, ImportJournal, new_run
from intelgraph.graph.imports.plan import KINDS, ImportPlan, scan
from intelgraph.graph.imports.run import ImportPolicy, ImportRun
from intelgraph.graph.stix.bundle_source import BundleSource, PieceReader
from intelgraph.graph.stix.read import Limits
from intelgraph.graph.stix.rejects import Rejects
from intelgraph.graph.stix.sample_attack import SampleAttack
from intelgraph.model.errors import IntelGraphError, refuse, retry, what_failed
from intelgraph.operations.edges import find_edges

SAMPLES = ("attack",)
_OWN = ("file", "sample", "rejects", "journal", "resume", "replace", "as_json")


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """The command line of one import."""

    file: str | None
    sample: str | None
    rejects: Path | None
    journal: Path | None
    resume: bool
    replace: bool
    as_json: bool
    door: DoorOptions


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


@click.command()
@click.argument("file", required=False)
@click.option("--sample", type=click.Choice(SAMPLES), help="Import a sample instead of a file: MITRE ATT&CK.")
@click.option(
    "--rejects",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="List what was not taken, as JSON lines; FILE is replaced.",
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to note what is done; FILE is replaced, and deleted at the end. Only a journal is.",
)
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on where the last run was stopped.")
@click.option("--replace", is_flag=True, help="Take the file's form also where the tenant's is newer.")
@door_options
@json_option
def command(**options: Any) -> int:
    """Import the STIX 2.1 bundle FILE (.json, also gzipped; - for standard input) into a tenant's graph.

    The file is read to its end before anything is sent. Entities are sent before relationships, in batches that are
    each written whole or not at all. What the tenant has with a newer modified time stays; what is the same there
    already is counted and not written again. What is not taken is listed with its reason. Stopped at any point, the
    same command goes on where it was. Needs as much room under TMPDIR as the bundle takes uncompressed. The exit code
    is 1 when there were objects and not one of them was taken or there already.

    \b
    Examples:
      intelgraph import bundle.json --tenant acme
      intelgraph import --sample attack --tenant acme
      zcat feed.json.gz | intelgraph import - --tenant acme --rejects rejected.jsonl
    """
    own = {name: options.pop(name) for name in _OWN}
    asked = ImportOptions(**own, door=DoorOptions(**options))
    if (asked.file is None) == (asked.sample is None):
        raise click.UsageError("give either FILE or --sample")
    client = open_door(asked.door, role="writer")
    _check_places(asked)
    asyncio.run(_check_tenant(open_door(asked.door, role="writer")))
    with _done_although_not_listed() as done, contextlib.ExitStack() as stack:
        listed = stack.enter_context(rejects_file(asked.rejects))
        rejects = Rejects(listed.sink)
        steps = stack.enter_context(Steps(quiet=asked.as_json))
        began_s = time.monotonic()
        plan = stack.enter_context(_scan(asked, rejects, steps))
        listed.keep()
        run, retries = asyncio.run(_send(asked, client, plan, rejects, steps))
        summary = _summary(asked, plan, run, rejects, retries, time.monotonic() - began_s)
        done.append(lambda: _report(summary, rejects, plan.elements, as_json=asked.as_json))
    done[0]()
    if run.batches_unconfirmed:
        raise retry(
            "not_confirmed",
            f"the import is written at home, but {run.batches_unconfirmed} of its {run.batches} batches were not "
            "confirmed by the standby in time; run the same command again to have them confirmed",
            retry_after_s=5.0,
        )
    if plan.elements and not summary.entities + summary.relationships + summary.unchanged:
        elements = "its one element" if plan.elements == 1 else f"each of the {plan.elements:,} elements"
        say(f"intelgraph: nothing was taken: {elements} was rejected", err=True)
        return 1
    return 0


@contextlib.contextmanager
def _done_although_not_listed() -> Iterator[list[Callable[[], None]]]:
    """An import that is done is reported (what the block appends) also when the list of rejects cannot be written."""
    done: list[Callable[[], None]] = []
    try:
        yield done
    except IntelGraphError as error:
        if not done:
            raise
        done[0]()
        raise refuse("rejects_not_written", f"the import is done, but {error.denied.reason}") from error


def _check_places(asked: ImportOptions) -> None:
    check_places(asked.file, rejects=asked.rejects, journal=asked.journal)
    if asked.file not in (None, "-") and not is_there(Path(str(asked.file))):
        with _opened(asked):  # says why not, before anybody is asked anything
            pass
    check_outside(fleet_state(asked.door), asked.rejects, asked.journal)


def _scan(asked: ImportOptions, rejects: Rejects, steps: Steps) -> ImportPlan:
    with _opened(asked) as (raw, size):
        steps.start("reading", size)
        try:
            return scan(BundleSource(raw), Limits(), rejects, lambda taken, elements: steps.set(taken))
        except OSError as error:
            raise refuse("cannot_read", f"the import is refused while reading: {what_failed(error)}") from error


async def _check_tenant(client: ApiClient) -> None:
    async with client:
        await client.check_tenant()


@contextlib.contextmanager
def _opened(asked: ImportOptions) -> Iterator[tuple[BinaryIO, int | None]]:
    """The bytes to import and how many they are, if that is known."""
    if asked.sample is not None:
        sample = SampleAttack()
        yield cast(BinaryIO, PieceReader(sample.pieces())), None
        if not asked.as_json:
            say(
                f"ATT&CK 18.1: {sample.revoked} objects are revoked and {sample.deprecated} deprecated; all are kept",
                err=True,
            )
    elif asked.file == "-":
        yield sys.stdin.buffer, None
    else:
        path = Path(str(asked.file))
        try:
            raw = path.open("rb")
        except OSError as error:
            raise refuse("no_file", f"the import is refused: {path}: {error.strerror}") from error
        with raw:
            yield raw, os.fstat(raw.fileno()).st_size


async def _send(
    asked: ImportOptions, client: ApiClient, plan: ImportPlan, rejects: Rejects, steps: Steps
) -> tuple[ImportRun, int]:
    policy = ImportPolicy(replace=asked.replace)
    journal = _journal(asked, plan, policy)
    totals = {kind: plan.index.count(kind) for kind in KINDS}
    started: set[str] = set()

    def on_done(kind: str, objects: int) -> None:
        if kind not in started:
            started.add(kind)
            steps.start({"entity": "entities", "relationship": "relationships"}[kind], totals[cast(Any, kind)])
        steps.advance(objects)

    async with client:
        run = ImportRun(
            plan=plan, sender=ApiSender(client), journal=journal, rejects=rejects, policy=policy, on_done=on_done
        )
        try:
            await run.run()
        except (asyncio.CancelledError, IntelGraphError):
            journal.close()
            if not asked.as_json:
                say("the import is not complete; the same command goes on where it was", err=True)
            raise
    if run.batches_unconfirmed:
        journal.close()
    else:
        journal.delete()
    return run, client.retries


def _journal(asked: ImportOptions, plan: ImportPlan, policy: ImportPolicy) -> ImportJournal:
    heading = Heading(
        tenant=asked.door.tenant,
        content_hash=plan.content_hash,
        operations_max=policy.batch.operations_max,
        bytes_max=policy.batch.bytes_max,
        run=new_run(),
        replace=policy.replace,
    )
    path = asked.journal
    if path is None:
        name = hashlib.sha256(f"{asked.door.tenant}\n{asked.door.url}\n{plan.content_hash}".encode()).hexdigest()[:16]
        path = _journal_directory(asked.door) / f".intelgraph-import-{name}.json"
    return ImportJournal(path, heading, resume=asked.resume)


def _journal_directory(door: DoorOptions) -> Path:
    """Beside the fleet's state directory, never in it: what is under a region is that region's processes' alone."""
    if not door.needs_fleet:
        return Path.cwd()
    return find_edges(door.state, door.topology).site.state.resolve().parent


def _summary(
    asked: ImportOptions, plan: ImportPlan, run: ImportRun, rejects: Rejects, retries: int, seconds: float
) -> Summary:
    return Summary(
        tenant=asked.door.tenant,
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


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _report(summary: Summary, rejects: Rejects, elements: int, *, as_json: bool) -> None:
    if as_json:
        say_json(summary)
        return
    entities = _counted(summary.entities, "entity", "entities")
    relationships = _counted(summary.relationships, "relationship", "relationships")
    say(
        f"imported into {summary.tenant}: {entities} and {relationships} in "
        f"{summary.seconds:.1f} s ({summary.objects_per_s:,.0f} objects/s)"
    )
    if not elements:
        say("the bundle holds no objects: there was nothing to import")
    if summary.unchanged:
        say(f"unchanged: {summary.unchanged:,}")
    if summary.batches_resumed:
        say(f"{summary.batches_resumed} of {summary.batches} batches were there from an earlier run")
    if summary.bookmark:
        say(f"bookmark {summary.bookmark}")
    if rejects.total:
        counts = ", ".join(f"{count:,} {code}" for code, count in summary.rejected.items())
        say(f"not taken: {rejects.total:,} ({counts}); elements are counted from 0")
        for rejected in rejects.shown:
            place = f"element {rejected.position}" if rejected.position is not None else "an element"
            say(f"  {place} {rejected.id or '(no id)'}: {rejected.reason}")
        if rejects.total > len(rejects.shown):
            say(f"  and {rejects.total - len(rejects.shown):,} more: --rejects FILE lists all of them")
