"""The ways a write can go, each run for some seconds: pgbench, the library, the door."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.figures import Sample
from bench.load import Door, Job, Library
from bench.place import EPOCH, FAST, Place
from bench.workload import pgbench_script
from intelgraph.fleet.layout.binaries import postgres_programs

_GRACE_S = 60.0


class Effort(Struct, frozen=True, kw_only=True):
    """How much load. No two efforts of one benchmark share their ``run``: keys and new entities are named by it."""

    run: int
    writers: int
    seconds: float


WritePath = Callable[[Place, Effort], Awaitable[Sample]]


class PathFailed(Exception):
    """A load process failed, or some of its writes were refused."""


async def pgbench(place: Place, effort: Effort) -> Sample:
    """``pgbench -M prepared`` calling ``ig.append`` as the door's role; one thread."""
    login = place.login
    with tempfile.TemporaryDirectory(prefix="ig-pgbench-") as directory:
        script = Path(directory) / "append.sql"
        script.write_text(pgbench_script(placement=FAST, epoch=EPOCH, tenant=FAST), encoding="utf-8")
        said = await run_program(
            [
                *(str(postgres_programs() / "pgbench"), "--no-vacuum", "-M", "prepared", "-f", str(script)),
                *("-c", str(effort.writers), "-j", "1", "-T", str(max(1, round(effort.seconds)))),
                *("-D", "n=0", "-D", f"run={effort.run}"),
                *("-h", login.host, "-p", str(login.port), "-U", login.user, login.database),
            ],
            wait_s=effort.seconds + _GRACE_S,
            environment={"PGPASSWORD": login.password},
        )
    return pgbench_sample(said)


def pgbench_sample(said: bytes) -> Sample:
    """Read the totals that pgbench prints."""
    text = said.decode()
    writes = re.search(r"transactions actually processed: (\d+)", text)
    rate = re.search(r"^tps = ([0-9.]+)", text, re.MULTILINE)
    if writes is None or rate is None:
        raise PathFailed(f"pgbench said something unexpected: {text[-500:]}")
    return Sample(writes=int(writes[1]), seconds=int(writes[1]) / float(rate[1]))


async def library(place: Place, effort: Effort) -> Sample:
    """The door's database code (asyncpg) without the door."""
    return await _load(Library(login=place.login, placement=FAST, epoch=EPOCH, tenant=FAST), effort)


def door(tenant: str) -> WritePath:
    """``POST /v1/changes`` through the home region's edge, one worker, as a tenant."""

    async def run_door(place: Place, effort: Effort) -> Sample:
        return await _load(Door(port=place.edge_port, token=place.tokens[tenant]), effort)

    return run_door


async def measure(place: Place, path: WritePath, effort: Effort) -> Sample:
    """Run a path, and hold it to its word: every write it counts has drawn a position."""
    before = (await place.position()).written
    sample = await path(place, effort)
    drawn = (await place.position()).written - before
    if not sample.writes or drawn < sample.writes:
        raise PathFailed(f"a path counts {sample.writes} writes, but the log has {drawn} new positions")
    return sample


async def _load(path: Door | Library, effort: Effort) -> Sample:
    job = Job(run=str(effort.run), path=path, writers=effort.writers, seconds=effort.seconds)
    said = await run_program(
        [sys.executable, "-m", "bench.load"], wait_s=job.seconds + _GRACE_S, given=msgspec.json.encode(job)
    )
    sample = msgspec.json.decode(said, type=Sample)
    if sample.failures:
        raise PathFailed(f"writes were refused: {sample.failures}")
    return sample


async def run_program(
    command: list[str], *, wait_s: float, given: bytes = b"", environment: dict[str, str] | None = None
) -> bytes:
    """Run a program to its end; returns what it said, or raises ``PathFailed`` with what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(wait_s):
            said, complained = await process.communicate(given)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0 or b"ERROR" in complained:
        raise PathFailed(f"{command[0]} failed: {complained.decode(errors='replace')[-800:]}")
    return said
