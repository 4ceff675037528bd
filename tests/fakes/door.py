"""A door in memory: one region's HTTP answers as docs/log.md has them, without log, epochs or database.

A bearer token is ``TENANT:anything``; the tenant ``nobody`` is unknown. ``trouble`` holds what happens to the next
requests, one each: ``"503"``, ``"drop"`` (the connection breaks before the write), ``"lose"`` (the write happens and
the answer is lost), ``"unknown"`` (the write happens, the standby does not confirm), ``"slow"`` (it happens
``SLOW_S`` later). Several doors may share one ``Store``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

Objects = dict[str, dict[str, Any]]
SLOW_S = 2.0


class Refusal(Exception):
    """Why a request is refused."""

    def __init__(self, status: int, code: str, **facts: object) -> None:
        super().__init__(code)
        self.status, self.code, self.facts = status, code, facts


@dataclass
class Store:
    """What a tenant's regions hold; ``outcomes`` by idempotency key."""

    objects: dict[str, dict[str, Objects]] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], tuple[bytes, dict[str, Any]]] = field(default_factory=dict)
    position: int = 0

    def of(self, tenant: str, kind: str) -> Objects:
        """The tenant's objects of one kind, by id."""
        return self.objects.setdefault(tenant, {"entity": {}, "relationship": {}})[kind]

    def append(self, tenant: str, key: str, body: bytes) -> dict[str, Any]:
        """All of the operations or none; the first outcome again for a key that was there."""
        if (tenant, key) in self.outcomes:
            first_body, outcome = self.outcomes[tenant, key]
            if first_body != body:
                raise Refusal(409, "key_reused")
            return {**outcome, "status": "repeated"}
        operations = msgspec.json.decode(body)["operations"]
        if not 1 <= len(operations) <= 1_000:
            raise Refusal(413, "too_many_operations")
        changed: dict[str, Objects] = {"entity": {}, "relationship": {}}
        for index, operation in enumerate(operations):
            kind = operation["op"].removeprefix("upsert_")
            thing = dict(operation[kind])
            if "if_revision" in operation:
                at = self.of(tenant, kind).get(thing["id"], {"revision": 0})["revision"]
                if operation["if_revision"] != at:
                    raise Refusal(409, "revision_mismatch", index=index, id=thing["id"])
            self._check(tenant, kind, thing, changed, index)
            changed[kind][thing["id"]] = thing
        for kind, objects in changed.items():
            for thing in objects.values():
                before = self.of(tenant, kind).get(thing["id"], {"revision": 0})
                self.of(tenant, kind)[thing["id"]] = {**thing, "revision": before["revision"] + 1}
        self.position += 1
        outcome = {"status": "ok", "bookmark": f"us-east/1/1/{self.position}", "durability": "home", "objects": []}
        self.outcomes[tenant, key] = (body, outcome)
        return outcome

    def _check(self, tenant: str, kind: str, thing: dict[str, Any], changed: dict[str, Objects], index: int) -> None:
        if thing["type"] == "x-forbidden":
            raise Refusal(400, "bad_operation", index=index)
        if thing["type"] == "x-unexplained":
            raise Refusal(400, "bad_request")
        before = self.of(tenant, kind).get(thing["id"])
        if before is not None and before["type"] != thing["type"]:
            raise Refusal(409, "type_changed", index=index, id=thing["id"])
        for end in ("source", "target") if kind == "relationship" else ():
            if thing[end] not in self.of(tenant, "entity") and thing[end] not in changed["entity"]:
                raise Refusal(409, "dangling", index=index, id=thing[end])


