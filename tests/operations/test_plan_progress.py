"""Whoever follows a plan is told what became of its own plan, whatever has been recorded since."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.control.directory.plans import PAST_MAX, PlanRecord, Times, move, read_plan, record, wall_now
from intelgraph.control.store.protocol import ABSENT, ControlStore
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.errors import Denied, PermanentError
from intelgraph.model.placement import Durability, Placement
from intelgraph.operations.operator import no_step
from intelgraph.operations.plan_progress import follow
from intelgraph.placement.plan import Kind, Plan

US, EU = "us-east", "eu-west"
BOTH = Placement(id="both", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.REMOTE)
PLACED = PlacementRecord(placement=BOTH, digest_key="", version=ABSENT)
TIMES = Times(decided_at=wall_now(), decided_by="command line")


def plan(number: int) -> Plan:
    before = replace(BOTH, epoch=number)
    return Plan(
        id=f"both/{number + 1}/restand", kind=Kind.RESTAND, before=before, after=replace(before, epoch=number + 1)
    )


async def recorded(store: ControlStore, wanted: Plan) -> PlanRecord:
    assert await record(store, PLACED, await read_plan(store, "both"), wanted, TIMES)
    return await read_plan(store, "both")


async def ends(store: ControlStore, found: PlanRecord, *, as_: Plan) -> None:
    assert await move(store, found, as_, TIMES)


def followed(tmp_path: Path, *, became: str, others: int) -> list[PlanRecord]:
    """What is told of a plan when ``others`` have been recorded since it became what it became."""

    async def body() -> list[PlanRecord]:
        store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
        try:
            mine = await recorded(store, plan(1))
            assert mine.plan is not None
            if became == "done":
                await ends(store, mine, as_=replace(mine.plan, next=len(mine.plan.actions)))
            elif became == "given up":
                why = Denied(code="home_is_back", reason="the home is back")
                await ends(store, mine, as_=mine.plan.given_up(why).moved())
            for number in range(others):
                await recorded(store, plan(2 + number))
            return await follow(store, [mine], timeout_s=60.0, on_step=no_step)
        finally:
            await store.close()

    return asyncio.run(body())


@pytest.mark.parametrize("others", [0, 1, PAST_MAX])
def test_a_plan_that_was_carried_out_is_done_although_others_were_recorded_since(tmp_path: Path, others: int) -> None:
    (ended,) = followed(tmp_path, became="done", others=others)
    assert ended.plan is not None
    assert (ended.plan.id, ended.plan.turn, ended.plan.abandoned) == (plan(1).id, None, None)


@pytest.mark.parametrize(
    ("became", "others", "told"),
    [
        ("overtaken", 1, "plan both/2/restand was not carried out: plan both/3/restand took its place"),
        ("given up", 1, "plan both/2/restand was not carried out: the home is back"),
        ("done", PAST_MAX + 1, f"only the last {PAST_MAX} plans of both are remembered"),
    ],
)
def test_a_plan_that_was_not_or_may_not_have_been_is_refused(
    tmp_path: Path, became: str, others: int, told: str
) -> None:
    with pytest.raises(PermanentError, match=told) as refused:
        followed(tmp_path, became=became, others=others)
    assert refused.value.denied.code == "plan_replaced"
