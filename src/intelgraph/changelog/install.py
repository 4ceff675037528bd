"""Installs the log's schema into one region's database, and raises its life.

Idempotent: a database that has the schema is left alone. One that belongs to another region, or whose schema other
files made, is refused. The files of ``sql/`` run in the order of their names, in one transaction.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from intelgraph.model.errors import refuse
from intelgraph.model.names import check_name

if TYPE_CHECKING:
    from asyncpg import Connection


def schema_files() -> list[tuple[str, str]]:
    """Return the (name, text) of every schema file, in order."""
    folder = resources.files("intelgraph.changelog") / "sql"
    found = [(entry.name, entry.read_text()) for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted(found)


def schema_digest() -> str:
    """Return what tells this schema from every other: SHA-256 over the files, in hexadecimal."""
    digest = hashlib.sha256()
    for name, text in schema_files():
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()


async def install_schema(connection: Connection, *, region: str, peers: list[str]) -> bool:
    """Make ``connection``'s database the log of ``region``; returns whether anything was installed.

    ``connection`` must belong to the owner role. The roles ``ig_api`` and ``ig_peer`` must exist.
    """
    check_name("region", region)
    if await connection.fetchval("select to_regclass('ig.region')") is not None:
        present = await connection.fetchval("select name from ig.region")
        if present != region:
            raise refuse(
                "wrong_region",
                f"the database is refused as that of {region}: it is the database of {present}",
                region=region,
                present=present,
            )
        await _check_schema(connection, region)
        await _know_peers(connection, peers)
        return False
    async with connection.transaction():
        for _name, text in schema_files():
            await connection.execute(text)
        await connection.execute(
            "insert into ig.region (name, life, schema_digest) values ($1, 1, $2)", region, schema_digest()
        )
        await _know_peers(connection, peers)
    return True


async def _check_schema(connection: Connection, region: str) -> None:
    wanted = schema_digest()
    # Older schemas do not tell what they are: the column may be missing.
    present: str | None = await connection.fetchval("select to_jsonb(r) ->> 'schema_digest' from ig.region r")
    if present != wanted:
        told = "one that does not say which" if present is None else present[:12]
        raise refuse(
            "other_schema",
            f"the data of {region} is refused: another release made its schema ({told}, this one is {wanted[:12]}); "
            "schemas are not migrated yet: export with that release, `intelgraph down --wipe`, and import again",
            region=region,
            present=present,
            wanted=wanted,
        )


async def _know_peers(connection: Connection, peers: list[str]) -> None:
    await connection.executemany(
        "insert into ig.peer (name) values ($1) on conflict do nothing",
        [(check_name("region", peer),) for peer in peers],
    )


async def begin_new_life(connection: Connection, *, least: int = 1) -> int:
    """Give a new or restored database its next life, so that it never hands out a used position; returns the life.

    Placements whose home it is stay fenced until an epoch is opened in the new life.
    """
    async with connection.transaction():
        life: int = await connection.fetchval(
            "update ig.region set life = greatest(life + 1, $1) returning life", least
        )
        await connection.execute("alter sequence ig.position restart")
        await connection.execute("delete from ig.settling")
        # What subscribers took before may never have been: their cursors are of the other life.
        await connection.execute("select ig.ask_for_rebuild(subscriber) from ig.cursor where subscriber <> 'digest'")
    return life
