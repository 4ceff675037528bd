"""What arrives after a request's head: the parts of its body, and the news that the client has gone.

The connection fills it, one handler empties it. Nothing is waited for when everything came with the head, which is the
rule. A body nobody takes is bounded: the connection stops reading when too many bytes lie here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from intelgraph.model.errors import Denied


class Incoming:
    """One request's body. ``whole``: its end has arrived. ``gone``: nothing more will, the client has left, or what it
    sends is not taken; ``refusal``: why not, where more is to be said than that the body has ended."""

    __slots__ = ("_news", "_parts", "_wanted", "gone", "refusal", "size", "whole")

    def __init__(self, wanted: Callable[[], None]) -> None:
        self.whole = False
        self.gone = False
        self.refusal: Denied | None = None
        self.size = 0
        """Bytes that lie here."""
        self._parts: list[bytes] = []
        self._wanted = wanted
        """Tells the connection that somebody waits for more."""
        self._news: asyncio.Future[None] | None = None

    def add(self, part: bytes) -> None:
        """Take a part in."""
        self._parts.append(part)
        self.size += len(part)
        self._tell()

    def end(self) -> None:
        """The body is whole."""
        self.whole = True
        self._tell()

    def lose(self, refusal: Denied | None = None) -> None:
        """The client has gone, or no more of what it sends is taken."""
        self.gone, self.refusal = True, self.refusal or refusal
        self._tell()

    def take(self) -> bytes:
        """Return what lies here, and forget it."""
        parts, self._parts, self.size = self._parts, [], 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def more(self) -> None:
        """Return when something lies here, the body is whole, or the client has gone."""
        while not (self._parts or self.whole or self.gone):
            self._wanted()
            await self._listen()

    async def lost(self) -> None:
        """Return when the client has gone."""
        while not self.gone:
            await self._listen()

    async def _listen(self) -> None:
        if self._news is None or self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
