"""Whoever follows a plan is told what became of its own plan, whatever has been recorded since."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.control.directory.plans import POLICY, PlanRecord, Times, move, read_plan, record, unchanged, wall_now
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
    assert await record(store, await read_plan(store, "both"), wanted, TIMES, unchanged(PLACED))
    return await read_plan(store, "both")


async def ends(store: ControlStore, found: PlanRecord) -> None:
    while found.plan is not None and found.plan.current is not None:
        assert await move(store, found, found.plan.moved(), TIMES)
        found = await read_plan(store, "both")


def followed(tmp_path: Path, *, became: str, others: int) -> list[PlanRecord]:
    """What is told of a plan when ``others`` have been recorded since it became what it became."""

    async def body() -> list[PlanRecord]:
        store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
        try:
            mine = await recorded(store, plan(1))
            assert mine.plan is not None
            if became == "done":
                await ends(store, mine)
            elif became == "given up":
                why = Denied(code="home_is_back", reason="the home is back")
                assert await move(store, mine, mine.plan.given_up(why), TIMES)
                await ends(store, await read_plan(store, "both"))
            for number in range(others):
                await recorded(store, plan(2 + number))
            return await follow(store, [mine], timeout_s=60.0, on_step=no_step)
        finally:
            await store.close()

    return asyncio.run(body())


@pytest.mark.parametrize("others", [0, 1, POLICY.past_max])
def test_a_plan_that_was_carried_out_is_done_although_others_were_recorded_since(tmp_path: Path, others: int) -> None:
    (ended,) = followed(tmp_path, became="done", others=others)
    assert ended.plan is not None
    assert (ended.plan.id, ended.plan.current, ended.plan.abandoned) == (plan(1).id, None, None)


@pytest.mark.parametrize(
    ("became", "others", "told"),
    [
        ("overtaken", 1, "plan both/2/restand was not carried out: plan both/3/restand took its place"),
        ("given up", 1, "plan both/2/restand was not carried out: the home is back"),
        ("done", POLICY.past_max + 1, f"only the last {POLICY.past_max} plans of both are remembered"),
    ],
)
def test_a_plan_that_was_not_or_may_not_have_been_is_refused(
    tmp_path: Path, became: str, others: int, told: str
) -> None:
    with pytest.raises(PermanentError, match=told) as refused:
        followed(tmp_path, became=became, others=others)
    assert refused.value.denied.code == "plan_replaced"
