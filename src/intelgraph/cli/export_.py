"""``intelgraph export``: a tenant's graph as a STIX 2.1 bundle, and its content digest."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from intelgraph.cli.access import access_options, the_access
from intelgraph.cli.options import json_option, run
from intelgraph.cli.output import OutputFailed, say, say_json
from intelgraph.cli.progress import Steps
from intelgraph.model.bookmark import Bookmark
from intelgraph.model.errors import refuse
from intelgraph.operations.transfer.access import AccessOptions
from intelgraph.operations.transfer.exports import Exported, ExportTarget, export_graph


@click.command()
@click.argument("file", required=False)
@click.option("--digest-only", is_flag=True, help="Write no bundle, only tell the digest.")
@click.option("--bookmark", help="See at least this write, and tell whether others followed it.")
@access_options
@json_option
def command(**options: Any) -> None:
    """Export a tenant's graph to FILE (- for standard output) as a STIX 2.1 bundle; tell its content digest.

    A regular FILE appears, or changes, when it is complete; its mode stays, and a link leads where it did. A device or
    a pipe is written through. Importing it into an empty tenant gives the same digest. The graph is read page
    by page: each page is of one moment, the whole is not. An object that is written meanwhile is exported as it was
    before or after, and a relationship may be exported whose new endpoint is not; --bookmark tells whether that can
    have happened.

    \b
    Examples:
      intelgraph export acme.json --tenant acme
      intelgraph export --digest-only --tenant acme --region eu-west
      intelgraph export - --tenant acme | gzip > acme.json.gz
    """
    file, digest_only, bookmark, as_json = (options.pop(n) for n in ("file", "digest_only", "bookmark", "as_json"))
    if (file is None) != digest_only:
        raise click.UsageError("give either FILE or --digest-only")
    if bookmark is not None:
        Bookmark.parse(bookmark)
    access = the_access(AccessOptions(**options), role="analyst")
    target = None if file is None else _target(file)
    with Steps(quiet=as_json) as steps:
        try:
            done = run(export_graph(access, target, bookmark=bookmark, progress=steps))
        except BrokenPipeError as error:
            raise OutputFailed(error) from error
    bundle_on_stdout = file is not None and _is_stdout(file)
    if as_json:
        say_json(done, err=bundle_on_stdout)
        return
    _show(done, digest_only=digest_only, bundle_on_stdout=bundle_on_stdout)
    if done.written_since:
        say(f"writes followed {bookmark}: the export may mix their befores and afters", err=True)


def _target(file: str) -> ExportTarget:
    if file != "-":
        if not file or file.endswith("/"):
            what = "is the name of a directory" if file else "is no name: it is empty"
            raise refuse("file_not_writable", f"the export is refused: {file!r} {what}")
        return ExportTarget(path=Path(file), name=file)
    if sys.stdout is None:
        raise refuse("file_not_writable", "the export is refused: standard output is closed")
    return ExportTarget(path=Path("/dev/stdout"), name=file, is_open=True)


def _show(done: Exported, *, digest_only: bool, bundle_on_stdout: bool) -> None:
    say(
        f"read {done.entities:,} entities and {done.relationships:,} relationships of {done.tenant} "
        f"in {', '.join(done.regions)} in {done.seconds:.1f} s",
        err=True,
    )
    say(done.digest if digest_only else f"content digest {done.digest}", err=bundle_on_stdout)


def _is_stdout(file: str) -> bool:
    """Whether FILE is where standard output goes: what else is said must not get into the bundle."""
    if file == "-":
        return True
    try:
        return os.path.samestat(Path(file).stat(), os.fstat(1))
    except OSError:
        return False
