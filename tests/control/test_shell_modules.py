"""Modules of agents and of operators' commands that only whole fleets ran: survey, operators' view, set-back clocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.scratch import start_scratch
from intelgraph.control import operating
from intelgraph.control.agent.leases.clock_set_back import ClockSetBack
from intelgraph.control.agent.leases.keeper import Grant, LeaseKeeper
from intelgraph.control.agent.leases.watching import REPORT_OLD_S, Watching
from intelgraph.control.agent.observer.observing import BY_HAND
from intelgraph.control.directory.placements import Directory, PlacementRecord
from intelgraph.control.directory.plans import PlanRecord
from intelgraph.control.directory.reports import Seen
from intelgraph.control.store.protocol import ControlStore
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.errors import Denied, IntelGraphError
from intelgraph.model.placement import Durability
from intelgraph.placement.membership import by_hand, declare
from intelgraph.settings import Database
from tests.fakes.heartbeat import FakeHeartbeat

from .shell import EU, POLICY, US, Clock, Shell, placement
from .stores import run


def test_a_survey_tells_a_link_that_is_down_for_a_while_and_only_as_long_as_it_is(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.tick(at_s=0.0)
    assert "link_down" not in {each.code for each in shell.hook.seen().findings}
    shell.link(active=False)
    shell.hook.seen()
    shell.tick(at_s=120.0)
    found = [each for each in shell.hook.seen().findings if each.code == "link_down"]
    assert [EU in each.reason for each in found] == [True]
    shell.link(active=True)
    assert "link_down" not in {each.code for each in shell.hook.seen().findings}


def test_a_survey_measures_the_lease_and_what_is_at_home_here(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.tick(at_s=1.0)
    shell.hook.seen()
    metrics = shell.hook._metrics
    assert metrics.lease_held._value.get() == 0
    assert metrics.home.labels("both")._value.get() == 1
    shell.agent.grant = Grant(generation="one/1", until_s=9.0, epochs={"both": 1})
    shell.hook.seen()
    assert metrics.lease_held._value.get() == 1
    shell.tick(at_s=9.5)
    shell.hook.seen()
    assert metrics.lease_held._value.get() == 0, "a grant that is over is not held"


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
        seen = await operating.look(store)
        alive.cancel()
        await asyncio.gather(alive, return_exceptions=True)
        assert seen.reports.keys() == {US}, "a report that stands still is nobody's"
        view = seen.view("both", as_of=EU)
        assert (view.here, view.placement) == (US, record.placement)
        assert view.leases.keys() == {US, EU}
        with pytest.raises(IntelGraphError) as unknown:
            operating.check_placements(seen, ["none"])
        assert unknown.value.denied.code == "unknown_placement"
        await _records_once(store, record)
        await store.close()

    run(body())


async def _records_once(store: ControlStore, record: PlacementRecord) -> None:
    before = PlanRecord(placement="both")
    following = declare(record.placement, replace(record.placement.wanted, rpo_s_max=7.0))
    assert not isinstance(following, Denied)
    plan = by_hand(record.placement, following, None)
    recorded = await operating.record_by_hand(store, record, before, plan)
    assert recorded.plan == plan and recorded.times is not None and recorded.times.decided_by == BY_HAND
    with pytest.raises(IntelGraphError) as changed:
        await operating.record_by_hand(store, record, before, plan)
    assert changed.value.denied.code == "plan_changed"


def test_an_operator_who_hears_no_agent_is_told_so(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
        seen = await operating.look(store)
        await Directory(store).create_placement(placement())
        with pytest.raises(IntelGraphError) as silent:
            seen.view("both")
        assert silent.value.denied.code == "no_vantage"
        await store.close()

    run(body())


class Resubscribing(ClockSetBack):
    """Notes which subscriptions are made anew; the first attempt fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.said: list[str] = []
        super().__init__(
            database, here=US, peers=[EU, "us-west"], clock=clock, log=lambda event, **_: self.said.append(event)
        )
        self.tried: list[str] = []
        self.done = asyncio.Event()

    async def _make_anew(self, peer: str) -> bool:
        self.tried.append(peer)
        if len(self.tried) >= 3:
            self.done.set()
        return len(self.tried) > 1


@pytest.mark.postgres
def test_after_the_wall_clock_was_set_back_every_subscription_is_made_anew_until_it_succeeds() -> None:
    async def body() -> None:
        with start_scratch(name="set-back") as postgres:
            # The wall clock is real: it falls behind because this clock is put ahead.
            clock = Clock(time.time())
            watch = Resubscribing(postgres.login(), clock)
            assert not await watch._was_set_back_before()
            running = asyncio.create_task(watch.run())
            while not watch.said:
                clock.now_s += 3600.0
                await asyncio.sleep(0.05)
            await watch.done.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert watch.said[0] == "clock_set_back"
            assert watch.tried[:3] == [EU, "us-west", EU], "what failed is tried again"

    asyncio.run(body())


def test_a_report_that_has_not_changed_for_a_while_is_no_sighting(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
        clock = Clock()
        other = Watching(vantage=EU, store=store, policy=POLICY, clock=clock)
        await other.publish(Seen(reached={}, wall_s=50.0))
        watching = Watching(vantage=US, store=store, policy=POLICY, clock=clock)
        await watching.look()
        clock.now_s += REPORT_OLD_S - 0.5
        await watching.look()
        assert watching.sightings().keys() == {EU}
        assert watching.clocks_apart_s(50.0)[EU] == REPORT_OLD_S - 0.5
        clock.now_s += 1.0
        await watching.look()
        assert watching.sightings() == watching.clocks_apart_s(50.0) == {}
        assert watching.reports.keys() == {EU}
        await store.close()

    run(body())
