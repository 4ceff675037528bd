"""A plan that an operator asked for: recorded with its actor, and followed until the agents have carried it out.

Whoever stops waiting takes nothing back: the agents go on.
"""

from __future__ import annotations

import asyncio
import time

from intelgraph.control.agent.observer.observing import BY_HAND
from intelgraph.control.directory import plans
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.control.directory.plans import PlanRecord, Times, read_plan, wall_now, what_became_of
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.actor import Actor
from intelgraph.model.errors import refuse, retry
from intelgraph.operations.operator import OnStep, Step, StepKind
from intelgraph.placement.plan import Plan

POLL_S = 0.1


async def record_plan(
    store: ControlStore, placement: PlacementRecord, before: PlanRecord, plan: Plan, actor: Actor
) -> PlanRecord:
    """Record an operator's plan; ``plan_changed`` if another was, or the placement changed, since they were read."""
    times = Times(decided_at=wall_now(), decided_by=BY_HAND, actor=actor)
    if not await plans.record(store, before, plan, times, plans.unchanged(placement)):
        raise retry(
            "plan_changed",
            f"plan {plan.id} is not recorded: {before.subject} or its plan has changed meanwhile; look again",
            retry_after_s=0.0,
            placement=before.subject,
        )
    return await read_plan(store, before.subject)


def given_up(record: PlanRecord) -> str | None:
    """Say why a plan that is over was not carried out; none when it was."""
    return record.plan.abandoned.reason if record.plan is not None and record.plan.abandoned is not None else None


async def follow(
    store: ControlStore, records: list[PlanRecord], *, timeout_s: float, on_step: OnStep
) -> list[PlanRecord]:
    """Wait until every plan is over, telling each action as it begins; ``not_finished`` if that takes too long."""
    until_s = time.monotonic() + timeout_s
    waiting = {record.plan.id: record for record in records if record.plan is not None}
    told: dict[str, Step] = {}
    ended: list[PlanRecord] = []
    while waiting:
        for name, before in list(waiting.items()):
            now = what_became_of(before, await read_plan(store, before.subject))
            step = _step(now)
            if told.get(name) != step:
                told[name] = step
                on_step(step)
            if now.plan is None or now.plan.current is None:
                ended.append(now)
                del waiting[name]
        if waiting and time.monotonic() >= until_s:
            open_ = ", ".join(sorted(waiting))
            raise refuse(
                "not_finished",
                f"not finished after {timeout_s:g} s: {open_}; the agents go on: see `intelgraph status`",
                plans=sorted(waiting),
            )
        if waiting:
            await asyncio.sleep(POLL_S)
    return ended


def _step(record: PlanRecord) -> Step:
    plan = record.plan
    assert plan is not None
    if plan.current is not None:
        text = plan.current.told
    else:
        text = given_up(record) or f"done: {plan.after.home} writes in epoch {plan.after.epoch}"
    return Step(kind=StepKind.BEGUN, about=plan.before.id, text=text)
