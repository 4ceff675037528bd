"""``python -m bench.read_load``: those who ask, in a process of their own. A job comes in as JSON, a sample goes out.

Each connection sends its next request as soon as the one before is answered, until the time is over. A read asks for
an object drawn by chance out of ``_DRAWN`` requests that were drawn and written out before the clock starts, so that
the generator's own work is small; the share of its CPU that it used is told with the sample.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import uvloop
from msgspec import Struct

from bench.figures import Sample
from bench.http_wire import Wire, open_wire
from bench.read_queries import BY_NAME, Dialect, Written, read_body, write_body, written_id

_DRAWN = 5_000


class ReadJob(Struct, frozen=True, kw_only=True):
    """What one process does: the query named ``query`` (or a write of that name), over so many connections."""

    run: str
    port: int
    head: bytes
    dialect: Dialect
    query: str
    connections: int
    seconds: float
    cpu: int | None


class ReadSample(Sample, frozen=True, kw_only=True):
    """A sample, and how busy the generator was: its CPU time over the time."""

    generator_busy: float


Send = Callable[[Wire, int, int, random.Random], Awaitable[tuple[int, bytes]]]


async def run_job(job: ReadJob) -> ReadSample:
    """Send until the time is over, and return what was seen."""
    wires = [await open_wire("127.0.0.1", job.port) for _ in range(job.connections)]
    try:
        return await _closed_loop(job, wires, _reads(job) if job.query in BY_NAME else _writes(job))
    finally:
        for wire in wires:
            wire.close()


def _reads(job: ReadJob) -> Send:
    query, chance = BY_NAME[job.query], random.Random(job.run)
    bodies = [read_body(query, job.dialect, query.choose(chance)) for _ in range(_DRAWN)]

    async def send(wire: Wire, _connection: int, _number: int, chance: random.Random) -> tuple[int, bytes]:
        return await wire.send(job.head, bodies[int(chance.random() * _DRAWN)])

    return send


def _writes(job: ReadJob) -> Send:
    async def send(wire: Wire, connection: int, number: int, chance: random.Random) -> tuple[int, bytes]:
        written = Written(key=f"{job.run}-{connection}-{number}", id=written_id(job.run, connection, number, chance))
        return await wire.post(job.head, written.key, write_body(job.query, job.dialect, written, chance))

    return send


async def _closed_loop(job: ReadJob, wires: list[Wire], send: Send) -> ReadSample:
    latencies_ms: list[float] = []
    failures: Counter[str] = Counter()
    began, cpu_began = time.perf_counter(), time.process_time()
    until = began + job.seconds

    async def go_on(connection: int, wire: Wire) -> None:
        chance = random.Random(f"{job.run}-{connection}")
        number = 0
        now = time.perf_counter()
        while now < until:
            number += 1
            status, body = await send(wire, connection, number, chance)
            then, now = now, time.perf_counter()
            if status == 200 and b'"errors"' not in body:
                latencies_ms.append(round((now - then) * 1000, 3))
            else:
                failures[f"{status} {body[:200].decode(errors='replace')}"] += 1

    await asyncio.gather(*(go_on(*each) for each in enumerate(wires)))
    seconds = time.perf_counter() - began
    return ReadSample(
        writes=len(latencies_ms),
        seconds=seconds,
        latencies_ms=sorted(latencies_ms),
        failures=dict(failures),
        generator_busy=(time.process_time() - cpu_began) / seconds,
    )


def main() -> None:
    """Do the job that standard input describes."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=ReadJob)
    if job.cpu is not None:
        os.sched_setaffinity(0, {job.cpu})
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run_job(job))))


if __name__ == "__main__":
    main()
