"""A fleet for the length of a benchmark: the real one, on free ports, in a temporary directory that is removed.

Placements ``fast`` (durability home) and ``sure`` (durability remote) live in both regions with their home in
``HOME``; each has one tenant of the same name. However the benchmark ends, the fleet is stopped and its data deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.workload import pool_batches
from intelgraph.api.database.database import APPEND, Database
from intelgraph.connection import connect
from intelgraph.fleet.layout.places import Fleet, locate
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.fleet.postgres import server as postgres
from intelgraph.fleet.postgres.server import server_of
from intelgraph.fleet.wan import asking as wan
from intelgraph.fleet.wan.settings import Ask
from intelgraph.settings import ApiPolicy, load_region_config
from intelgraph.settings import Database as Login

HOME, OTHER = "us-east", "eu-west"
FAST, SURE = "fast", "sure"
EPOCH = 1
_TOPOLOGY = """\
state = "state"
ports = "free"
zones = ["us", "eu"]
[[region]]
name = "us-east"
zone = "us"
[[region]]
name = "eu-west"
zone = "eu"
"""
_DRAIN_S_MAX = 120.0
_POOL_BATCH = 250


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far the log of ``HOME`` is, and how much of it ``OTHER`` holds."""

    written: int
    arrived: int


@dataclass(kw_only=True)
class Place:
    """The running fleet, and the two connections that look at it."""

    topology: Path
    fleet: Fleet
    tokens: dict[str, str]
    home: asyncpg.Connection
    other: asyncpg.Connection

    @property
    def edge_port(self) -> int:
        """The port of the home region's edge."""
        return self.fleet.ports[f"{HOME}/edge"]

    @property
    def login(self) -> Login:
        """How the door logs in at home."""
        return load_region_config(self.fleet.region_config(HOME)).database

    def set_round_trip_ms(self, round_trip_ms: float) -> None:
        """Delay both directions of the link by half of it."""
        link = self.fleet.topology.link(HOME, OTHER)
        wan.ask(self.fleet, link, Ask(a_to_b_delay_ms=round_trip_ms / 2, b_to_a_delay_ms=round_trip_ms / 2))

    async def position(self) -> Position:
        """Look at both regions, the other one first so that nothing arrives that was not written."""
        life = await self.home.fetchval("select life from ig.region")
        arrived = await self.other.fetchval(
            "select coalesce(max(position), 0) from ig.change where origin = $1 and life = $2", HOME, life
        )
        written = await self.home.fetchval("select last_value from ig.position")
        return Position(written=written, arrived=arrived)

    async def echo_lag_ms(self) -> float | None:
        """The age of the newest token of ``OTHER`` that came back through the log of ``HOME``."""
        token_ns = await self.other.fetchval("select token_ns from ig.peer where name = $1", HOME)
        return None if token_ns is None else (time.monotonic_ns() - token_ns) / 1e6

    async def drain(self) -> float:
        """Wait until ``OTHER`` holds everything that was written so far; returns the seconds it took."""
        began = time.monotonic()
        wanted = (await self.position()).written
        while (await self.position()).arrived < wanted:
            if time.monotonic() > began + _DRAIN_S_MAX:
                raise TimeoutError(f"{OTHER} has not received position {wanted} within {_DRAIN_S_MAX:.0f} s")
            await asyncio.sleep(0.02)
        return time.monotonic() - began


@contextlib.asynccontextmanager
async def throwaway_fleet(say: Callable[[str], None]) -> AsyncIterator[Place]:
    """Bring the fleet up, fill the pool of each tenant, and take everything away at the end."""
    directory = make_directory()
    topology = directory / "intelgraph.toml"
    try:
        say("bringing a fleet up")
        await intelgraph(topology, "up", "--json")
        for placement, durability in ((FAST, "home"), (SURE, "remote")):
            regions = ("--regions", f"{HOME},{OTHER}", "--home", HOME, "--standby", OTHER)
            await intelgraph(topology, "placement", "create", placement, *regions, "--durability", durability)
            await intelgraph(topology, "tenant", "create", placement, "--placement", placement)
        tokens = {
            tenant: json.loads(
                await intelgraph(topology, "token", "--tenant", tenant, "--role", "admin", "--ttl", "4h", "--json")
            )["token"]
            for tenant in (FAST, SURE)
        }
        fleet = locate(load_topology(topology), start=directory)
        home, other = [await connect(server_of(fleet, name).login(postgres.ADMIN)) for name in (HOME, OTHER)]
        place = Place(topology=topology, fleet=fleet, tokens=tokens, home=home, other=other)
        say("writing the entities that will be updated")
        await _fill(place)
        yield place
    finally:
        say("stopping the fleet and deleting its data")
        await asyncio.shield(take_away(topology, directory))


def make_directory() -> Path:
    """Make a directory for a fleet, with a topology of two regions."""
    directory = Path(tempfile.mkdtemp(prefix="ig-bench-"))
    directory.chmod(0o711)  # PostgreSQL's own account passes through when we are root
    (directory / "intelgraph.toml").write_text(_TOPOLOGY, encoding="utf-8")
    return directory


async def _fill(place: Place) -> None:
    database = Database(place.login, ApiPolicy(pool_connections_max=1))
    await database.start()
    try:
        for tenant in (FAST, SURE):
            for write in pool_batches(_POOL_BATCH):
                answer = json.loads(
                    await database.call(APPEND, tenant, EPOCH, tenant, write.key, b"pool", write.operations)
                )
                if answer["status"] not in ("ok", "repeated"):
                    raise RuntimeError(f"the pool could not be written: {answer}")
    finally:
        await database.stop()
    await place.drain()
    for connection in (place.home, place.other):
        await connection.execute("analyze")


async def intelgraph(topology: Path, *arguments: str, python: Path = Path(sys.executable)) -> str:
    """Type a command; what it said. ``python``: of the tree whose command it is."""
    # A session of its own: Ctrl-C on the terminal is for the benchmark, which then stops the fleet in order.
    process = await asyncio.create_subprocess_exec(
        str(python), "-m", "intelgraph.cli.main", *arguments, "--topology", str(topology),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
        start_new_session=True,
    )  # fmt: skip
    try:
        said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode != 0:
        words = complained.decode(errors="replace").strip()
        raise RuntimeError(f"`intelgraph {arguments[0]}` ended with {process.returncode}: {words}")
    return said.decode()


async def take_away(topology: Path, directory: Path, *, python: Path = Path(sys.executable)) -> None:
    """Stop the fleet and delete everything of it."""
    try:
        await intelgraph(topology, "down", "--wipe", "--yes", python=python)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
