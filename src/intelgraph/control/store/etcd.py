"""The control store of several regions: etcd, spoken to by its JSON gateway (etcd 3.4 and later).

Every read is linearizable: a member that is cut off from the majority answers nothing, rather than what it remembers. A
compare-and-set that was sent is never sent again, for it may have happened: the error says so, and the caller reads
before it tries again. A watch whose member falls silent goes on at another one, from where it was. Which member is
asked, and for how long, is `etcd_members`.

Sources: etcd's API reference (etcd.io/docs/v3.4/dev-guide/api_reference_v3) and its gateway
(etcd.io/docs/v3.4/dev-guide/api_grpc_gateway).
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import msgspec

from intelgraph.control.store.etcd_members import ANY_REVISION, BULK, FAILURES, Json, Members, unavailable
from intelgraph.control.store.protocol import ABSENT, COMPACTED, WATCH_HEARTBEAT_S, Change, Entry, Snapshot, made_anew
from intelgraph.model.errors import retry, why_no_answer

NAMESPACE = "intelgraph/"
FIRST_PAGE_KEYS, PAGE_KEYS = 500, 5_000
OPERATIONS_MAX = 100
"""In one transaction; etcd takes 128 (`--max-txn-ops`)."""
WATCH_SILENT_MAX_S = 1.5
_PULSE_S = 0.4
_PULSE_ANSWER_S = 0.7
_AGAIN_S = 0.05
assert _PULSE_S < WATCH_HEARTBEAT_S


class EtcdControlStore:
    """A ``ControlStore`` in an etcd cluster; ``members`` are the base URLs of its clients' ports, nearest first."""

    def __init__(self, members: Sequence[str]) -> None:
        self._members = Members(members)
        self._closed = asyncio.Event()

    async def read(self, keys: Sequence[str] = (), *, prefix: str | None = None) -> Snapshot:
        """Read keys and a prefix from one instant; see ``ControlStore.read``."""
        self._refuse_if_closed()
        asked: list[Json] = [{"key": _coded(key)} for key in keys]
        if prefix is not None:
            asked.append({**_under(prefix), "limit": FIRST_PAGE_KEYS})
        # Without anything to read there is still a revision to tell.
        first, rest = (asked or [ANY_REVISION])[:OPERATIONS_MAX], asked[OPERATIONS_MAX:]
        answer = await self._in_one_go(first)
        entries = {key: Entry(key=key, value=None, version=ABSENT) for key in keys}
        revision = _revision(answer)
        responses: list[Json] = [*answer.get("responses", ())]
        for start in range(0, len(rest), OPERATIONS_MAX):
            part = [{**each, "revision": str(revision)} for each in rest[start : start + OPERATIONS_MAX]]
            responses += (await self._in_one_go(part)).get("responses", ())
        for response in responses:
            page = response.get("response_range", {})
            entries |= _entries(page)
            while page.get("more"):
                assert prefix is not None  # a single key has no second page
                page = await self._next_page(prefix, page["kvs"][-1]["key"], revision)
                entries |= _entries(page)
        return Snapshot(revision=revision, entries=entries)

    async def compare_and_set(self, *, expected: Mapping[str, int], writes: Mapping[str, bytes | None]) -> bool:
        """Write several keys if all have the expected versions; see ``ControlStore.compare_and_set``."""
        unread = writes.keys() - expected.keys()
        if unread:
            raise ValueError(f"keys are written without an expected version: {sorted(unread)}")
        self._refuse_if_closed()
        compare = [
            {"key": _coded(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(version)}
            for key, version in expected.items()
        ]
        success = [
            {"request_delete_range": {"key": _coded(key)}}
            if value is None
            else {"request_put": {"key": _coded(key), "value": base64.b64encode(value).decode()}}
            for key, value in writes.items()
        ]
        answer = await self._members.write("/v3/kv/txn", {"compare": compare, "success": success})
        return bool(answer.get("succeeded", False))

    async def watch(self, prefix: str, *, since: int) -> AsyncIterator[Change]:
        """Yield later writes under ``prefix``; see ``ControlStore.watch``."""
        heard_s = time.monotonic()
        while not self._closed.is_set():
            member = self._members.in_order()[0]
            try:
                async for change in self._watch_at(member, prefix, since):
                    heard_s, since = time.monotonic(), change.revision
                    yield change
            except FAILURES as error:
                self._members.failed(member)
                if time.monotonic() - heard_s > WATCH_SILENT_MAX_S:
                    raise unavailable(f"etcd at {member} does not answer: {why_no_answer(error)}") from error
                await asyncio.sleep(_AGAIN_S)

    async def close(self) -> None:
        """End the watches and close the connections; closing again does nothing."""
        self._closed.set()
        await self._members.close()

    async def _in_one_go(self, ranges: Sequence[Json]) -> Json:
        return await self._members.read("/v3/kv/txn", {"success": [{"request_range": each} for each in ranges]})

    async def _next_page(self, prefix: str, last_key: str, revision: int) -> Json:
        """Read on after a key, in the instant of the first page: any member that has come so far can tell."""
        after = base64.b64encode(base64.b64decode(last_key) + b"\0").decode()
        body = {**_under(prefix), "key": after, "limit": PAGE_KEYS, "revision": str(revision), "serializable": True}
        return await self._members.read("/v3/kv/range", body, BULK)

    async def _watch_at(self, member: str, prefix: str, since: int) -> AsyncIterator[Change]:
        """Yield what one member tells, and between, that it is still one of the majority; raises ``FAILURES``."""
        create = {"create_request": {**_under(prefix), "start_revision": str(since + 1), "progress_notify": True}}
        async with self._members.stream(member, "/v3/watch", create) as content:
            news = _Gathered(_messages(content), self._pulses(member, since))
            try:
                async for told in news:
                    change = change_told(told, since)
                    if change is not None:
                        since = change.revision
                        yield change
            finally:
                await news.close()

    async def _pulses(self, member: str, since: int) -> AsyncIterator[Json]:
        """Ask the member, again and again, for what only one of a majority can answer.

        A member that lost the majority goes on holding its watches open, and tells nothing; nor does one that was put
        back to before ``since`` until it has come so far again.
        """
        while not self._closed.is_set():
            await asyncio.sleep(_PULSE_S)
            told = await self._members.ask(member, "/v3/kv/range", ANY_REVISION, timeout_s=_PULSE_ANSWER_S)
            if _revision(told) < since:
                raise made_anew()
            yield {}

    def _refuse_if_closed(self) -> None:
        if self._closed.is_set():
            raise unavailable("the control store is closed")


class _Gathered:
    """What several sources tell, in the order in which they tell it; the first that fails or ends is the end."""

    def __init__(self, *sources: AsyncIterator[Json]) -> None:
        self._told: asyncio.Queue[Json | BaseException] = asyncio.Queue()
        self._tasks = [asyncio.ensure_future(self._listen(source)) for source in sources]

    def __aiter__(self) -> _Gathered:
        return self

    async def __anext__(self) -> Json:
        told = await self._told.get()
        if isinstance(told, BaseException):
            raise told
        return told

    async def close(self) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, source: AsyncIterator[Json]) -> None:
        try:
            async for told in source:
                self._told.put_nowait(told)
            self._told.put_nowait(StopAsyncIteration())
        except Exception as error:
            self._told.put_nowait(error)


