"""A client that writes on while regions come and go: one key and one deadline a write, again while it is not over."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from intelgraph.demo.stage import Stage

DEADLINE_S = 15.0
_AGAIN_S = 0.05
_AGAIN = frozenset({0, 202, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    """One write: when it was begun and acknowledged (monotonic), and its epoch; not acknowledged in time: no epoch."""

    began_s: float
    ended_s: float
    epoch: int | None
    key: str


@dataclass(kw_only=True)
class SteadyClient:
    """Writes one entity after the other at one door."""

    stage: Stage
    url: str
    tenant: str
    writes: list[Acknowledged] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many writes were not acknowledged within their deadline."""
        return sum(write.epoch is None for write in self.writes)

    @property
    def slowest_s(self) -> float:
        """How long the slowest write took, its retries included."""
        return max((write.ended_s - write.began_s for write in self.writes), default=0.0)

    def first_of_s(self, epoch: int) -> float | None:
        """When the first write of an epoch was acknowledged."""
        return min((write.ended_s for write in self.writes if write.epoch == epoch), default=None)

    @contextlib.asynccontextmanager
    async def at_work(self, http: aiohttp.ClientSession) -> AsyncIterator[None]:
        """Write until the block ends; the last write is waited for."""
        stop = asyncio.Event()
        self.stage.token(self.tenant)
        task = asyncio.create_task(self._write_on(http, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def _write_on(self, http: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            await self.write(http, {"id": f"steady--{number % 50}", "type": "x-demo", "name": f"write {number}"})
            await asyncio.sleep(0.01)

    async def write(self, http: aiohttp.ClientSession, entity: dict[str, str]) -> Acknowledged:
        """Write one entity, patiently."""
        key, began_s, epoch = str(uuid.uuid4()), time.monotonic(), None
        while (left_s := began_s + DEADLINE_S - time.monotonic()) > 0:
            headers = {"Idempotency-Key": key, "IG-Deadline-Ms": str(int(left_s * 1000))}
            status = 0
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                told = await self.stage.send(
                    http,
                    "POST",
                    f"{self.url}/v1/changes",
                    self.tenant,
                    body={"operations": [{"op": "upsert_entity", "entity": entity}]},
                    headers=headers,
                )
                status = told.status
                if status == 200:
                    epoch = int(told.body["bookmark"].split("/")[2])
            if status not in _AGAIN:
                break
            await asyncio.sleep(_AGAIN_S)
        done = Acknowledged(began_s=began_s, ended_s=time.monotonic(), epoch=epoch, key=key)
        self.writes.append(done)
        return done
