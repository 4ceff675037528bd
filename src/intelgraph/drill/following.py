"""A follower: a client that subscribes to its tenant's changes, and comes back behind the last one when a stream ends.

It prefers its own region's door and goes on to the next when a stream cannot be opened. Whatever ends a stream, the
follower opens another; a stream that says nothing for ``SILENT_S`` is given up. Each stream is one operation of the
history: where it began, what it told, and when. When its last bookmark is ``superseded`` it goes back to an earlier
one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from intelgraph.drill.history import Kind, Operation, Outcome, Setback
from intelgraph.model.bookmark import Bookmark

SILENT_S = 12.0
"""More than the ten seconds after which a stream says that it is still there."""
_CONNECT_S = 1.0
_AGAIN_S = 0.2
_IDLE_S = 2.0
_SUBSCRIPTION = "subscription($after:String){changes(after:$after){bookmark}}"


@dataclass(frozen=True, kw_only=True)
class Followed:
    """Whose changes are followed, by which client: ``urls`` by region, the preferred one first."""

    client: str
    tenant: str
    placement: str
    urls: Mapping[str, str]
    token: Callable[[], str]


@dataclass(kw_only=True)
class _Stream:
    """One connection so far."""

    door: str
    invoked_s: float
    carried: str | None
    region: str | None = None
    told: list[str] = field(default_factory=list)
    refused: str | None = None


class Follower:
    """One follower. ``run`` follows until it is cancelled."""

    def __init__(
        self,
        followed: Followed,
        after: str | None,
        *,
        now: Callable[[], float],
        number: Callable[[], int],
        keep: Callable[[Operation], None],
    ) -> None:
        self._followed = followed
        self._now = now
        self._number = number
        self._keep = keep
        self._told = [after] if after is not None else []
        self._back = 1
        self._setbacks: list[Setback] = []
        self._changed = asyncio.Event()
        self._kept = False

    async def run(self) -> None:
        """Open streams, one after the other."""
        doors, tried = list(self._followed.urls), 0
        first = _Stream(door=doors[0], invoked_s=self._now(), carried=self._told[-1] if self._told else None)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=SILENT_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                while True:
                    stream = await self._follow(session, doors[tried % len(doors)])
                    tried = 0 if stream.told else tried + 1
                    if stream.refused is not None:
                        self._setbacks.append(Setback(at_s=self._now(), code=stream.refused, region=stream.door))
                    await asyncio.sleep(_AGAIN_S)
        finally:
            if not self._kept:  # it is to be seen that there was a follower, and that nothing was told to it
                first.refused = self._setbacks[-1].code if self._setbacks else "no_answer"
                self._keep_stream(first)

    async def has_told(self, bookmark: str | None, *, within_s: float) -> bool:
        """Wait until it was told a bookmark, or a later one; of none: until it has been told nothing for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while bookmark is None or not self._told or _rank(self._told[-1]) < _rank(bookmark):
                    self._changed.clear()
                    if bookmark is None:
                        await asyncio.wait_for(self._changed.wait(), _IDLE_S)
                    else:
                        await self._changed.wait()
                return True
        return bookmark is None

    async def _follow(self, session: aiohttp.ClientSession, door: str) -> _Stream:
        stream = _Stream(door=door, invoked_s=self._now(), carried=self._told[-1] if self._told else None)
        try:
            async for bookmark in self._events(session, stream):
                stream.told.append(bookmark)
                self._told.append(bookmark)
                self._back = 1
                self._changed.set()
        except (aiohttp.ClientError, TimeoutError, OSError):
            stream.refused = stream.refused or "connection_lost"
        finally:
            self._end(stream)
        return stream

    async def _events(self, session: aiohttp.ClientSession, stream: _Stream) -> AsyncIterator[str]:
        """The bookmarks of a stream's changes."""
        body = msgspec.json.encode({"query": _SUBSCRIPTION, "variables": {"after": stream.carried}})
        headers = {
            "Accept": "text/event-stream",
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._followed.token()}",
        }
        url = self._followed.urls[stream.door].rstrip("/") + "/graphql"
        async with session.post(url, data=body, headers=headers) as reply:
            if reply.status != 200 or reply.content_type != "text/event-stream":
                stream.refused = _code(reply.status, await reply.read())
                return
            stream.region = reply.headers.get("IG-Region", stream.door)
            event: dict[str, str] = {}
            async for line in reply.content:
                text = line.decode().rstrip("\r\n")
                if text:
                    name, _, value = text.partition(":")
                    event[name] = value.removeprefix(" ")
                    continue
                data, event = _data(event), {}
                if "errors" in data and not stream.told:
                    # A refusal as events: 200, since no repeat of the same request helps.
                    stream.region, stream.refused = None, _code_of(data, reply.status)
                    return
                if data.get("data"):
                    yield str(data["data"]["changes"]["bookmark"])

    def _end(self, stream: _Stream) -> None:
        if stream.refused == "superseded":
            # Each time twice as far back: what a takeover cut off may be many writes.
            del self._told[max(min(1, len(self._told) - 1), len(self._told) - self._back) :]
            self._back *= 2
        if stream.region is None and stream.refused != "superseded":
            return
        self._keep_stream(stream)

    def _keep_stream(self, stream: _Stream) -> None:
        self._kept = True
        setbacks, self._setbacks = tuple(self._setbacks), []
        self._keep(
            Operation(
                id=self._number(),
                client=self._followed.client,
                door=stream.door,
                kind=Kind.FOLLOW,
                placement=self._followed.placement,
                tenant=self._followed.tenant,
                invoked_s=stream.invoked_s,
                completed_s=self._now(),
                outcome=Outcome.FAIL if stream.region is None else Outcome.OK,
                members=tuple(stream.told),
                patient=True,
                carried=stream.carried,
                region=stream.region,
                code=stream.refused if stream.region is None else None,
                setbacks=setbacks,
            )
        )


def _data(event: Mapping[str, str]) -> dict[str, Any]:
    """What an event tells; nothing if it is no ``next`` (a heartbeat, ``complete``)."""
    if event.get("event") != "next" or "data" not in event:
        return {}
    data = msgspec.json.decode(event["data"])
    return data if isinstance(data, dict) else {}


def _code(status: int, raw: bytes) -> str:
    """The code of a refusal: JSON, or the first event's data."""
    lines = [line.partition(b":")[2] for line in raw.splitlines() if line.startswith(b"data:")]
    try:
        return _code_of(msgspec.json.decode(lines[0] if lines else raw), status)
    except msgspec.DecodeError:
        return f"http_{status}"


def _code_of(body: Any, status: int) -> str:
    try:
        errors = body.get("errors") or [body]
        return str(errors[0].get("extensions", errors[0]).get("code") or f"http_{status}")
    except (AttributeError, IndexError, KeyError):
        return f"http_{status}"


def _rank(bookmark: str) -> tuple[int, int]:
    parsed = Bookmark.parse(bookmark)
    return parsed.epoch, parsed.position
