"""Renewing and watching leases, on both real stores; the heartbeat on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from bench.scratch import start_scratch
from intelgraph.changelog.install import install_schema
from intelgraph.control.agent.leases.heartbeat import PostgresHeartbeat
from intelgraph.control.agent.leases.keeper import LeaseKeeper, lease_from
from intelgraph.control.agent.leases.watching import REPORT_OLD_S, Watching
from intelgraph.control.directory.placements import PLACEMENTS, Directory
from intelgraph.control.directory.plans import Times, changing, read_plan, record, unchanged, wall_now
from intelgraph.control.directory.reports import Held, Holding, Seen
from intelgraph.control.store.keys import LEASES
from intelgraph.control.store.protocol import ControlStore, Snapshot
from intelgraph.model.errors import IntelGraphError
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.lease import LeasePolicy, is_over
from intelgraph.placement.observation import sightings
from intelgraph.placement.plan import Kind, Plan
from tests.fakes.clock import Clock
from tests.fakes.heartbeat import FakeHeartbeat
from tests.machine import stretched

from .stores import STORES, Open, Watched, opened, real_store, run

US, EU = "us-east", "eu-west"
POLICY = LeasePolicy()
BOTH = Placement(id="both", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME)


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    with real_store(request.param, tmp_path) as found:
        yield found


def keeper(
    store: ControlStore, *, heartbeat: FakeHeartbeat | None = None, term: str = "one", clock: Clock | None = None
) -> LeaseKeeper:
    return LeaseKeeper(
        region=US,
        term=term,
        store=store,
        heartbeat=heartbeat or FakeHeartbeat(),
        policy=POLICY,
        clock=clock or Clock(),
    )


async def code_of(renewing: LeaseKeeper) -> str:
    with pytest.raises(IntelGraphError) as refused:
        await renewing.renew()
    return refused.value.denied.code


async def counter(store: ControlStore) -> int:
    value = lease_from((await store.read([LEASES + US])).entries[LEASES + US])
    return value.counter if value is not None else 0


def test_a_grant_names_the_region_s_own_placements_in_their_epochs(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            directory = Directory(store)
            await directory.create_placement(BOTH)
            await directory.create_placement(replace(BOTH, id="theirs", home=EU, standby=US))
            assert (await keeper(store).renew()).epochs == {"both": 1}
            assert await counter(store) == 1

    run(body())


def test_a_grant_counts_from_before_the_heartbeat_however_long_that_takes(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            clock = Clock()

            def slow() -> None:
                clock.now_s += 3.0

            grant = await keeper(store, clock=clock, heartbeat=FakeHeartbeat(slow)).renew()
            assert grant.until_s == 100.0 + POLICY.lease_s - POLICY.drift_s

    run(body())


def test_an_epoch_that_is_raised_just_after_the_counter_is_not_granted_as_it_was(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store, 2) as [store, other]:
            directory = Directory(other)
            record = await directory.create_placement(BOTH)
            between = Watched(store)

            async def taken_over() -> None:
                await directory.update_placement(record, replace(BOTH, home=EU, standby=US, epoch=2))

            between.after_set = taken_over
            assert (await keeper(between).renew()).epochs == {}

    run(body())


class _BetweenReads:
    """A store to which something happens after placements were read, and before their plans are."""

    def __init__(self, store: ControlStore, happens: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._happens = happens
        self.compare_and_set = store.compare_and_set
        self.watch = store.watch
        self.close = store.close

    async def read(self, keys: Sequence[str] = (), *, prefix: str | None = None) -> Snapshot:
        found = await self._store.read(keys, prefix=prefix)
        if prefix == PLACEMENTS:
            await self._happens()
        return found


def test_an_epoch_that_was_never_opened_is_not_granted_by_a_plan_that_came_after_it(open_store: Open) -> None:
    """us-east has raised 2 and could not open it: eu-west opens 3, and the next plan is recorded, between two reads."""
    raised = replace(BOTH, home=US, standby=None, epoch=2)
    taken, following = replace(BOTH, home=EU, standby=US, epoch=3), replace(BOTH, home=EU, standby=None, epoch=4)

    async def body() -> None:
        async with opened(open_store) as [store]:
            placement = await Directory(store).create_placement(BOTH)
            failover = Plan(id="both/2/failover", kind=Kind.FAILOVER, before=replace(BOTH, home=EU, standby=US),
                            after=raised, next=1)  # fmt: skip
            times = Times(decided_at=wall_now(), decided_by=US)
            assert await record(store, await read_plan(store, "both"), failover, times, changing(placement, raised))
            assert (await keeper(store).renew()).epochs == {}

            async def goes_on() -> None:
                for before, after, granted, at in ((raised, taken, BOTH, 3), (taken, following, None, 0)):
                    plan = Plan(id=f"both/{after.epoch}/x", kind=Kind.FAILOVER, before=before, after=after,
                                granted=granted, next=at)  # fmt: skip
                    now = await Directory(store).placement("both")
                    joined = changing(now, after) if at else unchanged(now)
                    assert await record(store, await read_plan(store, "both"), plan, times, joined)

            assert (await keeper(_BetweenReads(store, goes_on)).renew()).epochs == {}

    run(body())


def test_a_database_that_cannot_commit_raises_no_counter(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            heartbeat = FakeHeartbeat()
            renewing = keeper(store, heartbeat=heartbeat)
            await renewing.renew()
            heartbeat.away = True
            assert await code_of(renewing) == "database_unavailable"
            assert await counter(store) == 1
            heartbeat.away = False
            await renewing.renew()
            assert await counter(store) == 2

    run(body())


def test_a_renewal_of_which_nobody_knows_whether_it_happened_grants_nothing_and_the_next_one_does(
    open_store: Open,
) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            between = Watched(store)
            renewing = keeper(between)
            await renewing.renew()
            between.loses_answer = True
            assert await code_of(renewing) == "control_store_unavailable"
            await renewing.renew()
            assert await counter(store) == 3

    run(body())


def test_an_agent_started_anew_on_the_same_database_takes_its_predecessor_s_lease_over_at_once(
    open_store: Open,
) -> None:
    async def body() -> None:
        async with opened(open_store) as [store]:
            heartbeat = FakeHeartbeat()
            first = keeper(store, heartbeat=heartbeat)
            before = await first.renew()
            after = await keeper(store, heartbeat=heartbeat, term="two").renew()
            assert await counter(store) == 2
            assert after.generation != before.generation

    run(body())


def test_two_agents_that_claim_one_region_do_not_renew_side_by_side(open_store: Open) -> None:
    """The second one's database has never seen the first: it waits until that lease has stood still."""

    async def body() -> None:
        async with opened(open_store, 2) as [store, other]:
            clock = Clock()
            first, second = keeper(store), keeper(other, term="two", clock=clock)
            await first.renew()
            for _ in range(20):
                assert await code_of(second) == "lease_taken"
                await first.renew()
                clock.now_s += 0.5
            waited_s = 0.0
            assert await code_of(second) == "lease_taken"
            while waited_s < POLICY.over_after_s - 0.5:
                clock.now_s += 0.5
                waited_s += 0.5
                assert await code_of(second) == "lease_taken"
            clock.now_s += 0.5
            await second.renew()
            assert await code_of(first) == "lease_taken"
            assert await code_of(first) == "lease_taken"

    run(body())


