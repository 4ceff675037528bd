"""The tenant's changes in log order, one batch at a time: for pages of ``GET /v1/changes`` and for streams."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec

from intelgraph.api.admission import Admitted
from intelgraph.api.database.database import READ_CHANGES, READ_SOME_CHANGES
from intelgraph.api.database.readable import Readable
from intelgraph.api.read.reader import Reader


class ChangesAnswer(Readable, kw_only=True):
    """What ``ig.read_changes`` answers."""

    changes: msgspec.Raw = msgspec.Raw(b"null")
    next: str | None = None
    more: bool = False
    """There are more: the page was full, of changes or of bytes."""
    stands_ms: int = 0
    """For how long the home's log has handed out nothing new, although more was written."""


async def ask_changes(
    reader: Reader,
    admitted: Admitted,
    after: str | None,
    limit: int,
    bytes_max: int | None = None,
    *,
    turn: Callable[[], contextlib.AbstractAsyncContextManager[None]] = contextlib.nullcontext,
) -> ChangesAnswer:
    """Read the tenant's changes after a bookmark, waiting for the bookmark's own row if need be.

    ``bytes_max``: where they end, if sooner than a page. ``turn``: what each question to the database needs.
    """
    arguments = (admitted.placement.id, admitted.principal.tenant, after, limit)
    statement = (READ_CHANGES, *arguments) if bytes_max is None else (READ_SOME_CHANGES, *arguments, bytes_max)

    async def send() -> ChangesAnswer:
        async with turn():
            return msgspec.json.decode(await reader.database.call(*statement), type=ChangesAnswer)

    return await reader.ask_until_seen(admitted.placement, after, send)
