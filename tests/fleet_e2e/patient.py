"""Clients that write as well-behaved ones do: a key for each write, one deadline, again while it is not over."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise

import aiohttp

from tests.fleet_e2e.running import RunningFleet
from tests.machine import contention

DEADLINE_S = 15.0
_AGAIN_S = 0.05
_AGAIN = (0, 202, 502, 503, 504)


@dataclass(frozen=True, kw_only=True)
class Write:
    """One write as its client saw it; ``bookmark`` is empty when it was never acknowledged."""

    key: str
    entity: str
    began_s: float
    ended_s: float
    status: int
    bookmark: str
    body: str

    @property
    def took_s(self) -> float:
        return self.ended_s - self.began_s

    @property
    def epoch(self) -> int:
        return int(self.bookmark.split("/")[2])


@dataclass(kw_only=True)
class Patient:
    """Clients of one tenant at one door, and all that they were told."""

    fleet: RunningFleet
    tenant: str
    door: str
    clients: int = 4
    pause_s: float = 0.01
    deadline_s: float = field(default_factory=lambda: DEADLINE_S * contention())
    writes: list[Write] = field(default_factory=list)

    @property
    def failed(self) -> list[Write]:
        return [write for write in self.writes if write.status != 200]

    @property
    def slowest_s(self) -> float:
        return max((write.took_s for write in self.writes), default=0.0)

    def silence_s(self, begin_s: float, end_s: float) -> float:
        """The longest time in which nothing was acknowledged."""
        times = sorted(
            write.ended_s for write in self.writes if write.status == 200 and begin_s < write.ended_s < end_s
        )
        return max(later - earlier for earlier, later in pairwise([begin_s, *times, end_s]))

    def first_of_epoch_s(self, epoch: int) -> float | None:
        """When the first write of an epoch, or of a later one, was acknowledged."""
        return min(
            (write.ended_s for write in self.writes if write.status == 200 and write.epoch >= epoch), default=None
        )

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Write until the block ends; writes that have begun are waited for."""
        stop = asyncio.Event()
        timeout = aiohttp.ClientTimeout(total=self.deadline_s + 1, sock_connect=1.0)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            tasks = [asyncio.create_task(self._client(http, number, stop)) for number in range(self.clients)]
            try:
                yield
            finally:
                stop.set()
                await asyncio.gather(*tasks)

    async def _client(self, http: aiohttp.ClientSession, number: int, stop: asyncio.Event) -> None:
        for turn in itertools.count():
            if stop.is_set():
                return
            await self.write(http, f"x--{number}-{turn % 20}", f"{number}/{turn}")
            await asyncio.sleep(self.pause_s)

    async def write(self, http: aiohttp.ClientSession, entity: str, name: str) -> Write:
        """Write one entity, patiently."""
        key, began_s = str(uuid.uuid4()), time.monotonic()
        operation = {"op": "upsert_entity", "entity": {"id": entity, "type": "malware", "name": name}}
        status, told = 0, "{}"
        while (left_s := began_s + self.deadline_s - time.monotonic()) > 0:
            headers = {
                "authorization": f"Bearer {self.fleet.token(self.tenant)}",
                "idempotency-key": key,
                "ig-deadline-ms": str(int(left_s * 1000)),
            }
            status, told = 0, "{}"
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.post(
                    f"{self.fleet.doors[self.door]}/v1/changes", json={"operations": [operation]}, headers=headers
                ) as answer:
                    status, told = answer.status, await answer.text()
            if status not in _AGAIN:
                break
            await asyncio.sleep(_AGAIN_S)
        bookmark = json.loads(told)["bookmark"] if status == 200 else ""
        write = Write(
            key=key,
            entity=entity,
            began_s=began_s,
            ended_s=time.monotonic(),
            status=status,
            bookmark=bookmark,
            body=told,
        )
        self.writes.append(write)
        return write