def test_a_watcher_sees_a_lease_stand_still_and_move(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store, 2) as [store, other]:
            renewing, clock = keeper(store), Clock()
            watching = Watching(vantage=EU, store=other, policy=POLICY, clock=clock)
            await renewing.renew()
            await watching.look()
            assert watching.holders[US].term == "one"
            for _ in range(11):
                clock.now_s += 0.5
                await watching.look()
            assert watching.leases[US].still_s == 5.5
            assert is_over(watching.leases[US], POLICY)
            await renewing.renew()
            await watching.look()
            assert watching.leases[US].still_s == 0.0

    run(body())


def test_reports_tell_what_others_see_and_old_ones_are_left_out(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store, 2) as [store, other]:
            clock = Clock()
            witness = Watching(vantage="witness", store=store, policy=POLICY, clock=Clock())
            watching = Watching(vantage=EU, store=other, policy=POLICY, clock=clock)
            await keeper(store).renew()
            await witness.look()
            held = Holding(schema="abc", settled={"us-east/1": 7}, placements={"both": Held(epoch=1)})
            for _ in range(2):
                await witness.publish(Seen(reached={US: True}, holding=held))
                await watching.publish(Seen())
                await watching.look()
                clock.now_s += REPORT_OLD_S - 0.1
            told = watching.heard()
            assert sightings(told)["witness"][US].reached
            assert told["witness"].holding == held
            clock.now_s += 0.2
            await watching.look()
            assert watching.heard() == {}

    run(body())


def test_one_agent_at_a_time_beats_in_a_database_and_the_next_one_finds_its_term() -> None:
    async def body() -> None:
        with start_scratch(name="beat") as postgres:
            connection = await asyncpg.connect(**postgres.connect_arguments())
            await install_schema(connection, region=US, peers=[EU])
            one, two = PostgresHeartbeat(postgres.login()), PostgresHeartbeat(postgres.login())
            beat = await one.beat("one", 1)
            assert (beat.life, beat.terms) == (1, {"one"})
            with pytest.raises(IntelGraphError) as refused:
                await two.beat("two", 1)
            assert refused.value.denied.code == "agent_twice"
            await one.close()
            while True:
                try:
                    assert (await two.beat("two", 2)).terms == {"one", "two"}
                    break
                except IntelGraphError:
                    await asyncio.sleep(0.02)
            await connection.execute("begin; lock table ig.heartbeat in exclusive mode")
            began = time.monotonic()
            with pytest.raises(IntelGraphError) as stuck:
                await two.beat("two", 3)
            assert stuck.value.denied.code == "database_unavailable"
            assert time.monotonic() - began < stretched(2, began)
            await connection.execute("rollback")
            await two.close()
            await connection.close()

    run(body())
