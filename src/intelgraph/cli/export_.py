"""``intelgraph export``: a tenant's graph as a STIX 2.1 bundle, and its content digest."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from intelgraph.cli.doors import DoorOptions, door_options, fleet_state, open_door
from intelgraph.cli.import_places import check_outside
from intelgraph.cli.options import json_option
from intelgraph.cli.output import OutputFailed, say, say_json
from intelgraph.cli.progress import Steps
from intelgraph.client.api_client import ApiClient
from intelgraph.graph.content_digest import ContentDigest
from intelgraph.graph.objects import GraphObject, Kind, read_object
from intelgraph.graph.stix.write import BundleWriter
from intelgraph.model.bookmark import Bookmark
from intelgraph.model.errors import refuse
from intelgraph.model.output_file import check_writable, whole_file

PAGE_OBJECTS = 500
_PATHS: dict[Kind, str] = {"entity": "/v1/entities", "relationship": "/v1/relationships"}


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The command line of one export."""

    file: str | None
    digest_only: bool
    bookmark: str | None
    as_json: bool
    door: DoorOptions


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What was exported. ``written_since`` says whether writes were seen after the bookmark; null without one."""

    tenant: str
    regions: tuple[str, ...]
    entities: int
    relationships: int
    digest: str
    seconds: float
    written_since: bool | None


@click.command()
@click.argument("file", required=False)
@click.option("--digest-only", is_flag=True, help="Write no bundle, only tell the digest.")
@click.option("--bookmark", help="See at least this write, and tell whether others followed it.")
@door_options
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
    own = {name: options.pop(name) for name in ("file", "digest_only", "bookmark", "as_json")}
    asked = ExportOptions(**own, door=DoorOptions(**options))
    if (asked.file is None) != asked.digest_only:
        raise click.UsageError("give either FILE or --digest-only")
    if asked.bookmark is not None:
        Bookmark.parse(asked.bookmark)
    client = open_door(asked.door, role="analyst")
    _check_place(asked)
    with Steps(quiet=asked.as_json) as steps:
        summary = asyncio.run(_export(asked, client, steps))
    bundle_on_stdout = asked.file is not None and _is_stdout(asked.file)
    if asked.as_json:
        say_json(summary, err=bundle_on_stdout)
        return
    say(
        f"read {summary.entities:,} entities and {summary.relationships:,} relationships of {summary.tenant} "
        f"in {', '.join(summary.regions)} in {summary.seconds:.1f} s",
        err=True,
    )
    say(summary.digest if asked.digest_only else f"content digest {summary.digest}", err=bundle_on_stdout)
    if summary.written_since:
        say(f"writes followed {asked.bookmark}: the export may mix their befores and afters", err=True)


def _check_place(asked: ExportOptions) -> None:
    """Refuse what cannot be written before anything is read."""
    if asked.file == "-" and sys.stdout is None:
        raise refuse("file_not_writable", "the export is refused: standard output is closed")
    if asked.file in (None, "-"):
        return
    check_outside(fleet_state(asked.door), Path(str(asked.file)))
    try:
        check_writable(Path(str(asked.file)))
    except OSError as error:
        raise refuse("file_not_writable", f"the export is refused: {asked.file}: {error.strerror}") from error


def _is_stdout(file: str) -> bool:
    """Whether FILE is where standard output goes: what else is said must not get into the bundle."""
    if file == "-":
        return True
    try:
        return os.path.samestat(Path(file).stat(), os.fstat(1))
    except OSError:
        return False


async def _export(asked: ExportOptions, client: ApiClient, steps: Steps) -> Summary:
    began_s = time.monotonic()
    async with client:
        await client.check_tenant()
        walk = _Walk(client, asked.bookmark, steps)
        try:
            digest = await _write(asked, walk)
        except BrokenPipeError as error:
            raise OutputFailed(error) from error
        except OSError as error:
            raise refuse("file_not_writable", f"the export is not complete: {asked.file}: {error.strerror}") from error
        written_since = await _written_since(client, asked.bookmark)
    return Summary(
        tenant=asked.door.tenant,
        regions=tuple(sorted(walk.regions)),
        entities=digest.entities,
        relationships=digest.relationships,
        digest=digest.hexdigest(),
        seconds=round(time.monotonic() - began_s, 3),
        written_since=written_since,
    )


async def _write(asked: ExportOptions, walk: _Walk) -> ContentDigest:
    if asked.digest_only:
        digest = ContentDigest()
        async for thing in walk.objects():
            digest.add(thing)
        return digest
    with contextlib.ExitStack() as stack:
        path = Path("/dev/stdout" if asked.file == "-" else str(asked.file))
        target = stack.enter_context(whole_file(path))
        writer = BundleWriter(target)
        async for thing in walk.objects():
            writer.add(thing)
        writer.finish()
        target.flush()
    return writer.digest


class _Walk:
    """Reads a tenant's objects in (kind, id) order, a page at a time; ``regions`` are those that answered."""

    def __init__(self, client: ApiClient, bookmark: str | None, steps: Steps) -> None:
        self._client = client
        self._bookmark = bookmark
        self._steps = steps
        self.regions: set[str] = set()

    async def objects(self) -> AsyncIterator[GraphObject]:
        """Every object; the next page is on its way while one is worked on."""
        for kind, path in _PATHS.items():
            self._steps.start({"entity": "entities", "relationship": "relationships"}[kind], None)
            coming: asyncio.Task[dict[str, Any]] | None = asyncio.create_task(self._page(path, None))
            try:
                while coming is not None:
                    page = await coming
                    after = page.get("next")
                    coming = asyncio.create_task(self._page(path, after)) if after is not None else None
                    await asyncio.sleep(0)
                    for value in page["objects"]:
                        yield read_object(kind, value)
                    self._steps.advance(len(page["objects"]))
            finally:
                if coming is not None:
                    coming.cancel()

    async def _page(self, path: str, after: str | None) -> dict[str, Any]:
        params = {"limit": str(PAGE_OBJECTS), **({"after": after} if after is not None else {})}
        reply = await self._client.get(path, params=params, bookmark=self._bookmark)
        if reply.status != 200:
            raise reply.error()
        page = reply.json()
        if not isinstance(page, dict) or not isinstance(page.get("objects"), list):
            raise refuse("bad_answer", f"the door's answer to {path} is not a page of objects")
        if reply.region is not None:
            self.regions.add(reply.region)
        return page


async def _written_since(client: ApiClient, bookmark: str | None) -> bool | None:
    if bookmark is None:
        return None
    reply = await client.get("/v1/changes", params={"after": bookmark, "limit": "1"}, bookmark=bookmark)
    if reply.status != 200:
        raise reply.error()
    return bool(reply.json().get("changes"))
