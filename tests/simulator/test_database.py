"""The modelled database opens an epoch as the SQL does: nobody writes meanwhile, and the cut holds what was written."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

from intelgraph.changelog.model.log import Identity, Kind, Row, accepted
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.policy import Policy
from intelgraph.simulator import session
from intelgraph.simulator.database import LIFE
from intelgraph.simulator.setting import Setting
from intelgraph.simulator.world import DIGEST_KEY, World

from .planted.mistakes import BY_NAME

US, EU = "us-east", "eu-west"
PLACE = Placement(id="p", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME)


def opened_while_somebody_writes() -> tuple[Identity, set[Identity]]:
    """Open the next epoch at home; a write begins just after that was asked for. The row, and what counts then."""
    world = World(Setting(regions=(US, EU), placements=(PLACE,), policy=Policy()), Random(1), None)
    region = world.regions[US]
    database = region.database
    database.open(PLACE, {}, 0.0, force=True)
    position = database.draw()
    row = Row(
        identity=Identity(US, LIFE, position), epoch=1, kind=Kind.WRITE, digest=position, tenant="p", key="k",
        request="k", replicate_to=frozenset(PLACE.regions),
    )  # fmt: skip
    record = PlacementRecord(placement=replace(PLACE, epoch=2), digest_key=DIGEST_KEY, version=2)

    async def body() -> None:
        opening = asyncio.ensure_future(session.open_epoch(region, record, False))
        await asyncio.sleep(0.001)
        database.holds["p"].writers += 1
        await asyncio.sleep(0.02)
        assert database.holds["p"].epoch == 1, "the lock is waited for"
        database.commit("p", row, world.universe.now)
        database.holds["p"].writers -= 1
        assert '"ok"' in await opening

    database.position -= 1  # drawn only when the write begins
    region.process("agent").run(body())
    world.universe.after(0.0005, lambda: setattr(database, "position", position))
    world.universe.run_until(1.0)
    assert database.holds["p"].epoch == 2
    world.end()
    return row.identity, accepted(database.holds["p"].known.holding.read)


def test_an_opening_waits_for_who_writes_and_its_cut_holds_what_they_wrote() -> None:
    row, counted = opened_while_somebody_writes()
    assert row in counted


def test_a_cut_that_is_computed_before_the_lock_loses_what_was_written_meanwhile() -> None:
    with BY_NAME["the cut computed before the lock"].plant():
        row, counted = opened_while_somebody_writes()
    assert row not in counted
