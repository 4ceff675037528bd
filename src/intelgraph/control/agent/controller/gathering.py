"""Gathering: before a new home opens, it asks the survivors for the rows of a placement that it lacks.

A publication cannot relay: of what the lost home wrote, each survivor holds what was sent to it. The survivor's own
database refuses to send to a region that the placement does not allow. Nothing is believed to be here before the
digests of both are equal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.control.agent.controller.effect_policy import EffectPolicy
from intelgraph.control.agent.observer.own_session import Asking
from intelgraph.model.errors import IntelGraphError
from intelgraph.settings import Database

POLICY = EffectPolicy()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What ``here`` lacks of a placement: what survivors hold ``beyond`` (by region, by stream) positions."""

    here: str
    placement: str
    beyond: Mapping[str, Mapping[str, int]]
    within_s: float
    """For so long each survivor is asked."""


async def gather(own: Asking, survivors: Mapping[str, Database], wanted: Wanted) -> dict[str, int]:
    """Have survivors reissue what is wanted, all at once.

    Returns up to where each stream is known to be here now. A survivor that does not answer, or has not sent all of
    it in time, is passed over: what was not fetched is cut off, and salvage decides about it.
    """
    asked = [_from_one(own, survivors[region], wanted, region) for region in wanted.beyond if region in survivors]
    reached: dict[str, int] = {}
    for told in await asyncio.gather(*asked):
        for stream, upto in told.items():
            reached[stream] = max(upto, reached.get(stream, 0))
    return reached


async def _from_one(own: Asking, survivor: Database, wanted: Wanted, region: str) -> dict[str, int]:
    reached: dict[str, int] = {}
    with contextlib.suppress(*DRIVER_ERRORS, IntelGraphError):
        async with asyncio.timeout(wanted.within_s):
            connection = await connect(
                survivor, timeout_s=POLICY.survivor_s_max, statement_timeout_s=POLICY.survivor_s_max
            )
            try:
                for stream, held in wanted.beyond[region].items():
                    upto = await _settled(connection, stream)
                    if upto is None or await _equal(own, connection, wanted.placement, stream, upto):
                        reached[stream] = upto or held
                        continue
                    await _reissue(connection, wanted.here, wanted.placement, stream, held + 1)
            finally:
                connection.terminate()
    return reached


async def _settled(connection: asyncpg.Connection, stream: str) -> int | None:
    told = json.loads(await connection.fetchval("select ig.report()::text"))
    position: int | None = told["settled"].get(stream)
    return position


async def _equal(own: Asking, there: asyncpg.Connection, placement: str, stream: str, upto: int) -> bool:
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
