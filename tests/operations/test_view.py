"""What an operation knows when it decides, and that what it records is only recorded where nothing has changed."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from intelgraph.control.agent.leases.keeper import LeaseKeeper
from intelgraph.control.agent.leases.watching import Watching
from intelgraph.control.directory.placements import Directory, PlacementRecord
from intelgraph.control.directory.plans import PlanRecord
from intelgraph.control.directory.reports import REPORTS, Held, Holding, Seen
from intelgraph.control.store.protocol import ControlStore
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.errors import Denied, IntelGraphError
from intelgraph.model.placement import Durability
from intelgraph.operations.plan_progress import record_plan
from intelgraph.operations.view import observe
from intelgraph.placement.membership import by_hand, declare
from intelgraph.placement.write_path import UNPROBED, WritePath
from tests.control.shell import EU, POLICY, US, placement
from tests.control.stores import run
from tests.fakes.clock import Clock
from tests.fakes.heartbeat import FakeHeartbeat

from .sites import PERSON

HOLDING = Holding(schema="0" * 64, placements={"both": Held(epoch=1, whole=True)})
JUST_STARTED, AT_WORK = Seen(reached={}), Seen(reached={}, holding=HOLDING, writes=UNPROBED)


async def _reports(store: ControlStore, vantages: Sequence[str], seen: Iterable[Seen] = ()) -> None:
    """Each reports, again and again, as agents do, what it sees at first and then as one at work; until cancelled."""
    watchings = [Watching(vantage=name, store=store, policy=POLICY, clock=time.monotonic) for name in vantages]
    for each in itertools.chain(seen, itertools.repeat(AT_WORK)):
        for watching in watchings:
            await watching.look()
            await watching.publish(each)
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


@pytest.mark.parametrize(
    "at_first",
    [
        pytest.param(JUST_STARTED, id="nothing"),
        pytest.param(replace(AT_WORK, holding=Holding(schema=HOLDING.schema)), id="nothing of a new placement"),
        pytest.param(replace(AT_WORK, writes=WritePath()), id="not whether writes get through"),
    ],
)
def test_what_an_agent_does_not_tell_at_first_is_waited_for(tmp_path: Path, at_first: Seen) -> None:
    async def body() -> None:
        store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
        await Directory(store).create_placement(placement(durability=Durability.HOME))
        reporting = asyncio.create_task(_reports(store, [US, EU], itertools.repeat(at_first, 8)))
        while len((await store.read(prefix=REPORTS)).entries) < 2:  # noqa: ASYNC110 - as an operator would
            await asyncio.sleep(0.01)
        seen = await observe(store, to_decide=True)
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)
        told = {name: (report.copy("both"), report.writes) for name, report in seen.reports.items()}
        assert told == {name: (HOLDING.placements["both"].copy(HOLDING), UNPROBED) for name in (US, EU)}
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
