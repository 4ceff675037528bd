"""What an operation knows when it decides, and that what it records is only recorded where nothing has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from intelgraph.control.agent.leases.keeper import LeaseKeeper
from intelgraph.control.agent.leases.watching import Watching
from intelgraph.control.directory.placements import Directory, PlacementRecord
from intelgraph.control.directory.plans import PlanRecord
from intelgraph.control.directory.reports import Seen
from intelgraph.control.store.protocol import ControlStore
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.errors import Denied, IntelGraphError
from intelgraph.model.placement import Durability
from intelgraph.operations.plan_progress import record_plan
from intelgraph.operations.view import observe
from intelgraph.placement.membership import by_hand, declare
from tests.control.shell import EU, POLICY, US, Clock, placement
from tests.control.stores import run
from tests.fakes.heartbeat import FakeHeartbeat

from .sites import PERSON


async def _reports(store: ControlStore, vantages: Sequence[str]) -> None:
    """Each reports, again and again, as agents do; ends when it is cancelled."""
    watchings = [Watching(vantage=name, store=store, policy=POLICY, clock=time.monotonic) for name in vantages]
    while True:
        for watching in watchings:
            await watching.look()
            await watching.publish(Seen(reached={}))
        await asyncio.sleep(0.05)


def test_an_operator_believes_reports_that_change_and_records_what_was_looked_at(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
        record = await Directory(store).create_placement(placement(durability=Durability.HOME))
        for region in (US, EU):
            heartbeat = FakeHeartbeat()
            await LeaseKeeper(
                region=region, term=region, store=store, heartbeat=heartbeat, policy=POLICY, clock=Clock()
            ).renew()
        dead = Watching(vantage=EU, store=store, policy=POLICY, clock=Clock())
        await dead.publish(Seen(reached={}))
        alive = asyncio.create_task(_reports(store, [US]))
        seen = await observe(store)
        alive.cancel()
        await asyncio.gather(alive, return_exceptions=True)
        assert seen.reports.keys() == {US}, "a report that stands still is nobody's"
        view = seen.view("both", as_of=EU)
        assert (view.here, view.placement) == (US, record.placement)
        assert view.leases.keys() == {US, EU}
        await _records_once(store, record)
        await store.close()

    run(body())


async def _records_once(store: ControlStore, record: PlacementRecord) -> None:
    before = PlanRecord(subject="both")
    following = declare(record.placement, replace(record.placement.wanted, rpo_s_max=7.0))
    assert not isinstance(following, Denied)
    plan = by_hand(record.placement, following, None)
    recorded = await record_plan(store, record, before, plan, PERSON)
    assert recorded.plan == plan and recorded.times is not None and recorded.times.actor == PERSON
    with pytest.raises(IntelGraphError) as changed:
        await record_plan(store, record, before, plan, PERSON)
    assert changed.value.denied.code == "plan_changed"


def test_an_operator_who_hears_no_agent_is_told_so(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
        seen = await observe(store)
        await Directory(store).create_placement(placement())
        with pytest.raises(IntelGraphError) as silent:
            seen.view("both")
        assert silent.value.denied.code == "no_vantage"
        await store.close()

    run(body())
