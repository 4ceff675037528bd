"""The agent whose turn it is is killed at each action of a plan: the plan is completed, or the placement stands safely.

There is no hook in the product to stop it at: the recorded plan is watched, and the agent is killed as soon as it is
seen to stand at an action. Where exactly that hits it differs from run to run; what must be true after it does not.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from typing import Any

import pytest

from intelgraph.control.directory.plans import PlanRecord, plan_from
from intelgraph.control.store.keys import PLANS
from intelgraph.control.store.protocol import Entry
from intelgraph.placement.plan import RAISE, TABLES, Kind, is_under_way
from intelgraph.plans.table import ActionType
from tests.fleet_e2e.moving import control, hold, release, settled_at, until_placed, wait_until_nothing_moves
from tests.fleet_e2e.patient import Patient
from tests.fleet_e2e.running import AWAY, GLOBAL, HOME, RunningFleet, until
from tests.machine import WAIT_S

pytestmark = pytest.mark.fleet
_SEEN_S = WAIT_S
_STORY_S = 280.0
IN_EVERY_RUN = {(Kind.FAILOVER, RAISE)}


def create(fleet: RunningFleet, tenant: str) -> Patient:
    fleet.tenant(tenant, "--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY, "--durability", "remote")
    return Patient(fleet=fleet, tenant=tenant, door=GLOBAL, clients=2)


class Killer:
    """Kills the agent whose turn it is, once a placement's plan of a kind stands at an action."""

    def __init__(self, fleet: RunningFleet, placement: str, kind: Kind, at: ActionType) -> None:
        self._placement, self._kind, self._at = placement, kind, at
        self._agents = {region: fleet.main_process(f"{region}/agent").pid for region in (HOME, AWAY)}
        self._store = sqlite3.connect(fleet.fleet.control, check_same_thread=False)
        self._fleet = fleet

    def kill(self) -> str:
        """Watch, and kill at the action, or at a later one if this process was not let look in time; its id."""
        first = TABLES[self._kind.value].actions.index(self._at)
        deadline_s = time.monotonic() + _SEEN_S
        while time.monotonic() < deadline_s:
            plan = self._read().plan
            if plan is not None and plan.kind is self._kind and plan.current is not None and plan.next >= first:
                os.kill(self._agents[plan.current.executor], signal.SIGKILL)
                return plan.current.id
            time.sleep(0.0005)
        raise AssertionError(f"the plan of {self._placement} was never seen to stand at {self._at.name}")

    def _read(self) -> PlanRecord:
        key = PLANS + self._placement
        row = self._store.execute("select value, revision from entry where key = ?", (key,)).fetchone()
        value, version = row or (None, 0)
        return plan_from(Entry(key=key, value=value, version=version))


def agents_are_ready(fleet: RunningFleet) -> None:
    def ready() -> bool:
        parts = fleet.cli_any("status", "--quick")["parts"]
        return all(each["part"]["phase"] == "ready" for each in parts if each["part"]["kind"] == "agent")

    until(ready, 60.0, "the agents are not ready")


async def until_settled(fleet: RunningFleet, placement: str, home: str, standby: str) -> None:
    async with control(fleet) as store:
        await until_placed(store, placement, settled_at(home, standby), WAIT_S, f"{standby} is not standby again")


def points(*kinds: Kind) -> list[Any]:
    """Every action of some kinds of plan; all but one are for `make prove`."""
    return [
        pytest.param(
            kind, do, id=f"{kind.value}-{do.name}", marks=() if (kind, do) in IN_EVERY_RUN else pytest.mark.prove
        )
        for kind in kinds
        for do in TABLES[kind.value].actions
    ]


@pytest.mark.parametrize(("kind", "at"), points(Kind.SWITCHOVER, Kind.FAILBACK))
def test_an_agent_killed_in_a_planned_move_completes_it_or_leaves_all_as_it_was(
    two_regions: RunningFleet, kind: Kind, at: ActionType
) -> None:
    fleet, tenant = two_regions, f"killed-{kind.value}-{at.name.replace('_', '-')}"
    clients = create(fleet, tenant)
    verb = ["switchover", "--placement", tenant, "--to", AWAY]
    if kind is Kind.FAILBACK:
        try:
            fleet.move("region", "drain", HOME)  # away from home, without a new declaration
        finally:
            fleet.cli("region", "resume", HOME)
        asyncio.run(until_settled(fleet, tenant, AWAY, HOME))  # the agents name the region standby again
        verb = ["failback", "--placement", tenant]
    wait_until_nothing_moves(fleet)
    killer = Killer(fleet, tenant, kind, at)

    async def body() -> None:
        async with control(fleet) as store, clients.at_work():
            killing = asyncio.create_task(asyncio.to_thread(killer.kill))
            await asyncio.to_thread(fleet.move, *verb, "--no-wait")
            action = await killing
            placement, record = await until_placed(
                store, tenant, lambda now, record: not is_under_way(now, record.plan), 60.0, "the plan is not over"
            )
            assert record.plan is not None
            done = record.plan.abandoned is None
            assert placement.home == (record.plan.target if done else record.plan.source)
            acknowledged = len(clients.writes) - len(clients.failed)
            while len(clients.writes) - len(clients.failed) < acknowledged + 20:  # noqa: ASYNC110 - by other processes
                await asyncio.sleep(0.05)
            print(f"{kind.value}: killed at {action}: {'completed' if done else 'given up'}")

    asyncio.run(asyncio.wait_for(body(), _STORY_S))
    agents_are_ready(fleet)
    assert clients.failed == []
    epochs = [write.epoch for write in sorted(clients.writes, key=lambda write: write.ended_s)]
    print(f"{len(epochs)} writes, slowest {clients.slowest_s:.1f} s")


@pytest.mark.parametrize(("kind", "at"), points(Kind.FAILOVER))
def test_an_agent_killed_in_a_failover_completes_it(two_regions: RunningFleet, kind: Kind, at: ActionType) -> None:
    fleet, tenant = two_regions, f"killed-failover-{at.name}"
    clients = create(fleet, tenant)
    wait_until_nothing_moves(fleet)
    killer = Killer(fleet, tenant, kind, at)

    async def body() -> None:
        async with control(fleet) as store, clients.at_work():
            await asyncio.sleep(1.0)
            killing = asyncio.create_task(asyncio.to_thread(killer.kill))
            lost_s = time.monotonic()
            await asyncio.to_thread(hold, fleet, HOME)
            action = await killing
            _, record = await until_placed(store, tenant, settled_at(AWAY), 90.0, "nobody took over")
            assert record.plan is not None and record.plan.abandoned is None
            print(f"failover: killed at {action}: completed {time.monotonic() - lost_s:.1f} s after the loss")
            await asyncio.sleep(1.0)

    asyncio.run(asyncio.wait_for(body(), _STORY_S))
    release(fleet, HOME)

    asyncio.run(until_settled(fleet, tenant, AWAY, HOME))
    agents_are_ready(fleet)
    fleet.wait_until_whole()
    fleet.move("failback", "--all")
