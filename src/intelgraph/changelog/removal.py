"""Completing the removal of a region from a placement: nothing addressed to it before may still be on its way.

A row's address is frozen when it is written, so rows written before the removal stand in the slots of every region
that ever wrote for the placement, members or not by now; and any that ever held it may have sent rows again for
another. So each region that an epoch of the placement ever named is asked, and it is done when it knows of the removal
(so that it sends nothing again) and its slot has passed the position it had reached by then. A removed region that is
unreachable is cut off instead: slots skip what was not delivered, it is told of its removal alone, and what it
missed of other placements is repaired when it is back. What had already left a server may stand in the network until
its receiver gives the connection up, so that long a cut-off waits before it calls the removal complete.

A region whose database does not answer can neither be asked nor cut off: whatever stands in its slots leaves when it
is back. The removal is pending until then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intelgraph.changelog.links import cut_off, receiver_patience_s, slot_name
from intelgraph.model.errors import TransientError, retry

if TYPE_CHECKING:
    from asyncpg import Connection

_POLL_S = 0.05
_PATIENCE_MARGIN_S = 1.5  # a receiver looks at its clock once a second


@dataclass(frozen=True, kw_only=True)
class Removal:
    """How a region left: the origins whose stream ``passed`` the removal, and those that were ``cut``."""

    placement: str
    region: str
    passed: tuple[str, ...]
    cut: tuple[str, ...]


@dataclass(kw_only=True)
class _Origin:
    """A region that may have sent, and how far it is: ``told`` of the removal, its slot ``past`` its position."""

    name: str
    connection: Connection
    position: str
    told: bool = False
    past: bool = False

    async def look(self, placement: str, region: str) -> None:
        """Look once more. What it sends before it is told counts, so its position is then read anew."""
        if not self.told and await self.connection.fetchval(_TOLD, placement, region):
            self.told, self.position = True, await self.connection.fetchval(_POSITION)
        slot = slot_name(self.name, region)
        self.past = bool(await self.connection.fetchval(_PAST, slot, self.position))


async def complete_removal(
    fleet: Mapping[str, Connection | None], *, placement: str, region: str, wait_s: float, cut: bool
) -> Removal:
    """Wait until the slots of all origins have passed the removal; with ``cut``, skip what cannot be delivered.

    ``fleet`` has owners' connections to the regions of the fleet other than ``region``; none for one that does not
    answer. While the link stays silent, nothing written before can arrive at ``region`` once this has returned. Raises
    ``removal_pending``, naming the origins and why, when the wait is over and something may still be sent.
    """
    answering = {name: connection for name, connection in fleet.items() if connection is not None}
    held = await _ever_held(answering, placement)
    silent = sorted((held & fleet.keys()) - answering.keys())
    origins = [
        _Origin(name=name, connection=answering[name], position=await answering[name].fetchval(_POSITION))
        for name in sorted(held & answering.keys())
    ]
    await _wait(origins, placement, region, wait_s)
    behind = [each for each in origins if not each.past]
    if cut and behind:
        await _cut(behind, placement, region)
    unheard = [each.name for each in origins if not each.told]
    undelivered = [] if cut else [each.name for each in behind]
    if silent or unheard or undelivered:
        raise _pending(placement, region, undelivered=undelivered, unheard=unheard, silent=silent)
    skipped = tuple(each.name for each in behind)
    passed = tuple(each.name for each in origins if each.past)
    return Removal(placement=placement, region=region, passed=passed, cut=skipped)


async def _ever_held(answering: Mapping[str, Connection], placement: str) -> frozenset[str]:
    """Every region that an epoch of the placement named, as any that answers knows: no one need have heard of all."""
    return frozenset([row["region"] for at in answering.values() for row in await at.fetch(_EVER_HELD, placement)])


async def _wait(origins: list[_Origin], placement: str, region: str, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        waiting = [each for each in origins if not (each.told and each.past)]
        for each in waiting:
            await each.look(placement, region)
        if all(each.told and each.past for each in waiting) or time.monotonic() >= deadline:
            return
        await asyncio.sleep(_POLL_S)


async def _cut(behind: list[_Origin], placement: str, region: str) -> None:
    for each in behind:
        await cut_off(each.connection, here=each.name, destination=region)
        await each.connection.fetchval("select ig.reissue_opens($1, $2)", placement, region)
    patience_s = max([await receiver_patience_s(each.connection) for each in behind])
    await asyncio.sleep(patience_s + _PATIENCE_MARGIN_S)


def _pending(
    placement: str, region: str, *, undelivered: list[str], unheard: list[str], silent: list[str]
) -> TransientError:
    said = [
        f"{', '.join(names)} {what}"
        for names, what in (
            (undelivered, f"still has to send what is addressed to it: wait for the link, or cut {region} off"),
            (unheard, "has not heard of the removal and would send rows again: wait for its link"),
            (silent, "held the placement once, and its database does not answer: start it"),
        )
        if names
    ]
    return retry(
        "removal_pending",
        f"the removal of {region} from {placement} is open but not complete: {'; '.join(said)}",
        retry_after_s=5.0,
        region=region,
        placement=placement,
        pending=sorted({*undelivered, *unheard, *silent}),
    )


_POSITION = "select pg_current_wal_flush_lsn()::text"
_PAST = "select confirmed_flush_lsn >= $2::text::pg_lsn from pg_replication_slots where slot_name = $1"
_EVER_HELD = "select distinct unnest(regions || origin) as region from ig.epoch where placement = $1"
# As ig.reissue sees it: it sends nothing to whom the placement does not allow, and nothing from where it may not be.
_TOLD = """select not exists (select from ig.placement where id = $1 and epoch > 0
                              and $2 = any (regions) and ig.here() = any (regions))"""
