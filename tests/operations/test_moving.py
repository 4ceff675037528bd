"""Moves and drains without a terminal: what is decided, said, recorded with its actor, and returned."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from intelgraph.control.agent.observer.observing import read_known
from intelgraph.control.directory.placements import Directory
from intelgraph.control.directory.plans import Times, changing, read_plan, record, wall_now
from intelgraph.control.directory.regions import reasons
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.actor import Actor
from intelgraph.model.errors import IntelGraphError
from intelgraph.model.placement import Declared, Durability, Placement
from intelgraph.operations import moves
from intelgraph.operations.moves import Intent, MoveOptions, fail_back, fail_over, nothing_to_move, switch_over
from intelgraph.operations.operator import Step, StepKind
from intelgraph.operations.record import read_record
from intelgraph.operations.regions import drain_region, resume_region
from intelgraph.operations.view import OperatorsView
from intelgraph.placement.membership import by_hand
from intelgraph.placement.plan import Kind, Plan

from .sites import BOTH, EU, PERSON, US, agents_of, operator_of, placement_now, site_of

DRY = MoveOptions(dry_run=True)


async def planned_by(store: ControlStore, placement: str) -> Actor | None:
    """Who asked for the plan that is recorded."""
    times = (await read_plan(store, placement)).times
    assert times is not None
    return times.actor


def test_a_switchover_is_recorded_with_its_actor_and_followed_to_its_end(tmp_path: Path) -> None:
    site, steps = site_of(tmp_path), list[Step]()

    async def body() -> None:
        async with agents_of(site, BOTH) as store:
            moved = await switch_over(operator_of(site, steps), EU, placement="both")
            assert moved.complete and not moved.dry_run
            assert [each.plan.after.home for each in moved.intents] == [EU]
            assert [each.plan.current for each in moved.plans] == [None]
            assert await planned_by(store, "both") == PERSON
        assert (await placement_now(site, "both")).home == EU

    asyncio.run(body())
    assert steps[0] == Step(
        kind=StepKind.DECIDED,
        about="both",
        text="switchover from us-east to eu-west, epoch 2, standby us-east, home",
    )
    assert steps[-1] == Step(kind=StepKind.BEGUN, about="both", text="done: eu-west writes in epoch 2")
    (line,) = read_record(tmp_path)
    assert (line.operation, line.actor) == ("switchover", PERSON)
    assert line.facts == {"to": EU, "placement": "both", "plans": ["both/2/switchover"]}


def test_a_dry_run_says_what_would_be_done_and_records_nothing(tmp_path: Path) -> None:
    site, steps = site_of(tmp_path), list[Step]()

    async def body() -> None:
        async with agents_of(site, BOTH) as store:
            moved = await switch_over(operator_of(site, steps), EU, options=DRY)
            assert [each.text for each in moved.intents] == [
                "both: switchover from us-east to eu-west, epoch 2, standby us-east, home"
            ]
            drained = await drain_region(operator_of(site, steps), US, options=DRY)
            assert drained.complete and drained.dry_run
            assert (await read_plan(store, "both")).plan is None
            assert reasons((await store.read(prefix="regions/")).entries.values()) == {}

    asyncio.run(body())
    assert steps == [] and read_record(tmp_path) == []


def test_a_failback_brings_home_what_is_away_and_says_what_is_not(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    away = replace(BOTH, id="away", declared=Declared(home=EU, durability=Durability.HOME))

    async def body() -> None:
        async with agents_of(site, BOTH, away) as store:
            moved = await fail_back(operator_of(site))
            assert {each.placement: each.note for each in moved.intents if each.plan is None} == {
                "both": "is at home in us-east"
            }
            assert await planned_by(store, "away") == PERSON
        assert (await placement_now(site, "away")).home == EU

    asyncio.run(body())
    assert [(each.operation, each.actor) for each in read_record(tmp_path)] == [("failback", PERSON)]


def test_a_failover_from_a_home_that_lives_is_refused_and_is_recorded_as_asked_for(tmp_path: Path) -> None:
    site = site_of(tmp_path)

    async def body() -> None:
        async with agents_of(site, BOTH) as store:
            moved = await fail_over(operator_of(site), EU, placement="both")
            assert not moved.complete and moved.plans == ()
            assert [each.refused for each in moved.intents] == [True]
            assert (await read_plan(store, "both")).plan is None

    asyncio.run(body())
    (line,) = read_record(tmp_path)
    assert (line.operation, line.actor, line.facts["plans"]) == ("failover", PERSON, [])


def test_a_drain_keeps_its_reason_with_the_region_until_it_is_resumed(tmp_path: Path) -> None:
    site = site_of(tmp_path)

    async def body() -> None:
        async with agents_of(site, BOTH) as store:
            moved = await drain_region(operator_of(site), US)
            assert moved.complete
            assert await planned_by(store, "both") == PERSON
            assert reasons((await store.read(prefix="regions/")).entries.values()) == {US: PERSON.reason}
            assert await resume_region(operator_of(site), US)
            assert not await resume_region(operator_of(site), US)
        assert (await placement_now(site, "both")).home == EU

    asyncio.run(body())
    told = [(each.operation, each.actor, each.facts["region"]) for each in read_record(tmp_path)]
    assert told == [("region drain", PERSON, US), ("region resume", PERSON, US), ("region resume", PERSON, US)]


def test_what_is_not_there_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    site = site_of(tmp_path)

    async def body() -> None:
        for work in (switch_over(operator_of(site), "ap-south"), resume_region(operator_of(site), "ap-south")):
            with pytest.raises(IntelGraphError) as refused:
                await work
            assert refused.value.denied.code == "unknown_region"
        async with agents_of(site, BOTH):
            with pytest.raises(IntelGraphError) as unknown:
                await switch_over(operator_of(site), EU, placement="none")
            assert unknown.value.denied.code == "unknown_placement"

    asyncio.run(body())
    assert read_record(tmp_path) == []


def test_who_cannot_be_recorded_changes_nothing(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    (tmp_path / "fleet").write_text("no directory")

    async def body() -> None:
        async with agents_of(site, BOTH) as store:
            with pytest.raises(IntelGraphError) as refused:
                await drain_region(operator_of(site), US)
            assert refused.value.denied.code == "not_recorded"
            assert (await read_plan(store, "both")).plan is None
            assert reasons((await store.read(prefix="regions/")).entries.values()) == {}

    asyncio.run(body())


@pytest.mark.parametrize(
    ("target", "every", "told"),
    [
        (US, False, "is at home in us-east already"),
        (US, True, "is at home in us-east already"),
        (EU, False, None),
        ("ap-south", True, "stays in us-east: it may not live in ap-south"),
        ("ap-south", False, None),
    ],
)
def test_a_switchover_to_where_it_is_changes_nothing_and_is_no_refusal(
    target: str, every: bool, told: str | None
) -> None:
    assert nothing_to_move(BOTH, None, target, every=every) == told


def test_a_switchover_to_where_it_is_says_that_another_home_is_declared() -> None:
    away = replace(BOTH, declared=Declared(home=EU, durability=Durability.REMOTE))
    told = nothing_to_move(away, None, US, every=False)
    assert (
        told is not None and "its declared home is eu-west: `intelgraph placement declare both --home us-east`" in told
    )


def test_a_switchover_to_where_it_is_about_to_leave_is_decided_about() -> None:
    under_way = by_hand(BOTH, replace(BOTH, epoch=2), None)
    assert nothing_to_move(BOTH, under_way, US, every=False) is None


async def taken_over(store: ControlStore, before: Placement) -> None:
    """The agent of eu-west has raised the placement's epoch, and is about to open it."""
    after = replace(before, home=EU, standby=None, epoch=2)
    plan = Plan(id=f"{before.id}/2/failover", kind=Kind.FAILOVER, before=before, after=after).moved()
    joined = changing(await Directory(store).placement(before.id), after)
    times = Times(decided_at=wall_now(), decided_by=EU)
    assert await record(store, await read_plan(store, before.id), plan, times, joined)


