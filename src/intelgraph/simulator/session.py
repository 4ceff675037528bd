"""Sessions with a modelled database: the functions of the log that agents call, answered as the SQL answers them.

One entry of ``FUNCTIONS`` each. A statement that names none of them is a defect of the simulator and is said.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from intelgraph.changelog.links import slot_name
from intelgraph.changelog.model.log import Class, Identity, Kind, Row, classify
from intelgraph.control.agent.observer.own_database import HeldHere, Links, Observed, Slot
from intelgraph.control.agent.observer.own_session import Asking
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.model.errors import retry
from intelgraph.simulator.database import LIFE, SCHEMA, Entry
from intelgraph.simulator.region import Region
from intelgraph.simulator.virtual_time import Pause

CALL_S = 0.005
LOCK_S = 0.003
LOCK_TIMEOUT_S = 5.0
_FUNCTION = re.compile(r"select ig\.(\w+)\(")
_ENCODER = msgspec.json.Encoder()


class Session:
    """One session with the database of a region, from that region."""

    def __init__(self, region: Region) -> None:
        self._region = region

    async def ask(self, statement: str, *arguments: object) -> Any:
        """Call one function; raises ``database_unavailable``."""
        if self._region.database_hangs:
            await Pause(self._region.hangs_s)
            raise retry("database_unavailable", "the database does not answer its agent", retry_after_s=0.5)
        return await FUNCTIONS[_named(statement)](self._region, *arguments)

    def close(self) -> None:
        """Nothing is held."""


class Remote:
    """A session with another region's database."""

    def __init__(self, here: Region, there: Region) -> None:
        self._here = here
        self._there = there

    async def __aenter__(self) -> Asking:
        await self._travel()
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def ask(self, statement: str, *arguments: object) -> Any:
        """Call one function there; hangs when there is no way."""
        await self._travel()
        return await FUNCTIONS[_named(statement)](self._there, *arguments)

    async def _travel(self) -> None:
        network = self._here.world.network
        await Pause(network.latency_s(self._here.name, self._there.name) * 2)
        if not (self._there.works and network.both_ways(self._here.name, self._there.name)):
            raise ConnectionResetError("there is no way")


@cache
def _named(statement: str) -> str:
    found = _FUNCTION.match(statement)
    if found is None:
        raise AssertionError(f"the modelled database has no answer to {statement}")
    return found[1]


def _refused(code: str) -> str:
    return json.dumps({"status": "refused", "code": code, "reason": f"the database says {code}"})


async def _observe(region: Region) -> bytes:
    database = region.database
    log = len(database.log)
    placements = {
        name: HeldHere(
            epoch=held.epoch,
            home=held.known.standing[0].identity.origin,
            hold=None,
            gap=held.gap,
            whole=database.is_whole(name),
            closed=held.is_closed,
            tail=held.tail,
        )
        for name, held in database.holds.items()
        if held.known.standing
    }
    slots = {
        slot_name(region.name, name): Slot(active=True, lost=False, kept_bytes=0, flushed=f"0/{count:X}")
        for name, count in database.confirmed.items()
    }
    return _ENCODER.encode(
        Observed(
            region=region.name,
            life=LIFE,
            schema=SCHEMA,
            flush=f"0/{log:X}",
            settled=database.streams(),
            tokens=database.tokens,
            placements=placements,
            links=Links(slots=slots, made={}, subscriptions={}),
            troubles=0,
        )
    )


async def _locked(region: Region, placement: str) -> None:
    """Take the placement's lock alone: wait until nobody writes. Who comes to write meanwhile waits as well."""
    waited_s = 0.0
    held = region.database.holds[placement]
    waits: Any = asyncio.get_running_loop()
    held.wanted_by.append(waits)
    try:
        while held.writers or region.database.disk_full:
            await Pause(LOCK_S)
            waited_s += LOCK_S
            if waited_s > LOCK_TIMEOUT_S:
                raise retry("database_unavailable", "the placement's lock was not to be had", retry_after_s=0.5)
    finally:
        if waits in held.wanted_by:  # the server has not crashed meanwhile
            held.wanted_by.remove(waits)


async def _close(region: Region, placement: str, epoch: int) -> str:
    await Pause(CALL_S)
    await _locked(region, placement)
    position, code = region.database.close(placement, epoch)
    region.world.stepped(region.name)
    return json.dumps({"status": "ok", "last_position": position}) if not code else _refused(code)


async def _reopen(region: Region, placement: str, epoch: int) -> str:
    await _locked(region, placement)
    code = region.database.reopen(placement, epoch)
    region.world.stepped(region.name)
    return '{"status":"ok"}' if code is None else _refused(code)


