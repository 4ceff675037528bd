"""Two executors of one plan, in any interleaving, with crashes, lost answers and somebody who gives it up meanwhile.

Every kind of plan obeys the same laws: each effect is had at least once and in order, the plan ends, no record ever
moves back, and what is joined to a move is written once. Each example is one schedule; the store waits before and after
each of its steps, so an executor is stopped, or dies, between any two.
"""

from __future__ import annotations

import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.control.directory.plans import Joined, Record, Times, read_record, wall_now
from intelgraph.control.plans.execution import Effects, PlanExecutor
from intelgraph.control.store.keys import PLANS
from intelgraph.model.errors import IntelGraphError
from intelgraph.plans.plan import RecordedPlan
from intelgraph.plans.states import State
from intelgraph.plans.step import DoIt, GiveUp, Waited, give_up, own_turn
from tests.fakes.control_store import Pause, SteppedStore

from .kinds import KINDS
from .survey import PUBLISHED, Ledger, noted, published

SUBJECT = "subject"
STEPS_MAX = 2_000
Process = Coroutine[Any, Any, None]


def effects_of(plan: RecordedPlan) -> Effects[Any, Ledger]:
    """Effects that note what they do; the one that commits writes something besides."""
    types = {each for table in plan.tables.values() for each in table.types}
    return Effects(plan.tables.values(), {each: published if each.commits else noted for each in types})


@dataclass(kw_only=True)
class World:
    """A store, what the effects have done, and the two executors."""

    plan: RecordedPlan
    store: SteppedStore = field(default_factory=SteppedStore)
    ledger: Ledger = field(default_factory=Ledger)
    processes: list[Process | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        async def pause(name: str) -> None:
            await Pause()

        self.ledger.pause = pause
        self.finish(self._recorded())
        self.processes = [self.executor(), self.executor()]

    async def _recorded(self) -> None:
        executor = PlanExecutor(self.store, effects_of(self.plan), clock=lambda: 0.0)
        times = Times(decided_at=wall_now(), decided_by="eu-west")
        nothing = Record[RecordedPlan](subject=SUBJECT)
        assert await executor.begin(nothing, self.plan, times, Joined())
        assert not await executor.begin(nothing, self.plan, times, Joined()), "one plan at a time"

    async def executor(self) -> None:
        """An agent's process: it knows nothing but what it reads."""
        executor = PlanExecutor(self.store, effects_of(self.plan), clock=lambda: 0.0)
        while True:
            try:
                record = await read_record(self.store, SUBJECT, type(self.plan))
                plan = record.plan
                assert plan is not None
                if plan.current is None:
                    return
                step = own_turn(plan, plan.current, None, Waited(still_s=0.0, bounds=None))
                assert isinstance(step, DoIt)
                await executor.do(record, step.action, self.ledger)
            except IntelGraphError:
                continue

    async def gives_up(self) -> None:
        """Somebody who gives the plan up, if that is still possible when it is read."""
        executor = PlanExecutor(self.store, effects_of(self.plan), clock=lambda: 0.0)
        record = await read_record(self.store, SUBJECT, type(self.plan))
        if record.plan is not None and record.plan.state is State.REVOCABLE:
            step = give_up(record.plan, "a_test", "a test")
            assert isinstance(step, GiveUp)
            await executor.give_up(record, step)

    def happens(self, what: str, which: int) -> None:
        """One event of a schedule."""
        if what == "lose":
            self.store.loses_answer = True
        elif what == "crash":
            process = self.processes[which]
            if process is not None:
                process.close()
            self.processes[which] = self.executor()
        elif which == len(self.processes):
            self.processes.append(self.gives_up())
        else:
            self.step(which)

    def step(self, which: int) -> None:
        """Let one process go on to its next step."""
        process = self.processes[which]
        try:
            if process is not None:
                process.send(None)
        except StopIteration:
            self.processes[which] = None
        except IntelGraphError:
            self.processes[which] = None  # whoever gave up does not know whether that was recorded

    def to_the_end(self) -> None:
        """Everybody goes on, one after the other, until nothing is left to do."""
        for _ in range(STEPS_MAX):
            for which in range(len(self.processes)):
                self.step(which)
            if not any(self.processes):
                return
        raise AssertionError("the plan does not end")

    def finish(self, process: Process) -> None:
        """Run one process alone to its end."""
        try:
            for _ in range(STEPS_MAX):
                process.send(None)
        except StopIteration:
            return
        raise AssertionError("it does not end")

    def history(self) -> list[RecordedPlan]:
        """Every plan that was ever recorded, in order."""
        raw = [msgspec.json.decode(value or b"")["plan"] for value in self.store.written[PLANS + SUBJECT]]
        return [msgspec.convert(each, type(self.plan)) for each in raw]


EVENTS = st.tuples(st.sampled_from(["step"] * 12 + ["crash", "lose"]), st.integers(0, 2))


@given(plan=st.sampled_from(KINDS), schedule=st.lists(EVENTS, max_size=120))
def test_every_effect_is_had_in_order_and_the_plan_ends_and_never_moves_back(
    plan: RecordedPlan, schedule: list[tuple[str, int]]
) -> None:
    world = World(plan=plan)
    for what, which in schedule:
        world.happens(what, min(which, len(world.processes)) if what == "step" else which % 2)
    world.to_the_end()
    history = world.history()
    assert history[0] == plan
    assert all(after.follows(before) for before, after in itertools.pairwise(history))
    last = history[-1]
    assert last.state is (State.DONE if last.abandoned is None else State.UNDONE)
    first_had = list(dict.fromkeys(world.ledger.had))
    through = [each.type.name for each in last.actions]
    assert [name for name in first_had if name in through] == through
    if last.abandoned is None:
        assert first_had == through, "nothing else was done"
        assert set(last.results) == set(through)
    commits = [each for each in plan.table.actions if each.commits]
    written = world.store.written.get(PUBLISHED + plan.id, [])
    assert len(written) == (1 if commits and last.abandoned is None else 0), "what is joined is written once"


@given(plan=st.sampled_from(KINDS), crashes=st.lists(st.integers(0, 60), max_size=8))
def test_an_action_sees_what_was_recorded_of_those_before_it(plan: RecordedPlan, crashes: list[int]) -> None:
    world = World(plan=plan)
    for at in crashes:
        for _ in range(at):
            world.step(0)
        world.happens("crash", 0)
    world.to_the_end()
    names = [each.type.name for each in plan.actions]
    for name, results in zip(world.ledger.had, world.ledger.seen, strict=True):
        assert list(results) == names[: names.index(name)], "the results of every action before it, and no other"
