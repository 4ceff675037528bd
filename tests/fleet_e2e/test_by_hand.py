"""What a hand changes of a placement: done by the home's agent while clients write, refused where it would break a
promise, and no obstacle to a take-over when the home is lost in the middle of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from intelgraph.model.actor import Actor, Channel
from intelgraph.model.errors import IntelGraphError
from intelgraph.model.placement import Placement
from intelgraph.operations.change import change
from intelgraph.operations.operator import Operator
from intelgraph.placement.membership import declare
from tests.fleet_e2e.moving import control, hold, known, release, settled_at, until_placed
from tests.fleet_e2e.patient import Patient
from tests.fleet_e2e.running import AWAY, HOME, CommandFailed, RunningFleet
from tests.machine import contention

pytestmark = pytest.mark.fleet
TAKEN_OVER_S = 10.0


def create(fleet: RunningFleet, tenant: str) -> None:
    both = ("--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY)
    fleet.tenant(tenant, *both, "--durability", "remote")


def test_declared_anew_and_a_region_taken_off_while_clients_write(two_regions: RunningFleet) -> None:
    fleet, tenant = two_regions, "by-hand"
    create(fleet, tenant)
    clients = Patient(fleet=fleet, tenant=tenant, door=HOME, clients=2)

    async def body() -> None:
        async with clients.at_work():
            told = await asyncio.to_thread(fleet.cli, "placement", "declare", tenant, "--on-standby-loss", "strict")
            assert (told["epoch"], told["declared"]["on_standby_loss"]) == (2, "strict")
            again = await asyncio.to_thread(fleet.cli, "placement", "declare", tenant, "--on-standby-loss", "strict")
            assert (again["epoch"], again["opened"]["repeated"]) == (2, True)
            with pytest.raises(CommandFailed, match="refuse writes without"):
                await asyncio.to_thread(fleet.cli, "placement", "remove-region", tenant, AWAY)
            assert (await asyncio.to_thread(known, fleet)).placements[tenant].placement.epoch == 2, (
                "what was refused changed something"
            )
            await asyncio.to_thread(fleet.cli, "placement", "declare", tenant, "--on-standby-loss", "degrade")
            await asyncio.to_thread(fleet.cli, "placement", "remove-region", tenant, AWAY)

    asyncio.run(body())
    now = known(fleet).placements[tenant].placement
    assert (now.regions, now.standby, now.epoch, now.is_degraded) == ((HOME,), None, 4, False)
    assert clients.failed == []
    assert {write.epoch for write in clients.writes} >= {1, 2}


def test_a_home_that_is_lost_in_the_middle_of_it_is_taken_over_from(two_regions: RunningFleet) -> None:
    """Its standby could never have heard of an epoch that the command had raised and nobody opened."""
    fleet, tenant = two_regions, "by-hand-lost"
    create(fleet, tenant)
    record = known(fleet).placements[tenant]
    following = declare(record.placement, replace(record.placement.wanted, rpo_s_max=30.0))
    assert isinstance(following, Placement)
    hold(fleet, HOME)
    lost_s = time.monotonic()
    operator = Operator(site=fleet.site, actor=Actor(subject="a person", channel=Channel.CLI))

    async def body() -> None:
        async with control(fleet) as store:
            # Typed as a command it would come when a busy machine has started one: after the take-over, perhaps.
            changing = asyncio.create_task(change(operator, record, following))
            placement, recorded = await until_placed(store, tenant, settled_at(AWAY), 30.0, "nobody took over")
            print(f"taken over {time.monotonic() - lost_s:.1f} s after the loss, in epoch {placement.epoch}")
            assert time.monotonic() - lost_s <= TAKEN_OVER_S * contention(lost_s)
            assert [past.kind for past in recorded.past] == ["restand"]
            with pytest.raises(IntelGraphError) as replaced:
                await changing
            assert replaced.value.denied.code == "plan_replaced"

    try:
        asyncio.run(body())
    finally:
        release(fleet, HOME)

    async def whole() -> None:
        async with control(fleet) as store:
            await until_placed(store, tenant, settled_at(AWAY, HOME), 60.0, "the lost region is not standby again")

    asyncio.run(whole())
    fleet.wait_until_whole()
