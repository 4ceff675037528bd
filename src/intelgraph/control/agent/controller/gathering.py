"""Gathering: before a new home opens, it asks the survivors for the rows of a placement that it lacks.

A publication cannot relay: of what the lost home wrote, each survivor holds what was sent to it. The survivor's own
database refuses to send to a region that the placement does not allow. Nothing is believed to be here before the
digests of both are equal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

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


Survivor = Callable[[], AbstractAsyncContextManager[Asking]]
"""Begins a session with another region's database; raises the driver's errors."""


def survivor_in(database: Database) -> Survivor:
    """Return what begins sessions with a survivor's database."""
    return lambda: _session(database)


@contextlib.asynccontextmanager
async def _session(database: Database) -> AsyncIterator[Asking]:
    connection = await connect(database, timeout_s=POLICY.survivor_s_max, statement_timeout_s=POLICY.survivor_s_max)
    try:
        yield _Connected(connection.fetchval)
    finally:
        connection.terminate()


@dataclass(frozen=True)
class _Connected:
    ask: Callable[..., Any]


async def gather(own: Asking, survivors: Mapping[str, Survivor], wanted: Wanted) -> dict[str, int]:
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


async def _from_one(own: Asking, survivor: Survivor, wanted: Wanted, region: str) -> dict[str, int]:
    reached: dict[str, int] = {}
    with contextlib.suppress(*DRIVER_ERRORS, IntelGraphError):
        async with asyncio.timeout(wanted.within_s), survivor() as there:
            for stream, held in wanted.beyond[region].items():
                upto = await _settled(there, stream)
                if upto is None or await _equal(own, there, wanted.placement, stream, upto):
                    reached[stream] = upto or held
                    continue
                await _reissue(there, wanted.here, wanted.placement, stream, held + 1)
    return reached


async def _settled(there: Asking, stream: str) -> int | None:
    told = json.loads(await there.ask("select ig.report()::text"))
    position: int | None = told["settled"].get(stream)
    return position


async def _equal(own: Asking, there: Asking, placement: str, stream: str, upto: int) -> bool:
    origin, life = stream.rsplit("/", 1)
    cut = json.dumps([{"origin": origin, "life": int(life), "position": upto}])
    statement = "select ig.digests($1, $2)::text"
    ours: Any = json.loads(await own.ask(statement, placement, cut))
    theirs: Any = json.loads(await there.ask(statement, placement, cut))
    return bool(ours == theirs)


async def _reissue(there: Asking, here: str, placement: str, stream: str, start: int) -> None:
    origin, life = stream.rsplit("/", 1)
    at: int | None = start
    while at is not None:
        told = json.loads(
            await there.ask("select ig.reissue($1, $2, $3, $4, $5)::text", placement, here, origin, int(life), at)
        )
        at = told.get("next")
