"""Makes running PostgreSQL servers into regions of one fleet: roles, the log's schema, publications, subscriptions.

Every step is idempotent and is repeated on each ``up``. A region is installed as soon as its own server is up; its
subscriptions need the other servers, over the WAN, and so come second.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import asyncpg

from intelgraph.changelog import links
from intelgraph.changelog.install import begin_new_life, install_schema
from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import wan_port
from intelgraph.fleet.postgres import server as postgres
from intelgraph.fleet.postgres.server import server_of
from intelgraph.model.errors import refuse
from intelgraph.runtime.whole_file import write_whole

_LIVES_BEGIN_S = 1_767_225_600
"""2026-01-01T00:00:00Z."""


async def provision(fleet: Fleet) -> None:
    """Install every region, then link them all."""
    regions = [region.name for region in fleet.topology.regions]
    await asyncio.gather(*(install_region(fleet, region) for region in regions))
    await asyncio.gather(*(link_region(fleet, region) for region in regions))


async def install_region(fleet: Fleet, region: str) -> None:
    """Roles, schema, and one filtered publication with its slot for each other region."""
    server = server_of(fleet, region)
    await postgres.create_roles(server)
    peers = _peers(fleet, region)
    connection = await connect(server.login(postgres.ADMIN))
    try:
        fresh = await install_schema(connection, region=region, peers=peers)
        await _keep_life(fleet, region, connection, fresh=fresh)
        for peer in peers:
            await links.publish(connection, here=region, destination=peer)
    finally:
        await connection.close()


async def _keep_life(fleet: Fleet, region: str, connection: asyncpg.Connection, *, fresh: bool) -> None:
    """Give a new database a life above all that the region has had: no position is ever drawn twice.

    The highest life is kept outside the region's directory, whose loss is why a database is made anew. A fleet that was
    wiped knows none: it begins at the seconds since ``_LIVES_BEGIN_S``, so that it takes no bookmark of before.
    """
    kept = fleet.common / f"life-{region}"
    lived = _lived(kept, fresh=fresh)
    life: int = await connection.fetchval("SELECT life FROM ig.region")
    if fresh:
        life = await begin_new_life(connection, least=max(lived + 1, int(time.time() - _LIVES_BEGIN_S)))
    write_whole(kept, str(max(life, lived)))


def _lived(kept: Path, *, fresh: bool) -> int:
    """The highest life that was kept; the file of a database that is not new can be written anew from it."""
    try:
        return int(kept.read_text(encoding="ascii")) if kept.exists() else 0
    except ValueError as error:
        if not fresh:
            return 0
        raise refuse(
            "life_unreadable",
            f"a new database is refused: {kept} holds no number, so which positions were drawn in lives before is not "
            "known; put the file back from a copy, or delete it, which lets the new life begin by the clock",
            file=str(kept),
        ) from error


async def link_region(fleet: Fleet, region: str) -> None:
    """Subscribe ``region`` to every other region, over the WAN links; fails if a link that is new cannot be used."""
    connection = await connect(server_of(fleet, region).login(postgres.ADMIN))
    failures: list[str] = []
    try:
        for peer in _peers(fleet, region):
            parameters: dict[str, str | int] = {
                "host": "127.0.0.1",
                "port": fleet.ports[wan_port(region, peer, "postgres")],
                "user": postgres.REPLICATION,
                "password": server_of(fleet, peer).password(postgres.REPLICATION),
                "dbname": postgres.DATABASE,
            }
            try:
                await links.subscribe(connection, here=region, origin=peer, parameters=parameters)
            except DRIVER_ERRORS as error:
                failures.append(f"{peer}: {error}")
    finally:
        await connection.close()
    if failures:
        raise ConnectionError(f"{region} cannot subscribe to {'; '.join(failures)}")


def _peers(fleet: Fleet, region: str) -> list[str]:
    return [other.name for other in fleet.topology.regions if other.name != region]
