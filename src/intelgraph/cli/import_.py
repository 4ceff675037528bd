"""``intelgraph import``: a STIX 2.1 bundle into a tenant's graph, through the API."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from intelgraph.cli.access import access_options, the_access
from intelgraph.cli.options import json_option, reason_option
from intelgraph.cli.output import say, say_if_possible, say_json
from intelgraph.cli.progress import Steps
from intelgraph.graph.stix.sample_attack import SampleAttack
from intelgraph.model.errors import IntelGraphError, refuse
from intelgraph.operations.transfer.access import AccessOptions
from intelgraph.operations.transfer.imports import (
    SAMPLES,
    Imported,
    ImportListener,
    ImportOptions,
    ImportSource,
    import_bundle,
)

_OWN = ("rejects", "journal", "resume", "replace")


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
@access_options
@reason_option
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
    file, sample, as_json, reason = (options.pop(name) for name in ("file", "sample", "as_json", "reason"))
    own = ImportOptions(**{name: options.pop(name) for name in _OWN})
    if (file is None) == (sample is None):
        raise click.UsageError("give either FILE or --sample")
    access = the_access(AccessOptions(**options), role="writer", reason=reason)
    with Steps(quiet=as_json) as steps:
        done = import_bundle(access, _source(file, sample), own, _Shown(steps, quiet=as_json))
    if as_json:
        say_json(done.summary)
    else:
        _report(done)
    if done.failure is not None:
        raise done.failure
    if done.took_nothing:
        elements = "its one element" if done.elements == 1 else f"each of the {done.elements:,} elements"
        say(f"intelgraph: nothing was taken: {elements} was rejected", err=True)
        return 1
    return 0


def _source(file: str | None, sample: str | None) -> ImportSource:
    if file == "-":
        return ImportSource(stream=sys.stdin.buffer)
    if file == "":
        raise refuse("no_file", "the import is refused: '' is no name: it is empty")
    return ImportSource(file=None if file is None else Path(file), sample=sample)


class _Shown(ImportListener):
    """What an import tells meanwhile, on standard error."""

    def __init__(self, steps: Steps, *, quiet: bool) -> None:
        self._steps, self._quiet = steps, quiet

    def start(self, name: str, total: int | None) -> None:
        self._steps.start(name, total)

    def set(self, done: int) -> None:
        self._steps.set(done)

    def advance(self, things: int) -> None:
        self._steps.advance(things)

    def wait(self, error: IntelGraphError, left_s: float) -> None:
        self._steps.wait(error, left_s)

    def sample_read(self, sample: SampleAttack) -> None:
        if not self._quiet:
            counted = f"{sample.revoked} objects are revoked and {sample.deprecated} deprecated"
            say(f"ATT&CK 18.1: {counted}; all are kept", err=True)

    def broken_off(self) -> None:
        if not self._quiet:
            say("the import is not complete; the same command goes on where it was", err=True)

    def not_listed(self, reason: str) -> None:
        say_if_possible(f"intelgraph: {reason}")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _report(done: Imported) -> None:
    summary, rejects = done.summary, done.rejects
    entities = _counted(summary.entities, "entity", "entities")
    relationships = _counted(summary.relationships, "relationship", "relationships")
    say(
        f"imported into {summary.tenant}: {entities} and {relationships} in "
        f"{summary.seconds:.1f} s ({summary.objects_per_s:,.0f} objects/s)"
    )
    if not done.elements:
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
