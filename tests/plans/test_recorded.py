"""A second kind of plan on both real stores: recorded, left by a process that dies anywhere, resumed, and given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from intelgraph.control.agent.observer.observing import read_known
from intelgraph.control.directory.plans import (
    Joined,
    Record,
    Times,
    move,
    plan_from,
    read_record,
    wall_now,
    what_became_of,
)
from intelgraph.control.plans.execution import Effects, PlanExecutor
from intelgraph.control.store.keys import PLANS
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.errors import PermanentError
from intelgraph.plans.plan import OPERATOR
from intelgraph.plans.states import IllegalEvent, State
from intelgraph.plans.step import DoIt, GiveUp, Nothing, Waited, give_up, others_turn, own_turn
from tests.control.stores import STORES, Open, Watched, opened, real_store, run

from .survey import MEASURE, PUBLISH, PUBLISHED, SURVEYS, TABLES, Ledger, Survey, SurveyBounds, SurveyKind, noted

US, EU = "us-east", "eu-west"
TIMES = Times(decided_at=wall_now(), decided_by=US)
PLACES = ("before its effect", "after its effect", "before its move", "after its move")


class Died(Exception):
    """The process is gone."""


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    with real_store(request.param, tmp_path) as found:
        yield found


def survey(name: str, kind: SurveyKind = SurveyKind.SURVEY) -> Survey:
    return Survey(id=f"survey/{name}/1", kind=kind, about=name, home=US, standby=EU)


async def begun(store: ControlStore, plan: Survey) -> Record[Survey]:
    executor = PlanExecutor(store, SURVEYS, clock=lambda: 0.0)
    nothing = await read_record(store, f"survey/{plan.about}", Survey)
    assert nothing.plan is None
    assert await executor.begin(nothing, plan, TIMES, Joined())
    return await read_record(store, nothing.subject, Survey)


class Dying(Watched):
    """A store whose client dies before or after a write."""

    dies: str | None = None

    async def compare_and_set(self, *, expected: Mapping[str, int], writes: Mapping[str, bytes | None]) -> bool:
        if self.dies == "before its move":
            raise Died
        written = await super().compare_and_set(expected=expected, writes=writes)
        if self.dies == "after its move":
            raise Died
        return written


@dataclass(kw_only=True)
class Process:
    """An agent: it may do what is for one of ``who``, and dies at a place of an action, if it is told to."""

    store: ControlStore
    ledger: Ledger
    who: tuple[str, ...] = (US, EU, OPERATOR)
    dies: tuple[str, str] | None = None

    async def run(self, subject: str) -> Record[Survey]:
        """Go on with a plan until nothing is left to do for one of ``who``."""
        store = Dying(self.store)
        executor = PlanExecutor(store, SURVEYS, clock=lambda: 0.0)
        while True:
            record = await read_record(store, subject, Survey)
            plan = record.plan
            assert plan is not None
            if plan.current is None or not any(plan.current.is_for(each) for each in self.who):
                return record
            name = plan.current.type.name
            place = self.dies[1] if self.dies is not None and self.dies[0] == name else None
            store.dies = place if place in PLACES[2:] else None
            self.ledger.pause = self._pause(place)
            step = own_turn(plan, plan.current, None, Waited(still_s=0.0, bounds=SurveyBounds()))
            assert isinstance(step, DoIt)
            assert await executor.do(record, step.action, self.ledger) is not None

    def _pause(self, place: str | None) -> Callable[[str], Awaitable[None]]:
        seen: list[str] = []

        async def pause(name: str) -> None:
            seen.append(name)
            if place in PLACES[:2] and len(seen) == PLACES.index(place) + 1:
                raise Died

        return pause


def test_a_plan_that_is_left_anywhere_is_resumed_by_whoever_comes_next(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store, 2) as (first, second):
            for action in TABLES["survey"].actions:
                for number, place in enumerate(PLACES):
                    ledger = Ledger()
                    plan = survey(f"{action.name}-{number}")
                    record = await begun(first, plan)
                    with pytest.raises(Died):
                        await Process(store=first, ledger=ledger, dies=(action.name, place)).run(record.subject)
                    ended = await Process(store=second, ledger=ledger).run(record.subject)
                    names = [each.name for each in TABLES["survey"].actions]
                    assert ended.plan is not None and ended.times is not None
                    assert (ended.plan.state, list(ended.plan.results)) == (State.DONE, names)
                    assert list(dict.fromkeys(ledger.had)) == names
                    again = [name for name in names if ledger.had.count(name) > 1]
                    assert again == ([action.name] if place in PLACES[1:3] else [])
                    assert list(ended.times.done_at) == names and ended.times.finished_at is not None
                    assert ended.times.took_s is None, "no process lived through all of it"
                    assert (await second.read([PUBLISHED + plan.id])).entries[PUBLISHED + plan.id].value == b"1"

    run(body())


def test_a_plan_that_is_given_up_is_undone_wherever_it_was_and_whoever_dies_of_it(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store, 2) as (first, second):
            revocable = TABLES["survey"].actions[: TABLES["survey"].actions.index(PUBLISH) + 1]
            for action in revocable:
                for undo in TABLES["survey"].undo:
                    ledger = Ledger()
                    record = await begun(first, survey(f"{action.name}-{undo.name}"))
                    with pytest.raises(Died):
                        dies = (action.name, PLACES[0])
                        await Process(store=first, ledger=ledger, dies=dies).run(record.subject)
                    left = await read_record(second, record.subject, Survey)
                    assert left.plan is not None and left.plan.current is not None
                    bound = Waited(still_s=0.0, bounds=SurveyBounds())
                    assert isinstance(others_turn(left.plan, left.plan.current, lives=True, waited=bound), Nothing)
                    step = others_turn(left.plan, left.plan.current, lives=False, waited=bound)
                    assert isinstance(step, GiveUp)
                    assert await PlanExecutor(second, SURVEYS, clock=lambda: 0.0).give_up(left, step)
                    with pytest.raises(Died):
                        await Process(store=second, ledger=ledger, dies=(undo.name, PLACES[2])).run(record.subject)
                    ended = await Process(store=first, ledger=ledger).run(record.subject)
                    assert ended.plan is not None and ended.plan.state is State.UNDONE
                    assert ended.plan.abandoned == step.why and "has no lease any more" in step.why.reason
                    undone = [name for name in dict.fromkeys(ledger.had) if name in ("withdraw", "forget")]
                    assert undone == ["withdraw", "forget"] and "publish" not in ledger.had

    run(body())


def test_each_executor_does_what_is_for_it_and_leaves_the_rest_to_the_others(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            ledger = Ledger()
            record = await begun(store, survey("roles"))
            for who, current in ((EU, "measure"), (US, "compare"), (EU, "sign"), (US, "sign"), (OPERATOR, None)):
                record = await Process(store=store, ledger=ledger, who=(who,)).run(record.subject)
                assert record.plan is not None
                assert (record.plan.current.type.name if record.plan.current else None) == current
            assert ledger.had == ["measure", "compare", "publish", "sign"]

    run(body())


def test_a_plan_is_given_up_once_and_never_after_it_has_committed(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store, 2) as (first, second):
            record = await begun(first, survey("late"))
            executor = PlanExecutor(second, SURVEYS, clock=lambda: 0.0)
            assert record.plan is not None and record.plan.current is not None
            waited = Waited(still_s=0.0, bounds=SurveyBounds())
            stale = others_turn(record.plan, record.plan.current, lives=False, waited=waited)
            assert isinstance(stale, GiveUp)
            committed = await Process(store=first, ledger=Ledger(), who=(US, EU)).run(record.subject)
            assert committed.plan is not None and committed.plan.state is State.COMMITTED
            assert not await executor.give_up(record, stale), "it was decided on what was read before"
            with pytest.raises(IllegalEvent):
                await executor.give_up(committed, stale)
            assert await read_record(first, record.subject, Survey) == committed

    run(body())


def test_no_plan_is_recorded_that_jumps_or_goes_back(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            record = await begun(store, survey("jumps"))
            plan = record.plan
            assert plan is not None
            for other in (plan, plan.moved().moved(), replace(plan, id="another"), replace(plan, next=4)):
                with pytest.raises(IllegalEvent):
                    await move(store, record, other, TIMES)
            assert await move(store, record, plan.moved(), TIMES)
            assert not await move(store, record, plan.moved(), TIMES), "it was read before"

    run(body())


def test_what_became_of_a_plan_is_told_after_another_took_its_place(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            record = await begun(store, survey("followed", SurveyKind.REHEARSAL))
            done = await Process(store=store, ledger=Ledger()).run(record.subject)
            assert done.plan is not None
            another = replace(survey("followed"), id="survey/followed/2")
            executor = PlanExecutor(store, SURVEYS, clock=lambda: 0.0)
            assert await executor.begin(done, another, TIMES, Joined())
            now = await read_record(store, record.subject, Survey)
            found = what_became_of(record, now).plan
            assert found is not None and (found.id, found.state) == ("survey/followed/1", State.DONE)
            assert [(each.kind, each.summary) for each in now.past] == [("rehearsal", "rehearsal of followed")]
            assert await executor.begin(now, replace(another, id="survey/followed/3"), TIMES, Joined())
            with pytest.raises(PermanentError, match="plan survey/followed/3 took its place"):
                what_became_of(now, await read_record(store, record.subject, Survey))

    run(body())


def test_how_long_a_plan_took_is_known_to_the_process_that_lived_through_it(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            now_s = 100.0
            executor = PlanExecutor(store, SURVEYS, clock=lambda: now_s)
            for given_up in (False, True):
                nothing = await read_record(store, f"survey/took-{given_up}", Survey)
                plan = survey(f"took-{given_up}", SurveyKind.REHEARSAL)
                assert await executor.begin(nothing, plan, replace(TIMES, lost_s=5.0), Joined())
                now_s += 2.5
                record = await read_record(store, nothing.subject, Survey)
                assert record.plan is not None and record.plan.current is not None
                if given_up:
                    step = give_up(record.plan, "a_test", "a test")
                    assert isinstance(step, GiveUp) and await executor.give_up(record, step)
                while record.plan is not None and record.plan.current is not None and not given_up:
                    assert await executor.do(record, record.plan.current, Ledger()) is not None
                    record = await read_record(store, nothing.subject, Survey)
                times = (await read_record(store, nothing.subject, Survey)).times
                assert times is not None and times.finished_at is not None
                assert (times.took_s, times.rto_s) == ((None, None) if given_up else (2.5, 7.5))

    run(body())


def test_another_family_s_plan_is_no_placement_s(open_store: Open) -> None:
    async def body() -> None:
        async with opened(open_store) as (store,):
            record = await begun(store, survey("both"))
            assert (await read_known(store)).plans == {}
            entry = (await store.read([PLANS + record.subject])).entries[PLANS + record.subject]
            with pytest.raises(PermanentError) as refused:
                plan_from(entry)
            assert refused.value.denied.code == "bad_plan"

    run(body())


def test_a_kind_whose_action_has_no_effect_is_refused_when_the_program_starts() -> None:
    with pytest.raises(ValueError, match="no effect is registered for compare, forget, publish, sign, withdraw"):
        Effects(TABLES.values(), {MEASURE: noted})
