"""Who is compared: one row each. A further setting of IntelGraph is one more row with another ``ApiPolicy``.

All of them listen on a port of their own, hold at most ``CONNECTIONS`` connections to the same PostgreSQL, and are one
process (IntelGraph: one worker).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

from bench.http_wire import open_wire
from bench.read_node import node
from bench.read_queries import READS, UNLOGGED, WRITE, Dialect, read_body
from bench.read_site import CONNECTIONS, Site, cpu_s
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.settings import ApiPolicy

_READY_S = 30.0
Serve = Callable[[Site, str, int], int]
"""Starts a server of a name on a port; returns its process's id."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One server to be compared."""

    name: str
    dialect: Dialect
    serve: Serve
    writes: tuple[str, ...] = (WRITE,)
    """The ways it can write: through the log, and for some without one too."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A contestant that serves: where, and the part of a request's head that is the same for every request."""

    contestant: Contestant
    port: int
    pid: int
    head: bytes

    def cpu_s(self) -> float:
        """CPU time that its processes have used so far."""
        return cpu_s(self.pid)


def intelgraph(policy: ApiPolicy) -> Serve:
    """The API process of the region with one worker and a policy: tokens, row-level security, limits, metrics."""

    def serve(site: Site, name: str, port: int) -> int:
        config = site.write_config(name, port, policy)
        return site.start([sys.executable, "-m", "intelgraph.api", "--config", str(config)], cpu=site.pins.server)

    return serve


def peer(program: str, **further: bool) -> Serve:
    """A compared server on Node."""

    def serve(site: Site, _name: str, port: int) -> int:
        login = site.peer_login
        database = {
            "host": login.host, "port": login.port, "user": login.user, "password": login.password,
            "database": login.database,
        }  # fmt: skip
        told = json.dumps({"port": port, "database": database, **further})
        program_path = str(site.peers / program)
        return site.start([node(), program_path, told], cpu=site.pins.server, environment={"NODE_ENV": "production"})

    return serve


INTELGRAPH, ALONE, APOLLO, POSTGRAPHILE = "intelgraph", "alone", "apollo", "postgraphile"
STANDALONE = "apollo-standalone"
CONTESTANTS = (
    Contestant(
        name=INTELGRAPH,
        dialect=Dialect.INTELGRAPH,
        serve=intelgraph(ApiPolicy(pool_connections_max=CONNECTIONS)),
    ),
    Contestant(
        name=ALONE,
        dialect=Dialect.INTELGRAPH,
        serve=intelgraph(ApiPolicy(pool_connections_max=CONNECTIONS, coalesce_max=1, group_max=1)),
    ),
    Contestant(name=APOLLO, dialect=Dialect.INTELGRAPH, serve=peer("apollo.mjs"), writes=(WRITE, UNLOGGED)),
    Contestant(name=STANDALONE, dialect=Dialect.INTELGRAPH, serve=peer("apollo.mjs", standalone=True)),
    Contestant(
        name=POSTGRAPHILE, dialect=Dialect.POSTGRAPHILE, serve=peer("postgraphile.mjs"), writes=(WRITE, UNLOGGED)
    ),
)


async def start(site: Site, contestant: Contestant) -> Running:
    """Start a contestant and wait until it answers a query."""
    (port,) = free_ports(1)
    pid = contestant.serve(site, contestant.name, port)
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {site.token}\r\n"
        "content-type: application/json\r\naccept: application/json\r\n"
    ).encode()
    running = Running(contestant=contestant, port=port, pid=pid, head=head)
    try:
        async with asyncio.timeout(_READY_S):
            while not await _answers(running):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    except TimeoutError:
        said = site.log.read_text(encoding="utf-8", errors="replace")[-1500:]
        raise RuntimeError(f"{contestant.name} does not serve: {said}") from None
    return running


async def _answers(running: Running) -> bool:
    try:
        wire = await open_wire("127.0.0.1", running.port)
    except OSError:
        return False
    try:
        status, body = await wire.send(running.head, read_body(READS[0], running.contestant.dialect, 1))
        return status == 200 and b'"data"' in body and b'"errors"' not in body
    except OSError:
        return False
    finally:
        wire.close()
