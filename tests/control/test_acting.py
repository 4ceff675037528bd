"""What the actions of a placement's plan do, with a database and a store that a test steps through."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.control.agent.controller.acting import MOVES, Work, reopen
from intelgraph.control.directory.placements import PLACEMENTS, PlacementRecord, encode_placement, placement_from
from intelgraph.control.directory.plans import PlanRecord, Times, read_plan, unchanged, wall_now
from intelgraph.control.plans.execution import PlanExecutor
from intelgraph.control.store.keys import LEASES
from intelgraph.model.errors import IntelGraphError, PermanentError
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.plan import CATCH_UP, CLOSE, GATHER, OPEN, RAISE, Kind, Plan
from intelgraph.plans.states import State
from tests.fakes.control_store import Pause, SteppedStore

US, EU = "us-east", "eu-west"
BEFORE = Placement(id="both", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.REMOTE)
TIMES = Times(decided_at=wall_now(), decided_by=EU)


@dataclass(kw_only=True)
class Databases:
    """Both regions' databases: they answer as they are told to, and note what they were asked."""

    answer: dict[str, object] = field(default_factory=lambda: {"status": "ok", "last_position": "1/41"})
    did: list[str] = field(default_factory=list)

    async def ask(self, statement: str, *arguments: object) -> Any:
        await Pause()
        self.did.append(f"{statement.partition('(')[0].removeprefix('select ig.')} {arguments[1]}")
        await Pause()
        return json.dumps(self.answer)

    async def open_epoch(self, record: PlacementRecord, *, force: bool) -> object:
        await Pause()
        self.did.append(f"open {record.placement.epoch}{' by force' if force else ''}")
        await Pause()
        return None


def finish(process: Coroutine[Any, Any, Any]) -> Any:
    """Run something that waits for nobody but itself."""
    while True:
        try:
            process.send(None)
        except StopIteration as ended:
            return ended.value


def plan_of(kind: Kind, **other: Any) -> Plan:
    moves: dict[str, Any] = {} if kind is Kind.RESTAND else {"home": EU, "standby": US}
    after = replace(BEFORE, epoch=2, **moves)
    return Plan(id=f"both/2/{kind.value}", kind=kind, before=BEFORE, after=after, **other)


class World:
    """A placement in a store, and its plan."""

    def __init__(self, kind: Kind, **other: Any) -> None:
        self.store, self.databases = SteppedStore(), Databases()
        writes = {PLACEMENTS + "both": encode_placement(BEFORE, "6b" * 32), LEASES + US: b"1"}
        finish(self.store.compare_and_set(expected=dict.fromkeys(writes, 0), writes=writes))
        self.executor = PlanExecutor(self.store, MOVES, clock=lambda: 0.0)
        record = PlanRecord(subject="both")
        assert finish(self.executor.begin(record, plan_of(kind, **other), TIMES, unchanged(self.placement())))

    def placement(self) -> PlacementRecord:
        key = PLACEMENTS + "both"
        return placement_from(finish(self.store.read([key])).entries[key])

    def record(self) -> PlanRecord:
        found: PlanRecord = finish(read_plan(self.store, "both"))
        return found

    def work(self, placement: PlacementRecord) -> Work:
        return Work(placement=placement, database=self.databases, opener=self.databases)

    async def agents(self) -> None:
        """The agents of both regions: the placement is read before its plan."""
        while True:
            key = PLACEMENTS + "both"
            placement = placement_from((await self.store.read([key])).entries[key])
            record = await read_plan(self.store, "both")
            if record.plan is None or record.plan.current is None:
                return
            try:
                await self.executor.do(record, record.plan.current, self.work(placement))
            except IntelGraphError:
                continue

    def next(self, placement: PlacementRecord | None = None) -> PlanRecord | None:
        """Do the current action; ``placement``: as it was read, if not just now."""
        record = self.record()
        assert record.plan is not None and record.plan.current is not None
        work = self.work(placement or self.placement())
        moved: PlanRecord | None = finish(self.executor.do(record, record.plan.current, work))
        return moved


DID = {
    Kind.FAILOVER: ["open 2"],
    Kind.SWITCHOVER: ["close 1", "open 2"],
    Kind.FAILBACK: ["close 1", "open 2"],
    Kind.RESTAND: ["open 2"],
}


@given(kind=st.sampled_from(Kind), schedule=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=80))
def test_two_agents_that_die_and_start_again_change_a_placement_once_and_open_it_after(
    kind: Kind, schedule: list[tuple[bool, int]]
) -> None:
    world = World(kind)
    processes = [world.agents(), world.agents()]
    for which, what in schedule:
        if what == 0:
            processes[which].close()
            processes[which] = world.agents()
        world.store.loses_answer |= what == 1
        try:
            processes[which].send(None)
        except StopIteration:
            processes[which] = world.agents()
    for process in processes:
        finish(process)
    plan, placed = world.record().plan, world.placement().placement
    assert plan is not None and plan.state is State.DONE and placed == plan.after
    assert len(world.store.written[PLACEMENTS + "both"]) == 2, "it was created, and raised once"
    assert list(dict.fromkeys(world.databases.did)) == DID[kind]


def test_a_close_notes_the_last_position_for_who_catches_up() -> None:
    world = World(Kind.SWITCHOVER)
    moved = world.next()
    assert moved is not None and moved.plan is not None
    assert (moved.plan.last_position, moved.plan.current and moved.plan.current.type) == ("1/41", CATCH_UP)


def test_an_action_that_the_database_refuses_moves_nothing() -> None:
    world = World(Kind.SWITCHOVER)
    world.databases.answer = {"status": "refused", "code": "held", "reason": "it is held"}
    with pytest.raises(PermanentError) as refused:
        world.next()
    plan = world.record().plan
    assert (refused.value.denied.code, refused.value.denied.reason) == ("held", "it is held")
    assert plan is not None and plan.current is not None and plan.current.type is CLOSE


def test_a_failover_does_not_raise_when_the_home_has_renewed_since_it_was_watched() -> None:
    world = World(Kind.FAILOVER, lease_version=1)
    version = finish(world.store.read([LEASES + US])).entries[LEASES + US].version
    assert version == 1
    assert finish(world.store.compare_and_set(expected={LEASES + US: version}, writes={LEASES + US: b"2"}))
    assert world.next() is None
    plan = world.record().plan
    assert plan is not None and plan.current is not None and plan.current.type is RAISE
    assert world.placement().placement == BEFORE


def test_an_epoch_is_not_opened_with_a_placement_that_was_read_before_its_raise() -> None:
    world = World(Kind.FAILOVER, force=True)
    before = world.placement()
    for current in (GATHER, OPEN):
        moved = world.next()
        assert moved is not None and moved.plan is not None
        assert moved.plan.current is not None and moved.plan.current.type is current
    assert world.next(before) is None and world.databases.did == []
    assert world.next() is not None and world.databases.did == ["open 2 by force"]


@pytest.mark.parametrize(
    ("code", "is_refused"),
    [("fenced", False), ("not_home", False), ("unknown_placement", False), ("held", True)],
)
def test_a_close_that_a_later_epoch_has_undone_needs_no_undoing(code: str, is_refused: bool) -> None:
    databases = Databases(answer={"status": "refused", "code": code, "reason": "a test"})
    if is_refused:
        with pytest.raises(PermanentError):
            finish(reopen(databases, "both", 1))
    else:
        finish(reopen(databases, "both", 1))
    assert databases.did == ["reopen 1"]