async def _messages(content: aiohttp.StreamReader) -> AsyncIterator[Json]:
    """Yield a watch's messages, one a line; raises ``ClientError`` at the end."""
    text = b""
    while True:
        read = await content.readany()
        if not read:
            raise aiohttp.ClientPayloadError("the watch was closed")
        *lines, text = (text + read).split(b"\n")
        for line in lines:
            told = msgspec.json.decode(line)
            if "error" in told:
                raise aiohttp.ClientPayloadError(str(told["error"]))
            yield told["result"]


def change_told(told: Json, since: int) -> Change | None:
    """Read a watch's message; nothing for its first, which says that it watches.

    An empty one is a pulse, or tells (each ten minutes) that there was nothing up to a revision: a watch of keys that
    seldom change can go on from there after older revisions are compacted.
    """
    if told.get("canceled"):
        why = "etcd ended the watch: what it was to tell was compacted; read anew"
        raise retry(COMPACTED, why, retry_after_s=0.0)
    events: list[Json] = told.get("events", [])
    if not events:
        upto = _revision(told) if "header" in told else since
        return None if told.get("created") else Change(revision=max(since, upto), entries=())
    entries = [_entry(event["kv"], deleted=event.get("type") == "DELETE") for event in events]
    last_of_each = {entry.key: entry for entry in entries}
    return Change(
        revision=max(int(event["kv"]["mod_revision"]) for event in events), entries=tuple(last_of_each.values())
    )


def _coded(key: str) -> str:
    return base64.b64encode((NAMESPACE + key).encode()).decode()


def _under(prefix: str) -> Json:
    start = (NAMESPACE + prefix).encode()
    end = bytearray(start)
    end[-1] += 1  # the namespace ends with "/", and UTF-8 has no byte 0xff: there is always a next one
    return {"key": base64.b64encode(start).decode(), "range_end": base64.b64encode(bytes(end)).decode()}


def _entry(found: Json, *, deleted: bool = False) -> Entry:
    key = base64.b64decode(found["key"]).decode().removeprefix(NAMESPACE)
    if deleted:
        return Entry(key=key, value=None, version=ABSENT)
    return Entry(key=key, value=base64.b64decode(found.get("value", "")), version=int(found["mod_revision"]))


def _revision(answer: Json) -> int:
    return int(answer["header"]["revision"])


def _entries(page: Json) -> dict[str, Entry]:
    found = (_entry(each) for each in page.get("kvs", ()))
    return {entry.key: entry for entry in found}
