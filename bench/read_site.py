"""Where reads are measured: one region with its PostgreSQL, feed and control store, the graph in it, and free CPUs.

The server flushes to disk as in production, because one of the contests writes. ``plan_cache_mode`` is the server's,
so it is the same for every contestant, and the one that IntelGraph's door asks for. However the benchmark ends, every
process is stopped and all data deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

from bench.read_data import TENANT, batches
from bench.read_node import install_peers
from bench.scratch import Scratch, start_scratch
from intelgraph.api.database.database import APPEND, Database
from intelgraph.changelog.install import install_schema
from intelgraph.connection import connect
from intelgraph.control import issuer
from intelgraph.control.agent.controller.opening import open_epoch
from intelgraph.control.directory.placements import Directory
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.model.placement import Durability, Placement, Tenant
from intelgraph.settings import ApiPolicy, Issuer, RegionConfig, SqliteControl, dump_region_config
from intelgraph.settings import Database as Login

REGION, PLACEMENT, EPOCH = "us-east", "bench", 1
PLAN_CACHE_MODE = "force_generic_plan"
CONNECTIONS = 10
PEER_ROLE = "bench_peer"
_BATCH = 500
_STOP_S = 8.0
_TOKEN_S = 4 * 3600.0
_PEERS_SQL = Path(__file__).parent / "read_peers" / "peers.sql"


@dataclass(frozen=True, kw_only=True)
class Pins:
    """Which CPU the measured server runs on, and which everything else; none: wherever the kernel likes."""

    server: int | None
    rest: int | None


def pins(*, pinned: bool) -> Pins:
    """Two of the CPUs that this process may use, or none."""
    usable = sorted(os.sched_getaffinity(0)) if pinned and hasattr(os, "sched_getaffinity") else []
    return Pins(server=usable[0], rest=usable[1]) if len(usable) > 1 else Pins(server=None, rest=None)


@dataclass(kw_only=True)
class Site:
    """The running region. ``start`` makes a process that ends with it."""

    directory: Path
    postgres: Scratch
    peers: Path
    token: str
    peer_password: str
    pins: Pins
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What every process says."""
        return self.directory / "parts.log"

    @property
    def peer_login(self) -> Login:
        """How a compared server logs in."""
        login = self.postgres.login()
        return Login(
            host=login.host, port=login.port, user=PEER_ROLE, password=self.peer_password, database=login.database
        )

    def database_cpu_s(self) -> float:
        """CPU time that PostgreSQL's processes that run now have used so far."""
        assert self.postgres.pid is not None
        return cpu_s(self.postgres.pid)

    def start(self, command: list[str], *, cpu: int | None, environment: Mapping[str, str] | None = None) -> int:
        """Start a process; returns its id."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.processes.append(process)
        _bind(process.pid, cpu)
        return process.pid

    def write_config(self, name: str, port: int, policy: ApiPolicy) -> Path:
        """Write the settings of one more API process of the region."""
        home = self.directory / name
        home.mkdir()
        config = RegionConfig(
            region=REGION,
            zone="us",
            directory=str(home),
            database=self.postgres.login("ig_api"),
            admin_database=self.postgres.login(),
            peers={},
            control=SqliteControl(path=str(self.directory / "control.db")),
            issuer=Issuer(issuer=issuer.ISSUER, audience=issuer.AUDIENCE, jwks=str(issuer.ensure_key(self.directory))),
            api_host="127.0.0.1",
            api_port=port,
            api=policy,
        )
        path = home / "region.json"
        path.write_bytes(dump_region_config(config))
        return path

    def stop(self) -> None:
        """Stop every process that was started here."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextlib.asynccontextmanager
async def throwaway_site(say: Callable[[str], None], *, pinned: bool) -> AsyncIterator[Site]:
    """Bring the region up, write the graph, and take everything away at the end."""
    say("installing the compared servers, where they are not yet")
    peers = await asyncio.to_thread(install_peers)
    directory = Path(tempfile.mkdtemp(prefix="ig-bench-read-"))
    site: Site | None = None
    try:
        with start_scratch(name="bench-read", settings={"plan_cache_mode": PLAN_CACHE_MODE}, durable=True) as postgres:
            issuer.ensure_key(directory)
            site = Site(
                directory=directory, postgres=postgres, peers=peers,
                token=issuer.sign(directory, TENANT, "writer", _TOKEN_S),
                peer_password=secrets.token_hex(16), pins=pins(pinned=pinned),
            )  # fmt: skip
            _bind(postgres.pid, site.pins.rest)
            try:
                await _provision(site)
                say("writing 20,000 entities and 80,000 relationships through the log")
                await _fill(site)
                yield site
            finally:
                say("stopping everything and deleting its data")
                await asyncio.shield(asyncio.to_thread(site.stop))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _provision(site: Site) -> None:
    connection = await connect(site.postgres.login())
    store = SqliteControlStore(site.directory / "control.db")
    try:
        await install_schema(connection, region=REGION, peers=[])
        directory = Directory(store)
        placement = Placement(
            id=PLACEMENT, home=REGION, standby=None, regions=(REGION,), epoch=EPOCH, durability=Durability.HOME
        )
        await open_epoch(await directory.create_placement(placement), site.postgres.login())
        await directory.create_tenant(Tenant(id=TENANT, placement=PLACEMENT))
        await connection.execute(_PEERS_SQL.read_text(encoding="utf-8").replace(":password", f"'{site.peer_password}'"))
    finally:
        await store.close()
        await connection.close()
    feed = site.write_config("feed", free_ports(1)[0], ApiPolicy())
    site.start([sys.executable, "-m", "intelgraph.changelog.feed", "--config", str(feed)], cpu=site.pins.rest)


async def _fill(site: Site) -> None:
    database = Database(site.postgres.login("ig_api"), ApiPolicy(pool_connections_max=1))
    await database.start()
    try:
        for key, operations in batches(_BATCH):
            answer = msgspec.json.decode(
                await database.call(APPEND, PLACEMENT, EPOCH, TENANT, key, b"graph", operations)
            )
            if answer["status"] != "ok":
                raise RuntimeError(f"the graph could not be written: {answer}")
    finally:
        await database.stop()
    connection = await connect(site.postgres.login(), statement_timeout_s=300.0)
    try:
        await connection.execute("vacuum (analyze)")
    finally:
        await connection.close()


def cpu_s(pid: int) -> float:
    """CPU time that a process and those that it started have used so far, ended ones too."""
    parent = psutil.Process(pid)
    mine = parent.cpu_times()
    used_s = mine.user + mine.system + mine.children_user + mine.children_system
    for process in parent.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ends, and is counted with its parent next time
            times = process.cpu_times()
            used_s += times.user + times.system
    return float(used_s)


def _bind(pid: int | None, cpu: int | None) -> None:
    """Keep a process that has just begun, and those that it starts, on one CPU."""
    if pid is None or cpu is None:
        return
    parent = psutil.Process(pid)
    for process in (parent, *parent.children()):
        os.sched_setaffinity(process.pid, {cpu})