async def open_epoch(region: Region, record: PlacementRecord, force: bool) -> str:
    """Answer ``ig.open``: the cut is what is here when nobody writes any more."""
    await Pause(CALL_S)
    placement, database, world = record.placement, region.database, region.world
    await _locked(region, placement.id)
    row, code = database.open(placement, database.cut(placement.id), world.universe.now, force=force)
    if row is None:
        return _refused(code)
    if code == "ok":
        world.promises.opening(region, placement, row)
        world.replication.kick(region)
        world.stepped(region.name)
    return json.dumps({"status": code, "bookmark": f"{region.name}/{LIFE}/{row.epoch}/{row.identity.position}"})


async def _note_has(region: Region, peer: str, life: int, position: int) -> None:
    return None


async def _report(region: Region) -> str:
    return json.dumps({"settled": region.database.streams()})


async def _digests(region: Region, placement: str, cut: str) -> str:
    [of] = json.loads(cut)
    return json.dumps(region.database.positions(placement, of["origin"], of["position"]))


async def _reissue(region: Region, placement: str, destination: str, origin: str, life: int, start: int) -> str:
    world = region.world
    rows = [
        row
        for row in region.database.holds[placement].known.rows.values()
        if row.identity.origin == origin and row.identity.position >= start and destination in row.replicate_to
    ]
    there = world.regions[destination]
    delay_s = world.network.latency_s(region.name, destination)
    world.universe.after(delay_s, world.replication.reissued, region, there, rows)
    return '{"next":null}'


# --------------------------------------------------------------------------------------------------------- salvage


async def _salvage(region: Region, placement: str, after: str | None, objects_max: int) -> str:
    await Pause(CALL_S)
    known = region.database.holds[placement].known
    rows = []
    for identity, found in classify(known.holding.read).items():
        row = known.rows[identity]
        rows.append(
            {
                "origin": identity.origin,
                "life": identity.life,
                "position": identity.position,
                "epoch": row.epoch,
                "tenant": placement,
                "key": row.key,
                "written_at": "",
                "objects": [{"kind": item["kind"], "id": item["id"]} for item in row.objects],
                "class": found.value,
                "removes": [item["id"] for item in row.objects if item["kind"] == "entity" and item.get("deleted")],
                "needs": [
                    end
                    for item in row.objects
                    if item["kind"] == "relationship" and not item.get("deleted")
                    for end in (item["source"], item["target"])
                ],
            }
        )
    rows.sort(key=lambda one: (one["epoch"], one["position"], one["origin"]))
    return json.dumps({"rows": rows, "next": None})


async def _decide_if(region: Region, placement: str, rows: str, kind: str, reason: str, adopts: bool) -> str:
    """Decide about those of the rows that are of that class still."""
    await Pause(CALL_S)
    await _locked(region, placement)
    known = region.database.holds[placement].known
    classes = classify(known.holding.read)
    named = [one for one in _identities(rows) if classes.get(one) is Class(kind)]
    return _decided(region, placement, Kind.ADOPT if adopts else Kind.REJECT, named)


async def _adopt(region: Region, placement: str, rows: str, reason: str) -> str:
    """Adopt because somebody says so, whatever class they are of."""
    await _locked(region, placement)
    return _decided(region, placement, Kind.ADOPT, _identities(rows))


async def _unlink_erased(region: Region, placement: str, rows: str) -> str:
    return '{"status":"ok","rows":0}'


def _identities(rows: str) -> list[Identity]:
    return [Identity(one["origin"], one["life"], one["position"]) for one in json.loads(rows)]


def _decided(region: Region, placement: str, kind: Kind, named: list[Identity]) -> str:
    database, world = region.database, region.world
    held = database.holds[placement]
    opening = held.opening
    if opening is None or opening.opening is None or opening.identity.origin != region.name:
        return _refused("not_home")
    if held.is_closed:
        return _refused("closing")
    if not named:
        return '{"status":"ok","rows":0}'
    world.promises.salvaged(region, placement, kind, named)
    if kind is Kind.ADOPT:
        for identity in sorted(named):
            row = held.known.rows[identity]
            database.log.append(Entry(world.universe.now, row, database.own_settled()))
    position = database.draw()
    row = Row(
        identity=Identity(region.name, LIFE, position),
        epoch=opening.epoch,
        kind=kind,
        digest=position,
        tenant=placement,
        replicate_to=opening.opening.regions,
        named=frozenset(named),
    )
    database.commit(placement, row, world.universe.now)
    world.replication.kick(region)
    world.note(kind.value)
    return json.dumps({"status": "ok", "rows": len(named)})


FUNCTIONS: Mapping[str, Callable[..., Awaitable[Any]]] = {
    "observe": _observe,
    "close": _close,
    "reopen": _reopen,
    "note_has": _note_has,
    "report": _report,
    "digests": _digests,
    "reissue": _reissue,
    "salvage": _salvage,
    "decide_if": _decide_if,
    "adopt": _adopt,
    "unlink_erased": _unlink_erased,
}
