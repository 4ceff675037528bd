"""The agent's shell: what is read first, which clock reading counts, what a pause of one's own means, what is refused.

Each test finds one mistake that was once planted in this shell and that no quick test saw.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from bench.scratch import Scratch, start_scratch
from intelgraph.changelog.install import install_schema
from intelgraph.changelog.links import slot_name
from intelgraph.control.agent.controller.acting import MOVES, Work
from intelgraph.control.agent.controller.opening import Openings, open_epoch, opening_in
from intelgraph.control.agent.leases.keeper import LeaseKeeper
from intelgraph.control.agent.leases.watching import Watching
from intelgraph.control.agent.observer.own_database import OwnDatabase, looks_session
from intelgraph.control.directory import plans
from intelgraph.control.directory.placements import PLACEMENTS, Directory, PlacementRecord
from intelgraph.control.directory.plans import PlanRecord, Times, changing, read_plan, unchanged, wall_now
from intelgraph.control.plans.execution import PlanExecutor
from intelgraph.control.store.keys import PLANS
from intelgraph.control.store.protocol import ControlStore, Snapshot
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.errors import Denied, PermanentError
from intelgraph.model.placement import Placement, StandbyLoss
from intelgraph.placement.plan import OPEN, RAISE, Kind, Plan
from tests.fakes.clock import Clock
from tests.fakes.heartbeat import FakeHeartbeat

from .shell import EU, LOGIN, POLICY, US, Shell, placement
from .stores import Watched, run


class Between(Watched):
    """A real store, with what happens after its first read of one of some prefixes, or before each answer."""

    def __init__(self, store: ControlStore) -> None:
        super().__init__(store)
        self.after_read: Callable[[], Awaitable[None]] | None = None
        self.prefixes = (PLACEMENTS, PLANS)
        self.on_read: Callable[[], None] = lambda: None

    async def read(self, keys: Sequence[str] = (), *, prefix: str | None = None) -> Snapshot:
        self.on_read()
        found = await super().read(keys, prefix=prefix)
        if prefix in self.prefixes and self.after_read is not None:
            after, self.after_read = self.after_read, None
            await after()
        return found


def recorded_plan(record: PlanRecord) -> Plan:
    assert record.plan is not None
    return record.plan


def failover(before: Placement, after: Placement) -> Plan:
    return Plan(id=f"{before.id}/2", kind=Kind.FAILOVER, before=before, after=after)


def test_a_renewal_never_pairs_a_placement_that_was_raised_with_the_plan_before(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
        directory = Directory(store)
        before = placement(home=EU, standby=US)
        after = placement(home=US, standby=EU, epoch=2)
        record = await directory.create_placement(before)
        between = Between(store)

        async def taken_over() -> None:
            plan = failover(before, after)
            times = Times(decided_at=wall_now(), decided_by=US)
            assert await plans.record(store, PlanRecord(subject="both"), plan, times, unchanged(record))
            recorded = await read_plan(store, "both")
            while (plan := recorded_plan(recorded)).current is not None and plan.current.type is not OPEN:
                joined = changing(record, after) if plan.current.type is RAISE else None
                assert await plans.move(store, recorded, plan.moved(), times, joined)
                recorded = await read_plan(store, "both")

        between.after_read = taken_over
        keeper = LeaseKeeper(
            region=US, term="one", store=between, heartbeat=FakeHeartbeat(), policy=POLICY, clock=Clock()
        )
        assert (await keeper.renew()).epochs == {}, "the epoch is raised and not open: nobody may write in it"
        assert between.after_read is None
        await store.close()

    run(body())


def test_a_look_counts_from_the_answer_and_not_from_the_question(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
        clock, between = Clock(), Between(store)
        keeper = LeaseKeeper(region=EU, term="one", store=store, heartbeat=FakeHeartbeat(), policy=POLICY, clock=clock)
        await keeper.renew()
        watching = Watching(vantage=US, store=between, policy=POLICY, clock=clock)

        def slow() -> None:
            clock.now_s += 4.0
            between.on_read = lambda: None

        between.on_read = slow
        await watching.look()
        assert watching.looked_s == clock.now_s == 104.0
        clock.now_s += 0.25
        await watching.look()
        assert watching.leases[EU].still_s == 0.25, "the lease may have been renewed until the first answer came"
        await store.close()

    run(body())


def test_of_the_time_between_two_ticks_no_more_counts_than_a_look_can_have_seen(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.tick(at_s=0.0, plan=True)
    shell.tick(at_s=1.0, plan=True)
    before = shell.view()
    shell.tick(at_s=31.0, plan=True)  # this process was paused
    after = shell.view()
    assert after.plan_still_s - before.plan_still_s <= 1.0
    assert after.steady_s.get(EU, 0.0) - before.steady_s.get(EU, 0.0) <= 1.0


def test_one_s_own_pause_is_not_the_standby_s_silence(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.tick(at_s=0.0)
    shell.tick(at_s=1.0)
    shell.tick(at_s=31.0, confirmed_s=1.0)
    assert (shell.database.unconfirmed_s(EU) or 0.0) >= 30.0
    stalled_s = shell.view().stalled_s
    assert stalled_s is not None and stalled_s <= 2.0
    for second in range(32, 40):
        shell.tick(at_s=float(second), confirmed_s=1.0)
    assert (shell.view().stalled_s or 0.0) >= 7.0, "a silence that was watched counts"


class Answers(OwnDatabase):
    """A database whose looks take three seconds, and whose standby has flushed all that there is."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(looks_session(LOGIN, region=US), region=US, clock=clock)
        self._hands = clock

    async def ask(self, statement: str, *arguments: object) -> str:
        self._hands.now_s += 3.0
        return json.dumps(
            {
                "region": US,
                "life": 1,
                "schema": "5",
                "flush": "0/100",
                "settled": {},
                "tokens": {},
                "placements": {},
                "links": {
                    "slots": {name: {"active": True, "lost": False, "kept_bytes": 0, "flushed": "0/100"}
                              for name in (slot_name(US, EU),)},
                    "made": {},
                    "subscriptions": {},
                },
                "troubles": 0,
            }
        )  # fmt: skip