class FakeDoor:
    """One region's door. ``allowed`` are the regions of every tenant; ``bodies`` counts the writes that came in."""

    def __init__(self, *, region: str = "us-east", store: Store | None = None, allowed: Sequence[str] = ()) -> None:
        self.region = region
        self.store = store or Store()
        self.allowed = tuple(allowed) or (region,)
        self.trouble: deque[str] = deque()
        self.requests: list[tuple[str, str]] = []
        self.bodies = 0
        self.most_at_once = 0
        self._at_once = 0
        self.url = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[FakeDoor]:
        """Listen on a free port of this machine."""
        application = web.Application(client_max_size=16 * 1024**2)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        self._at_once += request.method == "POST"
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._route(request)
        except Refusal as refusal:
            details = {"code": refusal.code, "reason": f"refused: {refusal.code}", "facts": refusal.facts}
            headers = {"Retry-After": "0"} if refusal.status == 503 else {}
            return self._json(details, status=refusal.status, headers=headers)
        finally:
            self._at_once -= request.method == "POST"

    async def _route(self, request: web.Request) -> web.StreamResponse:
        tenant = request.headers.get("Authorization", "").removeprefix("Bearer ").partition(":")[0]
        if not tenant:
            raise Refusal(401, "no_token")
        if tenant == "nobody":
            raise Refusal(403, "unknown_tenant")
        if self.region not in self.allowed:
            raise Refusal(421, "region_not_allowed", regions=list(self.allowed))
        trouble = self.trouble.popleft() if self.trouble and request.method == "POST" else ""
        if trouble == "slow":
            await asyncio.sleep(SLOW_S)
        if trouble == "503":
            raise Refusal(503, "database_unavailable")
        if trouble == "drop" and request.transport is not None:
            request.transport.abort()
        if request.method == "POST" and request.path == "/v1/changes":
            return await self._write(request, tenant, trouble)
        if request.method == "POST" and request.path == "/graphql":
            return await self._forms(request, tenant)
        return self._read(request, tenant)

    async def _write(self, request: web.Request, tenant: str, trouble: str) -> web.StreamResponse:
        body = await request.read()
        self.bodies += 1
        await asyncio.sleep(0.002)
        outcome = self.store.append(tenant, request.headers["Idempotency-Key"], body)
        if trouble == "lose" and request.transport is not None:
            request.transport.abort()
        if trouble == "unknown":
            return self._json({**outcome, "status": "unknown"}, status=202)
        return self._json(outcome)

    async def _forms(self, request: web.Request, tenant: str) -> web.Response:
        """The importer's one question: objects of one kind by their ids, ``o0``, ``o1``, ..."""
        asked = msgspec.json.decode(await request.read())
        kind = "relationship" if "relationship(" in asked["query"] else "entity"
        names = {"valid_from": "validFrom", "valid_until": "validUntil", "source": "sourceId", "target": "targetId"}
        data = {}
        for name, one in asked["variables"].items():
            thing = self.store.of(tenant, kind).get(one)
            given = thing and {names.get(field, field): value for field, value in thing.items()}
            data[f"o{name.removeprefix('i')}"] = given and {"properties": {}, "sources": [], **given}
        return self._json({"data": data})

    def _read(self, request: web.Request, tenant: str) -> web.StreamResponse:
        head, _, last = request.path.rpartition("/")
        if request.path in ("/v1/entities", "/v1/relationships"):
            kind = "entity" if last == "entities" else "relationship"
            after, limit = request.query.get("after", ""), int(request.query.get("limit", "100"))
            ids = sorted(one for one in self.store.of(tenant, kind) if one > after)[:limit]
            objects = [self.store.of(tenant, kind)[one] for one in ids]
            return self._json({"objects": objects, "next": ids[-1] if len(ids) == limit else None})
        if head == "/v1/entities":
            if last not in self.store.of(tenant, "entity"):
                raise Refusal(404, "not_found")
            return self._json(self.store.of(tenant, "entity")[last])
        if head == "/v1/outcomes":
            if (tenant, last) not in self.store.outcomes:
                return self._json({"outcome": "unknown", "outcomes": []})
            bookmark = self.store.outcomes[tenant, last][1]["bookmark"]
            row = {"bookmark": bookmark, "outcome": "home-only", "class": "accepted"}
            return self._json({"outcome": "home-only", "outcomes": [row]})
        if request.path == "/v1/changes":
            position = int(request.query["after"].rpartition("/")[2])
            later = [{"bookmark": f"us-east/1/1/{n}"} for n in range(position + 1, self.store.position + 1)]
            return self._json({"changes": later[:1], "next": None})
        raise Refusal(404, "no_such_route")

    def _json(self, value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        return web.Response(
            body=msgspec.json.encode(value),
            status=status,
            content_type="application/json",
            headers={"IG-Region": self.region, **(headers or {})},
        )
