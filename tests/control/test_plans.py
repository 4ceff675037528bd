"""Recorded plans on both real stores: nothing moves that has been replaced, and a raise happens whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from intelgraph.control.agent.controller.acting import MOVES, Work
from intelgraph.control.agent.controller.opening import Openings, opening_in
from intelgraph.control.agent.observer.own_database import OwnDatabase, looks_session
from intelgraph.control.directory.placements import Directory, PlacementRecord
from intelgraph.control.directory.plans import (
    POLICY,
    PlanRecord,
    Times,
    changing,
    move,
    read_plan,
    record,
    unchanged,
    wall_now,
)
from intelgraph.control.plans.execution import PlanExecutor
from intelgraph.control.store.keys import LEASES
from intelgraph.control.store.protocol import ABSENT, ControlStore
from intelgraph.model.errors import Denied
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.plan import Kind, Plan
from intelgraph.settings import Database

from .stores import STORES, Open, opened, real_store, run

US, EU = "us-east", "eu-west"
BOTH = Placement(id="both", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.REMOTE)
NOT_THERE = PlacementRecord(placement=BOTH, digest_key="", version=ABSENT)
TIMES = Times(decided_at=wall_now(), decided_by=EU, lost_s=5.5, took_s=0.25)


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    with real_store(request.param, tmp_path) as found:
        yield found


def plan(kind: Kind = Kind.FAILOVER, before: Placement = BOTH, **other: object) -> Plan:
    after = replace(before, home=EU, standby=US, epoch=before.epoch + 1)
    return Plan(id=f"both/{after.epoch}/{kind.value}", kind=kind, before=before, after=after, **other)  # type: ignore[arg-type]


async def recorded(store: ControlStore, wanted: Plan, placement: PlacementRecord | None = None) -> PlanRecord:
    assert await record(store, await read_plan(store, "both"), wanted, TIMES, unchanged(placement or NOT_THERE))
    return await read_plan(store, "both")


async def to_the_end(store: ControlStore, found: PlanRecord) -> None:
    while found.plan is not None and found.plan.current is not None:
        assert await move(store, found, found.plan.moved(), replace(TIMES, finished_at=wall_now()))
        found = await read_plan(store, "both")


def test_a_plan_is_read_as_it_was_recorded(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            assert (await read_plan(store, "both")).plan is None
            wanted = replace(
                plan(force=True, lease_version=7, results={"close": "1/41"}),
                abandoned=Denied(code="home_is_back", reason="it is", facts={"n": 1}),
            )
            found = await recorded(store, wanted)
            assert (found.plan, found.times) == (wanted, TIMES)
            assert TIMES.rto_s == 5.75 and replace(TIMES, took_s=None).rto_s is None

    run(body())


def test_a_plan_that_was_decided_on_a_placement_of_before_is_not_recorded(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            placement = await Directory(store).create_placement(BOTH)
            nothing = await read_plan(store, "both")
            raised = replace(BOTH, epoch=2)
            assert (await Directory(store).update_placement(placement, raised)).placement == raised
            assert not await record(store, nothing, plan(), TIMES, unchanged(placement))
            assert (await read_plan(store, "both")).plan is None

    run(body())


def test_of_two_who_record_and_of_two_who_move_one_succeeds(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            nothing = await read_plan(store, "both")
            assert await record(store, nothing, plan(), TIMES, unchanged(NOT_THERE))
            assert not await record(store, nothing, plan(Kind.SWITCHOVER), TIMES, unchanged(NOT_THERE))
            found = await read_plan(store, "both")
            assert found.plan == plan()
            assert await move(store, found, plan().moved(), TIMES)
            assert not await move(store, found, plan().moved(), TIMES)
            now = await read_plan(store, "both")
            assert now.plan is not None and now.plan.next == 1 and now.plan.current is not None

    run(body())


@pytest.mark.parametrize("meanwhile", ["nothing", "the lease was renewed", "the placement changed"])
def test_a_raise_replaces_the_placement_only_if_nothing_it_stands_on_has_changed(
    open_store: Open, meanwhile: str
) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            directory = Directory(store)
            placed = await directory.create_placement(BOTH)
            assert await store.compare_and_set(expected={LEASES + US: 0}, writes={LEASES + US: b"1"})
            version = (await store.read([LEASES + US])).entries[LEASES + US].version
            found = await recorded(store, plan(lease_version=version), placed)
            assert found.plan is not None
            if meanwhile == "the lease was renewed":
                await store.compare_and_set(expected={LEASES + US: version}, writes={LEASES + US: b"2"})
            elif meanwhile == "the placement changed":
                await directory.update_placement(
                    placed, replace(BOTH, standby=None, epoch=2, durability=Durability.HOME)
                )
            action = found.plan.current
            assert action is not None
            executor = PlanExecutor(store, MOVES, clock=time.monotonic)
            raised = await executor.do(found, action, in_vain(placed)) is not None
            now, plan_now = await directory.placement("both"), await read_plan(store, "both")
            assert plan_now.plan is not None
            assert raised is (meanwhile == "nothing")
            assert (now.placement.home == EU, plan_now.plan.next) == ((True, 1) if raised else (False, 0))
            assert now.digest_key == placed.digest_key, "a placement keeps its key"

    run(body())


def test_what_is_over_is_remembered_and_the_oldest_is_forgotten(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            before = BOTH
            for _ in range(POLICY.past_max + 3):
                wanted = plan(before=before)
                found = await recorded(store, wanted)
                await to_the_end(store, found)
                before = replace(wanted.after, home=US, standby=EU)
            overtaken = await recorded(store, plan(before=before))
            assert overtaken.plan is not None
            found = await recorded(store, replace(overtaken.plan, id="another"))
            assert len(found.past) == POLICY.past_max
            assert [past.given_up for past in found.past[-2:]] == [None, "plan another took its place"]
            assert found.past[-2].times.finished_at is not None

    run(body())


def test_a_placement_that_was_read_before_its_raise_is_not_opened(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            before = await Directory(store).create_placement(BOTH)
            wanted = plan(Kind.RESTAND)
            assert await move(
                store, await recorded(store, wanted, before), wanted.moved(), TIMES, changing(before, wanted.after)
            )
            raised = await read_plan(store, "both")
            assert raised.plan is not None and raised.plan.current is not None
            executor = PlanExecutor(store, MOVES, clock=time.monotonic)
            assert await executor.do(raised, raised.plan.current, in_vain(before)) is None
            assert (await read_plan(store, "both")).plan == raised.plan == wanted.moved()

    run(body())


def in_vain(placement: PlacementRecord) -> Work:
    """What an effect works with in a region whose database nobody can ask."""
    nowhere = Database(host="127.0.0.1", port=1, user="nobody", password="", database="none")
    database = OwnDatabase(looks_session(nowhere, region=EU), region=EU, clock=time.monotonic)
    return Work(placement=placement, database=database, opener=Openings(opening_in(nowhere)))
