"""Exporting a tenant's graph as a STIX 2.1 bundle, through the API, and its content digest. It changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from intelgraph.client.api_client import ApiClient
from intelgraph.graph.content_digest import ContentDigest
from intelgraph.graph.objects import GraphObject, Kind, read_object
from intelgraph.graph.stix.write import BundleWriter
from intelgraph.model.errors import refuse
from intelgraph.model.output_file import check_writable, whole_file
from intelgraph.operations.transfer.access import Access
from intelgraph.operations.transfer.file_places import check_outside
from intelgraph.operations.transfer.progress import NoProgress, Progress

PAGE_OBJECTS = 500
_PATHS: dict[Kind, str] = {"entity": "/v1/entities", "relationship": "/v1/relationships"}


@dataclass(frozen=True, kw_only=True)
class ExportTarget:
    """Where a bundle goes, and what people call it. ``is_open``: it is no file of its own, but open already."""

    path: Path
    name: str
    is_open: bool = False


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was exported. ``written_since`` says whether writes were seen after the bookmark; null without one."""

    tenant: str
    regions: tuple[str, ...]
    entities: int
    relationships: int
    digest: str
    seconds: float
    written_since: bool | None


async def export_graph(
    access: Access,
    target: ExportTarget | None,
    *,
    bookmark: str | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a tenant's graph to ``target``; without one, only tell its digest. ``bookmark``: see at least this write.

    ``file_not_writable`` for what cannot be written, before anything is read if that can be seen; ``BrokenPipeError``
    if it is a pipe that nobody reads any more.
    """
    if target is not None and not target.is_open:
        _check_target(access, target)
    began_s = time.monotonic()
    progress = progress or NoProgress()
    async with access.client(progress) as client:
        await client.check_tenant()
        walk = _Walk(client, bookmark, progress)
        digest = await _digest(walk) if target is None else await _write(target, walk)
        written_since = await _written_since(client, bookmark)
    return Exported(
        tenant=access.tenant,
        regions=tuple(sorted(walk.regions)),
        entities=digest.entities,
        relationships=digest.relationships,
        digest=digest.hexdigest(),
        seconds=round(time.monotonic() - began_s, 3),
        written_since=written_since,
    )


def _check_target(access: Access, target: ExportTarget) -> None:
    """Refuse what cannot be written before anything is read."""
    check_outside(access.options.fleet_state(), target.path)
    try:
        check_writable(target.path)
    except OSError as error:
        raise refuse("file_not_writable", f"the export is refused: {target.name}: {error.strerror}") from error


async def _digest(walk: _Walk) -> ContentDigest:
    digest = ContentDigest()
    async for thing in walk.objects():
        digest.add(thing)
    return digest


async def _write(target: ExportTarget, walk: _Walk) -> ContentDigest:
    try:
        with whole_file(target.path) as file:
            writer = BundleWriter(file)
            async for thing in walk.objects():
                writer.add(thing)
            writer.finish()
            file.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise refuse("file_not_writable", f"the export is not complete: {target.name}: {error.strerror}") from error
    return writer.digest


class _Walk:
    """Reads a tenant's objects in (kind, id) order, a page at a time; ``regions`` are those that answered."""

    def __init__(self, client: ApiClient, bookmark: str | None, progress: Progress) -> None:
        self._client = client
        self._bookmark = bookmark
        self._progress = progress
        self.regions: set[str] = set()

    async def objects(self) -> AsyncIterator[GraphObject]:
        """Every object; the next page is on its way while one is worked on."""
        for kind, path in _PATHS.items():
            self._progress.start({"entity": "entities", "relationship": "relationships"}[kind], None)
            coming: asyncio.Task[dict[str, Any]] | None = asyncio.create_task(self._page(path, None))
            try:
                while coming is not None:
                    page = await coming
                    after = page.get("next")
                    coming = asyncio.create_task(self._page(path, after)) if after is not None else None
                    await asyncio.sleep(0)
                    for value in page["objects"]:
                        yield read_object(kind, value)
                    self._progress.advance(len(page["objects"]))
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
