"""A tenant's requests with a marker in every field that a client can fill: good ones, wrong ones and broken ones."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.fleet_e2e.markers import Sheet

_BIG_BYTES = 9 * 1024 * 1024
_JSON = "application/json"
WRITES = ("write entities", "relate", "write once", "write to delete", "delete")
"""What the home takes of a probe."""


@dataclass(kw_only=True)
class Probe:
    """Everything one client can send through one door. ``answers``: the status by what was asked.

    ``stored``: the fields of writes that were taken. A door of several regions may ask another one for each request.
    """

    url: str
    name: str
    token: str
    sheet: Sheet
    stored: set[str] = field(default_factory=set)
    answers: dict[str, int] = field(default_factory=dict)
    in_next_write: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Send it all, one after the other."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
            await self._writes(http)
            await self._wrong_writes(http)
            await self._reads(http)
            await self._strangers(http)
        for number, raw in enumerate(self._broken()):
            _send_raw(self.url, raw)
            self.answers[f"broken {number}"] = 0

    def _mark(self, field: str) -> str:
        return self.sheet.plant(f"{self.name}: {field}")

    def _kept(self, field: str) -> str:
        """A marker that the home must keep if it takes the next write."""
        self.in_next_write.add(f"{self.name}: {field}")
        return self._mark(field)

    async def _ask(
        self,
        http: aiohttp.ClientSession,
        what: str,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> int:
        sent = {
            "Authorization": f"Bearer {self.token}",
            "User-Agent": self._mark(f"{what}: user agent"),
            "X-Request-Id": self._mark(f"{what}: request id"),
            "Cookie": f"session={self._mark(f'{what}: cookie')}",
        }
        if body is not None:
            sent |= {"Content-Type": _JSON, "Idempotency-Key": self._mark(f"{what}: key")}
        status = -1
        with contextlib.suppress(aiohttp.ClientError):
            async with http.request(method, self.url + path, data=body, headers={**sent, **(headers or {})}) as answer:
                await answer.content.readany()
                status = answer.status
        self.answers[what] = status
        return status

    async def _write(
        self,
        http: aiohttp.ClientSession,
        what: str,
        operations: list[dict[str, Any]],
        headers: dict[str, str] | None = None,
    ) -> int:
        body = json.dumps({"operations": operations}).encode()
        status = await self._ask(http, what, "POST", "/v1/changes", body=body, headers=headers)
        if status == 200:
            self.stored |= self.in_next_write
        self.in_next_write.clear()
        return status

    def _entity(self, what: str, kept: bool = True, **more: Any) -> dict[str, Any]:
        mark = self._kept if kept else self._mark
        return {
            "id": mark(f"{what}: id"),
            "type": mark(f"{what}: type"),
            "name": mark(f"{what}: name"),
            "properties": {mark(f"{what}: property"): {"deep": [mark(f"{what}: deep value")]}},
            "sources": [mark(f"{what}: source")],
            **more,
        }

    async def _writes(self, http: aiohttp.ClientSession) -> None:
        """Writes that the home takes."""
        one, other = self._entity("one"), self._entity("other")
        upserts = [{"op": "upsert_entity", "entity": each} for each in (one, other)]
        await self._write(http, "write entities", upserts)
        relationship = {
            "id": self._kept("relationship: id"),
            "type": self._kept("relationship: type"),
            "source": one["id"],
            "target": other["id"],
            "properties": {"note": self._kept("relationship: property")},
            "sources": [self._kept("relationship: source")],
        }
        await self._write(http, "relate", [{"op": "upsert_relationship", "relationship": relationship}])
        again = {"Idempotency-Key": self._mark("the key of two requests")}
        await self._write(http, "write once", [{"op": "upsert_entity", "entity": self._entity("again")}], again)
        await self._write(
            http, "reuse the key", [{"op": "upsert_entity", "entity": self._entity("reused", False)}], again
        )
        gone = self._entity("deleted")
        await self._write(http, "write to delete", [{"op": "upsert_entity", "entity": gone}])
        await self._write(http, "delete", [{"op": "delete_entity", "id": gone["id"]}])

    async def _wrong_writes(self, http: aiohttp.ClientSession) -> None:
        """Writes that are refused, for each reason a value can give."""
        bad_values: dict[str, Any] = {
            "valid_from": self._mark("bad timestamp"),
            "confidence": self._mark("bad confidence"),
            "sources": self._mark("sources that are no list"),
            "properties": self._mark("properties that are no object"),
            "revision_of": self._mark("unknown field"),
            "id": self._mark("too long id") * 8,
            "name": self._mark("a name with NUL") + "\u0000",
            "created": "0001-01-01T00:00:00Z" + self._mark("bad created"),
        }
        for name, value in bad_values.items():
            entity = {**self._entity(f"bad {name}", False), name: value}
            await self._write(http, f"write a bad {name}", [{"op": "upsert_entity", "entity": entity}])
        relationship = {
            "id": self._mark("dangling: id"),
            "type": "uses",
            "source": self._mark("dangling: source"),
            "target": self._mark("dangling: target"),
        }
        await self._write(http, "dangle", [{"op": "upsert_relationship", "relationship": relationship}])
        await self._write(http, "an unknown operation", [{"op": self._mark("unknown operation"), "id": "a"}])
        await self._write(http, "delete nothing", [{"op": "delete_entity", "id": self._mark("deleted nothing")}])
        await self._write(http, "erase nothing", [{"op": "erase", "ids": self._mark("erased no list")}])
        entity = self._entity("at a revision", False)
        await self._write(http, "a revision that is not", [{"op": "upsert_entity", "entity": entity, "if_revision": 7}])
        marked = json.dumps({"operations": [{"op": "upsert_entity", "entity": self._entity("typed", False)}]}).encode()
        bodies: dict[str, tuple[bytes, dict[str, str]]] = {
            "not JSON": (b'{"operations": [' + self._mark("not JSON").encode(), {}),
            "not UTF-8": (b'{"x": "\xff' + self._mark("not UTF-8").encode() + b'"}', {}),
            "another type": (self._mark("another type").encode(), {"Content-Type": "text/" + self._mark("type")}),
            "compressed": (gzip.compress(self._mark("compressed").encode(), 0), {"Content-Encoding": "gzip"}),
            "a bad key": (marked, {"Idempotency-Key": "a b" + self._mark("bad key")}),
            "a hop": (marked, {"IG-Forwarded": self._mark("hop")}),
            "too big": (self._mark("too big").encode() + b" " * _BIG_BYTES, {}),
            "an expectation": (marked, {"Expect": "100-continue"}),
        }
        for what, (body, headers) in bodies.items():
            await self._ask(http, f"write {what}", "POST", "/v1/changes", body=body, headers=headers)

    async def _reads(self, http: aiohttp.ClientSession) -> None:
        """Reads, with a marker wherever a path, a query or a header takes one."""
        paths = {
            "entity": f"/v1/entities/{self._mark('read: id')}",
            "sub-path": f"/v1/entities/a/{self._mark('read: sub-path')}",
            "entities": f"/v1/entities?after={self._mark('read: after')}&limit=3",
            "relationships": f"/v1/relationships?after={self._mark('read: after relationship')}",
            "limit": f"/v1/entities?limit={self._mark('read: limit')}",
            "parameter": f"/v1/entities?{self._mark('read: parameter')}=1",
            "changes": f"/v1/changes?after={self._mark('read: after change')}",
            "outcome": f"/v1/outcomes/{self._mark('read: outcome')}",
            "nowhere": f"/{self._mark('read: nowhere')}",
            "probes": f"/readyz?{self._mark('read: readyz')}",
        }
        for what, path in paths.items():
            await self._ask(http, f"read {what}", "GET", path)
        await self._ask(http, "list", "GET", "/v1/entities?limit=1000")
        headers = {"IG-Bookmark": self._mark("read: bookmark")}
        await self._ask(http, "read at a bookmark", "GET", "/v1/entities/a", headers=headers)
        stream = {"Accept": "text/event-stream", "Last-Event-ID": self._mark("read: last event")}
        await self._ask(http, "stream", "GET", "/v1/changes", headers=stream)
        await self._ask(http, "another method", self._mark("method").upper(), "/v1/entities")
        await self._ask(http, "another host", "GET", "/v1/entities", headers={"Host": self._mark("host")})

    async def _strangers(self, http: aiohttp.ClientSession) -> None:
        """Requests without a good token."""
        header, _, rest = self.token.partition(".")
        for what, value in {
            "no token": self._mark("no token"),
            "a bad token": "Bearer " + self._mark("bad token"),
            "a forged token": f"Bearer {header}.{self._mark('forged claims')}.{rest.rpartition('.')[2]}",
            "a basic password": "Basic " + self._mark("password"),
        }.items():
            await self._ask(http, what, "GET", f"/v1/entities/{self._mark(what)}", headers={"Authorization": value})
            body = json.dumps({"operations": [{"op": "upsert_entity", "entity": self._entity(what, False)}]}).encode()
            await self._ask(
                http, f"write with {what}", "POST", "/v1/changes", body=body, headers={"Authorization": value}
            )

    def _broken(self) -> Iterator[bytes]:
        """Bytes that are not quite HTTP, and requests that end half-way."""
        mark = self._mark
        head = (
            f"POST /v1/changes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\nContent-Type: {_JSON}\r\n"
        )
        yield f"{mark('not HTTP')}\r\n\r\n".encode()
        yield f"GET /{mark('bad version')} HTTP/9.9\r\n\r\n".encode()
        yield f"GET / HTTP/1.1\r\nHost: x\r\n{mark('bad header')}\r\n\r\n".encode()
        yield f"GET / HTTP/1.1\r\nHost: x\r\nwith_underscore: {mark('underscore')}\r\n\r\n".encode()
        yield f"{head}Content-Length: 5000\r\n\r\n{mark('half a body')}".encode()
        yield f"{head}Transfer-Encoding: chunked\r\n\r\nzz{mark('bad chunk')}\r\n".encode()
        yield f"{head}Content-Length: 3\r\nContent-Length: 9\r\n\r\n{mark('two lengths')}".encode()
        yield f"{head}X-Long: {mark('long header') * 2_000}\r\n\r\n".encode()


def _send_raw(url: str, raw: bytes) -> None:
    parts = urlsplit(url)
    with contextlib.suppress(OSError), socket.create_connection((parts.hostname, parts.port), timeout=1.0) as channel:
        channel.sendall(raw)
        channel.shutdown(socket.SHUT_WR)
        while channel.recv(65_536):
            pass
