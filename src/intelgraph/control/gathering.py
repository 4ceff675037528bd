"""Gathering: before a new home opens, it asks the survivors for the rows of a placement that it lacks.

A publication cannot relay: of what the lost home wrote, each survivor holds what was sent to it. The survivor's own
database refuses to send to a region that the placement does not allow. Nothing is believed to be here before the
digests of both are equal.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import asyncpg

from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.control.own_database import OwnDatabase
from intelgraph.model.errors import IntelGraphError
from intelgraph.settings import Database

_ASK_S = 1.5


async def gather(
    own: OwnDatabase,
    survivors: Mapping[str, Database],
    *,
    here: str,
    placement: str,
    beyond: Mapping[str, Mapping[str, int]],
) -> dict[str, int]:
    """Have survivors reissue what they hold ``beyond`` (by region, by stream) positions.

    Returns up to where each stream is known to be here now. A survivor that does not answer is passed over.
    """
    asked = [
        _from_one(own, survivors[region], here=here, placement=placement, streams=streams)
        for region, streams in beyond.items()
        if region in survivors
    ]
    reached: dict[str, int] = {}
    for told in await asyncio.gather(*asked):
        for stream, upto in told.items():
            reached[stream] = max(upto, reached.get(stream, 0))
    return reached


async def _from_one(
    own: OwnDatabase, survivor: Database, *, here: str, placement: str, streams: Mapping[str, int]
) -> dict[str, int]:
    reached: dict[str, int] = {}
    try:
        connection = await connect(survivor, timeout_s=_ASK_S, statement_timeout_s=_ASK_S)
        try:
            for stream, held in streams.items():
                upto = await _settled(connection, stream)
                if upto is None or await _equal(own, connection, placement, stream, upto):
                    reached[stream] = upto or held
                    continue
                await _reissue(connection, here, placement, stream, held + 1)
        finally:
            connection.terminate()
    except (*DRIVER_ERRORS, IntelGraphError):
        return reached  # what was not fetched is cut off, and salvage decides about it
    return reached


async def _settled(connection: asyncpg.Connection, stream: str) -> int | None:
    told = json.loads(await connection.fetchval("select ig.report()::text"))
    position: int | None = told["settled"].get(stream)
    return position


async def _equal(own: OwnDatabase, there: asyncpg.Connection, placement: str, stream: str, upto: int) -> bool:
    origin, life = stream.rsplit("/", 1)
    cut = json.dumps([{"origin": origin, "life": int(life), "position": upto}])
    statement = "select ig.digests($1, $2)::text"
    ours: Any = json.loads(await own.ask(statement, placement, cut))
    theirs: Any = json.loads(await there.fetchval(statement, placement, cut))
    return bool(ours == theirs)


async def _reissue(connection: asyncpg.Connection, here: str, placement: str, stream: str, start: int) -> None:
    origin, life = stream.rsplit("/", 1)
    at: int | None = start
    while at is not None:
        told = json.loads(
            await connection.fetchval(
                "select ig.reissue($1, $2, $3, $4, $5)::text", placement, here, origin, int(life), at
            )
        )
        at = told.get("next")
