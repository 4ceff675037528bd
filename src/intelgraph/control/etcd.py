"""The control store of several regions: etcd, spoken to by its JSON gateway (etcd 3.4 and later).

The members are asked in the order given, nearest first; a member that does not answer in ``ASK_TIMEOUT_S`` is passed
over until the others fail too. Every read is linearizable: a member that is cut off from the majority answers nothing,
rather than what it remembers. A compare-and-set that was sent is never sent again, for it may have happened: the
error says so, and the caller reads before it tries again.

Sources: etcd's API reference (etcd.io/docs/v3.4/dev-guide/api_reference_v3) and its gateway
(etcd.io/docs/v3.4/dev-guide/api_grpc_gateway).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp

from intelgraph.control.store import ABSENT, COMPACTED, WATCH_HEARTBEAT_S, Change, Entry, Snapshot
from intelgraph.model.errors import TransientError, retry

ASK_TIMEOUT_S = 1.0
CONNECT_TIMEOUT_S = 0.5
NAMESPACE = "intelgraph/"

Json = dict[str, Any]
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)


class EtcdControlStore:
    """A ``ControlStore`` in an etcd cluster; ``members`` are the base URLs of its clients' ports."""

    def __init__(self, members: Sequence[str]) -> None:
        if not members:
            raise ValueError("an etcd cluster has at least one member")
        self._members = list(members)
        self._http: aiohttp.ClientSession | None = None
        self._closed = asyncio.Event()

    async def read(self, keys: Sequence[str] = (), *, prefix: str | None = None) -> Snapshot:
        """Read keys and a prefix from one instant; see ``ControlStore.read``."""
        asked: list[Json] = [{"key": _coded(key)} for key in keys]
        if prefix is not None:
            asked.append(_under(prefix))
        # Without anything to read there is still a revision to tell.
        operations = [{"request_range": each} for each in asked or [{"key": _coded(""), "count_only": True}]]
        answer = await self._ask("/v3/kv/txn", {"success": operations}, repeat=True)
        entries = {key: Entry(key=key, value=None, version=ABSENT) for key in keys}
        for response in answer.get("responses", ()):
            for found in response.get("response_range", {}).get("kvs", ()):
                entry = _entry(found)
                entries[entry.key] = entry
        return Snapshot(revision=_revision(answer), entries=entries)

    async def compare_and_set(self, *, expected: Mapping[str, int], writes: Mapping[str, bytes | None]) -> bool:
        """Write several keys if all have the expected versions; see ``ControlStore.compare_and_set``."""
        unread = writes.keys() - expected.keys()
        if unread:
            raise ValueError(f"keys are written without an expected version: {sorted(unread)}")
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
        answer = await self._ask("/v3/kv/txn", {"compare": compare, "success": success}, repeat=False)
        return bool(answer.get("succeeded", False))

    async def watch(self, prefix: str, *, since: int) -> AsyncIterator[Change]:
        """Yield later writes under ``prefix``; see ``ControlStore.watch``."""
        create = {"create_request": {**_under(prefix), "start_revision": str(since + 1)}}
        member = self._members[0]
        try:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
            async with self._session().post(f"{member}/v3/watch", json=create, timeout=timeout) as answer:
                async for change in self._follow(member, answer, since):
                    yield change
        except _FAILURES as error:
            self._pass_over(member)
            raise unavailable(f"etcd at {member} does not answer: {type(error).__name__}") from error

    async def close(self) -> None:
        """End the watches and close the connections; closing again does nothing."""
        self._closed.set()
        if self._http is not None:
            await self._http.close()

    async def _follow(self, member: str, answer: aiohttp.ClientResponse, since: int) -> AsyncIterator[Change]:
        """Yield what a watch tells; between, ask whether its member is still one of the majority."""
        lines = _Lines(answer)
        try:
            while not self._closed.is_set():
                told = await lines.next(WATCH_HEARTBEAT_S / 2)
                if told is None:
                    # A member that lost the majority goes on holding its watches open, and tells nothing.
                    await self._post(member, "/v3/kv/range", {"key": _coded(""), "count_only": True})
                    yield Change(revision=since, entries=())
                    continue
                if told.get("canceled"):
                    why = "etcd ended the watch: what it was to tell was compacted; read anew"
                    raise retry(COMPACTED, why, retry_after_s=0.0)
                entries = tuple(_entry(event["kv"], deleted=event.get("type") == "DELETE") for event in _events(told))
                if entries:
                    since = max(int(event["kv"]["mod_revision"]) for event in _events(told))
                    yield Change(revision=since, entries=_last_of_each(entries))
        finally:
            await lines.close()

    async def _ask(self, path: str, body: Json, *, repeat: bool) -> Json:
        """Ask one member after another, as long as nothing can have happened or repeating does no harm."""
        if self._closed.is_set():
            raise unavailable("the control store is closed")
        failures = []
        for member in list(self._members):
            try:
                return await self._post(member, path, body)
            except _FAILURES as error:
                failures.append(f"{member}: {type(error).__name__}")
                self._pass_over(member)
                if not repeat and not isinstance(error, aiohttp.ClientConnectorError):
                    raise unavailable(
                        f"whether etcd wrote it is not known ({failures[-1]}); read before trying again"
                    ) from error
        raise unavailable(f"etcd does not answer ({'; '.join(failures)})")

    async def _post(self, member: str, path: str, body: Json) -> Json:
        timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        async with self._session().post(member + path, json=body, timeout=timeout) as answer:
            told: Json = await answer.json(content_type=None)
            if answer.status != 200:
                # Leader lost, overloaded, timed out: nothing that another try could not mend.
                raise aiohttp.ClientPayloadError(str(told.get("error", answer.status)))
            return told

    def _pass_over(self, member: str) -> None:
        if len(self._members) > 1 and self._members[0] == member:
            self._members.append(self._members.pop(0))

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        return self._http


class _Lines:
    """The messages of a watch, one a line, each waited for with a limit that loses nothing."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self._text = b""
        self._reading: asyncio.Task[bytes] | None = None

    async def next(self, timeout_s: float) -> Json | None:
        """Return the next message, or nothing if none came in time; raises ``ClientError`` at the end."""
        while b"\n" not in self._text:
            if self._reading is None:
                self._reading = asyncio.create_task(self._answer.content.readany())
            done, _ = await asyncio.wait({self._reading}, timeout=timeout_s)
            if not done:
                return None
            read, self._reading = self._reading.result(), None
            if not read:
                raise aiohttp.ClientPayloadError("the watch was closed")
            self._text += read
        line, _, self._text = self._text.partition(b"\n")
        told: Json = json.loads(line)
        if "error" in told:
            raise aiohttp.ClientPayloadError(str(told["error"]))
        result: Json = told["result"]
        return result

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, *_FAILURES):
                await self._reading


def unavailable(reason: str) -> TransientError:
    """Build the error of a store that cannot be reached."""
    return retry("control_store_unavailable", reason, retry_after_s=1.0)


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


def _events(told: Json) -> list[Json]:
    events: list[Json] = told.get("events", [])
    return events


def _last_of_each(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    return tuple({entry.key: entry for entry in entries}.values())
