"""A steady load as real clients make it: keyed writes and bookmarked reads on every door, in a thread of its own.

A writer repeats a write under the same ``Idempotency-Key`` until it has a certain answer; a reader asks for what its
door's writers were told last. Everything that was said is kept for ``history.faults``; when each door last worked is
kept for ``history.longest_gap_s``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from tests.fleet_e2e.history import Read, Region, Row, Write
from tests.fleet_e2e.running import RunningFleet
from tests.machine import WAIT_S, is_over

_PAUSE_S = 0.03
_RETRY_S = 0.05
_ANSWER_TIMEOUT_S = 10.0
_ENTITIES_PER_TENANT = 12


@dataclass(kw_only=True)
class Load:
    """Writers for each (door, tenant) and a reader for each door. ``problems`` are answers that should never come."""

    fleet: RunningFleet
    tenants: Sequence[str]
    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    worked: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[tuple[str, str], list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    _told: dict[tuple[str, str], tuple[str, str, int]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Keep the load up for the length of the block; every write under way then gets its answer."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self._thread.start()
        try:
            self.wait_for_success(time.monotonic())
            yield
        finally:
            self.finish()

    def finish(self) -> None:
        """End the load; every write under way gets its answer first."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(WAIT_S)
            assert not self._thread.is_alive(), "the load does not end"

    def wait_for_success(self, since_s: float) -> None:
        """Wait until every door has worked, in each way, after ``since_s``."""
        began_s = time.monotonic()
        while True:
            late = [lane for lane in self.lanes() if not any(at > since_s for at in reversed(self.worked[lane]))]
            if not late:
                return
            assert not is_over(WAIT_S, began_s), f"{late} do not work: {self.last_failures(late)}"
            time.sleep(0.02)

    def lanes(self) -> list[tuple[str, str]]:
        """Every (door, way of using it)."""
        return [(door, way) for door in self.fleet.doors for way in (*self.tenants, "read")]

    def last_failures(self, lanes: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
        """What the last attempts of some lanes said."""
        return {lane: [why for _, why in self.failed[lane][-3:]] for lane in lanes}

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S)
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            for door, url in self.fleet.doors.items():
                session = await stack.enter_async_context(aiohttp.ClientSession(url, timeout=timeout))
                for tenant in self.tenants:
                    group.create_task(self._write_on(session, door, tenant))
                group.create_task(self._read_on(session, door))

    async def _write_on(self, session: aiohttp.ClientSession, door: str, tenant: str) -> None:
        while not self._stop.is_set():
            key = str(uuid.uuid4())
            entity = f"e-{random.randrange(_ENTITIES_PER_TENANT)}"
            write = Write(tenant=tenant, key=key, entity=entity, stamp=f"s-{key}", sent_at_s=time.monotonic())
            self.writes.append(await self._settle(session, door, write))
            await asyncio.sleep(_PAUSE_S)

    async def _settle(self, session: aiohttp.ClientSession, door: str, write: Write) -> Write:
        """Repeat one write until it is acknowledged, or until half a minute after the load has ended."""
        entity = {"id": write.entity, "type": "malware", "name": write.stamp}
        body = json.dumps({"operations": [{"op": "upsert_entity", "entity": entity}]}).encode()
        headers = self._authorised(write.tenant)
        headers |= {"Idempotency-Key": write.key, "Content-Type": "application/json"}
        given_up_at: float | None = None
        while given_up_at is None or time.monotonic() < given_up_at:
            status, answer = await self._ask(session, door, write.tenant, "POST", "/v1/changes", headers, body)
            if status == 200:
                revision = answer["objects"][0]["revision"]
                self._told[door, write.tenant] = (write.entity, answer["bookmark"], revision)
                return replace(write, acked_at_s=time.monotonic(), bookmark=answer["bookmark"], revision=revision)
            if status is not None and 400 <= status < 500 and status not in (408, 429):
                self.problems.append(f"a write through {door} was answered {status}: {answer}")
                return write
            if self._stop.is_set() and given_up_at is None:
                given_up_at = time.monotonic() + WAIT_S / 2
            await asyncio.sleep(_RETRY_S)
        return write

    async def _read_on(self, session: aiohttp.ClientSession, door: str) -> None:
        while not self._stop.is_set():
            tenant = random.choice(list(self.tenants))
            told = self._told.get((door, tenant))
            if told is not None:
                entity, bookmark, revision = told
                headers = {**self._authorised(tenant), "IG-Bookmark": bookmark}
                status, answer = await self._ask(session, door, "read", "GET", f"/v1/entities/{entity}", headers, None)
                if status == 200:
                    self.reads.append(
                        Read(tenant=tenant, entity=entity, region=door, least=revision, seen=answer["revision"])
                    )
                elif status is not None and 400 <= status < 500 and status != 429:
                    self.problems.append(f"a read through {door} was answered {status}: {answer}")
            await asyncio.sleep(_PAUSE_S)

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        door: str,
        way: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None,
    ) -> tuple[int | None, Any]:
        """One attempt; ``None`` for a status that never came."""
        lane = (door, way)
        try:
            async with session.request(method, path, headers=headers, data=body) as reply:
                answer = json.loads(await reply.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self.failed[lane].append((time.monotonic(), f"{type(error).__name__}: {error}"))
            return None, None
        if reply.status == 200:
            self.worked[lane].append(time.monotonic())
        else:
            self.failed[lane].append((time.monotonic(), f"{reply.status} {answer}"))
        return reply.status, answer

    def _authorised(self, tenant: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.fleet.token(tenant)}"}

    async def held(self) -> dict[str, Region]:
        """What each region holds of the load's tenants, read from its tables."""
        keys = {hashlib.sha256(write.key.encode()).digest(): write.key for write in self.writes}
        found = {}
        for region in self.fleet.site.regions:
            async with self.fleet.owner(region) as database:
                rows = await database.fetch(
                    "select concat_ws('/', c.origin, c.life, c.epoch, c.position) as bookmark, c.tenant, c.key_hash, "
                    "o ->> 'id' as id, o ->> 'name' as name, (o ->> 'revision')::bigint as revision "
                    "from ig.change c, jsonb_array_elements(c.body -> 'objects') o "
                    "where c.tenant = any ($1) and c.kind = 'write' and c.status = 'applied'",
                    list(self.tenants),
                )
                entities = await database.fetch(
                    "select tenant, id, revision, name from ig.entity where tenant = any ($1) and not deleted",
                    list(self.tenants),
                )
            found[region] = Region(
                rows=[
                    Row(
                        bookmark=row["bookmark"],
                        tenant=row["tenant"],
                        key=keys.get(row["key_hash"]),
                        entity=row["id"],
                        stamp=row["name"],
                        revision=row["revision"],
                    )
                    for row in rows
                ],
                entities={(row["tenant"], row["id"]): (row["revision"], row["name"]) for row in entities},
            )
        return found
