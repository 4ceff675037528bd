"""Opening an epoch in the database of its home: the second half of every change of a placement.

The control store decides first, by compare-and-set; then the new home writes the ``open`` row with its cut. Between
the two the placement takes no writes, and nothing is lost: asking for the same epoch again finishes what was
interrupted, or answers that it was done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.control.agent.controller.effect_policy import EffectPolicy
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.model.errors import Denied, Fact, PermanentError, retry, why_no_answer
from intelgraph.settings import Database

POLICY = EffectPolicy()


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The epoch is open: its row's bookmark, and whether it had been opened before."""

    bookmark: str
    repeated: bool


class _Answer(msgspec.Struct, kw_only=True):
    status: str
    bookmark: str = ""
    code: str = "refused"
    reason: str = ""
    facts: dict[str, Fact] = {}


Opening = Callable[[PlacementRecord, bool], Awaitable[str]]
"""Calls ``ig.open`` in the home's database (``force`` or not) and returns its answer; raises the driver's errors."""


def opening_in(home: Database) -> Opening:
    """Return what opens epochs in a database, each in a session of its own."""
    return partial(_call, home)


async def open_epoch(record: PlacementRecord, home: Database, *, force: bool = False) -> Opened:
    """Open the placement's epoch at its home; raises the database's refusal, or ``home_unreachable``.

    ``force`` opens although rows may be missing there: what is missing is cut off, and salvage decides about it.
    """
    return await _opened(record, opening_in(home), force)


async def _opened(record: PlacementRecord, opening: Opening, force: bool) -> Opened:
    place = record.placement
    try:
        answer = msgspec.json.decode(await opening(record, force), type=_Answer)
    except DRIVER_ERRORS as error:
        raise retry(
            "home_unreachable",
            f"epoch {place.epoch} of {place.id} is decided but not open: the database of {place.home} does not answer "
            f"({why_no_answer(error)}); the placement takes no writes until the same command is run again",
            retry_after_s=1.0,
            placement=place.id,
            home=place.home,
            epoch=place.epoch,
        ) from error
    if answer.status == "refused":
        raise PermanentError(Denied(code=answer.code, reason=answer.reason, facts=answer.facts))
    return Opened(bookmark=answer.bookmark, repeated=answer.status == "repeated")


class Openings:
    """Opens epochs in the database of one region, ``openings_at_once`` at a time; the others wait for their turn."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._turns = asyncio.Semaphore(POLICY.openings_at_once)

    async def open_epoch(self, record: PlacementRecord, *, force: bool = False) -> Opened:
        """As the function of that name."""
        async with self._turns:
            return await _opened(record, self._opening, force)


async def _call(home: Database, record: PlacementRecord, force: bool) -> Any:
    place = record.placement
    connection = await connect(home)
    try:
        async with asyncio.timeout(POLICY.open_s_max):
            return await connection.fetchval(
                "select ig.open($1, $2, $3, $4, $5, $6, $7, $8)",
                place.id,
                place.epoch,
                place.home,
                list(place.regions),
                place.standby,
                place.durability.value,
                bytes.fromhex(record.digest_key),
                force,
            )
    finally:
        connection.terminate()
