"""``python -m bench.load``: writers in a process of their own. A job comes in as JSON, a sample goes out.

Each of ``writers`` sends its next write as soon as the one before is answered, until the time is over. What the
writers do is a ``Path``: through the door, or through the door's own database code without the door.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import uvloop
from msgspec import Struct

from bench.figures import Sample
from bench.http_wire import fixed_head, open_wire
from bench.workload import Write, write_of
from intelgraph.api.database.database import APPEND, Database
from intelgraph.settings import ApiPolicy
from intelgraph.settings import Database as Login

Send = Callable[[int, Write], Awaitable[str]]


class Door(Struct, frozen=True, kw_only=True, tag="door"):
    """Writes go to an edge over HTTP."""

    port: int
    token: str
    host: str = "127.0.0.1"


class Library(Struct, frozen=True, kw_only=True, tag="library"):
    """Writes go to PostgreSQL through the door's database code."""

    login: Login
    placement: str
    epoch: int
    tenant: str


class Job(Struct, frozen=True, kw_only=True):
    """What one process does."""

    run: str
    path: Door | Library
    writers: int
    seconds: float


async def run_job(job: Job) -> Sample:
    """Write until the time is over, and return what was seen."""
    if isinstance(job.path, Door):
        return await _through_the_door(job, job.path)
    return await _through_the_library(job, job.path)


async def _through_the_door(job: Job, door: Door) -> Sample:
    wires = [await open_wire(door.host, door.port) for _ in range(job.writers)]
    head = fixed_head("/v1/changes", door.token)

    async def send(writer: int, write: Write) -> str:
        status, body = await wires[writer].post(head, write.key, b'{"operations":' + write.operations + b"}")
        return "ok" if status == 200 else f"{status} {body[:200].decode(errors='replace')}"

    try:
        return await _closed_loop(job, send)
    finally:
        for wire in wires:
            wire.close()


async def _through_the_library(job: Job, library: Library) -> Sample:
    database = Database(library.login, ApiPolicy(pool_connections_max=job.writers))
    await database.start()

    async def send(_writer: int, write: Write) -> str:
        request_hash = hashlib.sha256(write.operations).digest()
        answer = await database.call(
            APPEND, library.placement, library.epoch, library.tenant, write.key, request_hash, write.operations
        )
        return "ok" if b'"status": "ok"' in answer else answer[:200].decode(errors="replace")

    try:
        return await _closed_loop(job, send)
    finally:
        await database.stop()


async def _closed_loop(job: Job, send: Send) -> Sample:
    latencies_ms: list[float] = []
    failures: Counter[str] = Counter()
    began = time.perf_counter()
    until = began + job.seconds

    async def write_on(writer: int) -> None:
        chance = random.Random(f"{job.run}-{writer}")
        number = 0
        now = time.perf_counter()
        while now < until:
            number += 1
            outcome = await send(writer, write_of(job.run, writer, number, chance))
            then, now = now, time.perf_counter()
            if outcome == "ok":
                latencies_ms.append(round((now - then) * 1000, 3))
            else:
                failures[outcome] += 1

    await asyncio.gather(*(write_on(writer) for writer in range(job.writers)))
    seconds = time.perf_counter() - began
    return Sample(writes=len(latencies_ms), seconds=seconds, latencies_ms=sorted(latencies_ms), failures=dict(failures))


def main() -> None:
    """Do the job that standard input describes."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run_job(job))))


if __name__ == "__main__":
    main()