def test_what_a_standby_has_flushed_is_as_old_as_the_question_of_the_look() -> None:
    async def body() -> None:
        clock = Clock()
        database = Answers(clock)
        await database.look()
        assert database.confirmed_s(EU) == 100.0, "what was committed while the look lasted may lie beyond its position"
        assert database.unconfirmed_s(EU) == 3.0

    run(body())


@pytest.mark.parametrize("loss", [StandbyLoss.STRICT, StandbyLoss.DEGRADE])
def test_a_strict_placement_without_its_standby_refuses_and_says_why(tmp_path: Path, loss: StandbyLoss) -> None:
    shell = Shell(tmp_path, loss=loss)
    for second in range(12):
        shell.tick(at_s=float(second), confirmed_s=0.0)
    decided = shell.decide()
    bound = shell.hook.bounds()["both"]
    if loss is StandbyLoss.STRICT:
        assert decided is None
        assert bound.refused_code == "standby_lost"
        assert EU in bound.refused_reason
    else:
        assert decided is not None and decided.after.standby is None
        assert bound.refused_code == ""


@pytest.mark.postgres
def test_an_opening_is_forced_only_when_its_plan_says_so(tmp_path: Path) -> None:
    async def body() -> None:
        with start_scratch(name="forced") as postgres:
            store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
            executor = PlanExecutor(store, MOVES, clock=Clock())
            placed = await opening_with_a_gap(store, postgres)
            work = Work(
                placement=placed,
                database=OwnDatabase(looks_session(postgres.login(), region=EU), region=EU, clock=Clock()),
                opener=Openings(opening_in(postgres.login())),
            )
            record = await read_plan(store, "both")
            action = recorded_plan(record).current
            assert action is not None and action.type is OPEN
            with pytest.raises(PermanentError) as refused:
                await executor.do(record, action, work)
            assert refused.value.denied.code == "gap"
            forced = replace(record, plan=replace(recorded_plan(record), force=True))
            assert await executor.do(forced, action, work) is not None
            await store.close()

    asyncio.run(body())


async def opening_with_a_gap(store: SqliteControlStore, postgres: Scratch) -> PlacementRecord:
    """A failover to eu-west that has come to its ``open``, in a database of which rows may be missing."""
    connection = await asyncpg.connect(**postgres.connect_arguments())
    await install_schema(connection, region=EU, peers=[US])
    directory = Directory(store)
    before, after = placement(home=EU, standby=US), placement(home=EU, standby=US, epoch=2)
    record = await directory.create_placement(before)
    await open_epoch(record, postgres.login())
    await connection.execute("update ig.placement set gap = 'a slot was lost'")
    await connection.close()
    plan = Plan(id="both/2", kind=Kind.FAILOVER, before=placement(home=US, standby=EU), after=after)
    while plan.current is not None and plan.current.type is not OPEN:
        plan = plan.moved()
    times = Times(decided_at=wall_now(), decided_by=EU)
    assert await plans.record(store, PlanRecord(subject="both"), plan, times, unchanged(record))
    return await directory.update_placement(record, after)


def test_a_home_whose_lease_ends_names_no_other_standby(tmp_path: Path) -> None:
    shell = Shell(tmp_path, loss=StandbyLoss.DEGRADE)
    for second in range(12):
        shell.tick(at_s=float(second), confirmed_s=0.0)
    assert shell.decide() is not None
    shell.agent.not_renewed = Denied(code="control_store_unavailable", reason="the lease is not renewed")
    assert shell.decide() is None, "an epoch that it raised now could not be opened before it is taken over from"