def test_no_plan_takes_the_place_of_one_that_was_not_there_when_it_was_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several placements, where an agent was faster with the first one, and with the others meanwhile."""
    site, both = site_of(tmp_path), (BOTH, replace(BOTH, id="other"))

    async def seen(store: ControlStore, *, to_decide: bool) -> OperatorsView:
        return OperatorsView(known=await read_known(store), reports={}, schemas={}, versions={})

    async def body() -> None:
        async with site.store() as store:
            for each in both:
                await Directory(store).create_placement(each)
            before = await seen(store, to_decide=True)
            plans = [by_hand(each, replace(each, standby=None, epoch=2), None) for each in both]
            intents = [Intent(placement=plan.before.id, plan=plan) for plan in plans]
            for each in both:
                await taken_over(store, each)
            notes = [Intent(placement=each.id, note="is in eu-west already") for each in both]
            done, records = await moves._record(operator_of(site), store, before, intents, lambda view: notes)
            assert (done, records) == (notes, [])
            assert [(await read_plan(store, each.id)).plan for each in both] == [
                Plan(
                    id=f"{each.id}/2/failover",
                    kind=Kind.FAILOVER,
                    before=each,
                    after=replace(each, home=EU, standby=None, epoch=2),
                    next=1,
                )
                for each in both
            ]

    monkeypatch.setattr(moves, "observe", seen)
    asyncio.run(body())
