"""Modules of agents that only whole fleets ran: survey, set-back clocks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from bench.scratch import start_scratch
from intelgraph.control.agent.leases.clock_set_back import ClockSetBack
from intelgraph.control.agent.leases.keeper import Grant
from intelgraph.control.agent.leases.watching import REPORT_OLD_S, Watching
from intelgraph.control.directory.reports import Seen
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.settings import Database
from tests.fakes.clock import Clock

from .shell import EU, POLICY, US, Shell
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
    metrics = shell.ports.metrics
    assert metrics.lease_held._value.get() == 0
    assert metrics.home.labels("both")._value.get() == 1
    shell.agent.grant = Grant(generation="one/1", until_s=9.0, epochs={"both": 1})
    shell.hook.seen()
    assert metrics.lease_held._value.get() == 1
    shell.tick(at_s=9.5)
    shell.hook.seen()
    assert metrics.lease_held._value.get() == 0, "a grant that is over is not held"


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
        assert watching.heard().keys() == {EU}
        assert watching.clocks_apart_s(50.0)[EU] == REPORT_OLD_S - 0.5
        clock.now_s += 1.0
        await watching.look()
        assert watching.heard() == watching.clocks_apart_s(50.0) == {}
        assert watching.reports.keys() == {EU}
        await store.close()

    run(body())
