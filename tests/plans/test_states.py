"""The state machine and the tables: what may follow what, what is refused, and that the page shows both."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.model.errors import Denied
from intelgraph.placement.plan import RAISE, REOPEN
from intelgraph.placement.plan import TABLES as MOVES
from intelgraph.plans.plan import ANYBODY, OPERATOR, RecordedPlan
from intelgraph.plans.states import OVER, TRANSITIONS, Event, IllegalEvent, State, following
from intelgraph.plans.table import Table

from .kinds import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "plans.md").read_text(encoding="utf-8")
WHY = Denied(code="a_test", reason="a test")


def rows(page: str) -> set[tuple[str, ...]]:
    return {tuple(cell.strip() for cell in line.strip("|").split("|")) for line in page.splitlines() if "|" in line}


def test_the_page_shows_every_transition_and_no_other() -> None:
    events = {each.value for each in Event}
    shown = {row for row in rows(PAGE) if len(row) == 3 and row[1] in events}
    assert shown == {(before.value, event.value, after.value) for (before, event), after in TRANSITIONS.items()}


def test_the_page_shows_every_action_of_a_placement_s_plans() -> None:
    shown = rows(PAGE)
    for each in {each for table in MOVES.values() for each in table.types}:
        bound = "–" if each.bound is None else f"`{each.bound.field}`: {each.bound.then.value}"
        name = f"`{each.name}`" + (" (commits)" if each.commits else "")
        assert (name, each.role.value, each.needs, each.effect, bound) in shown


def test_nothing_leads_out_of_an_end_and_every_other_state_has_a_way_to_one() -> None:
    assert {before for before, _ in TRANSITIONS} == set(State) - OVER
    for state in set(State) - OVER:
        assert following(state, Event.FINISH) in OVER and following(state, Event.REPLACE) is State.REPLACED


@given(plan=st.sampled_from(KINDS), events=st.lists(st.sampled_from(["move", "give up"]), max_size=12))
def test_whatever_happens_a_plan_only_moves_on(plan: RecordedPlan, events: list[str]) -> None:
    for event in events:
        before = plan
        try:
            plan = before.moved(result="a result") if event == "move" else before.given_up(WHY)
        except IllegalEvent:
            assert (before.state in OVER) if event == "move" else (before.state is not State.REVOCABLE)
            continue
        assert plan.follows(before) and not before.follows(plan) and not plan.follows(plan)
        assert before.state not in OVER
        assert (plan.abandoned is not None, plan.next) > (before.abandoned is not None, before.next)
        event_of = {
            done for (state, done), after in TRANSITIONS.items() if (state, after) == (before.state, plan.state)
        }
        assert event_of or (before.state, plan.state) == (State.REVOCABLE, State.UNDONE), "nothing was to be undone"


@pytest.mark.parametrize("plan", KINDS, ids=lambda plan: plan.kind.value)
def test_a_plan_is_revocable_until_it_commits_and_has_ended_after_its_last_action(plan: RecordedPlan) -> None:
    committed = False
    for action in plan.actions:
        assert plan.current == action
        assert plan.state is (State.COMMITTED if committed else State.REVOCABLE)
        committed |= action.type.commits
        plan = plan.moved()
    assert (plan.current, plan.state) == (None, State.DONE)


def test_a_plan_jumps_over_no_action_and_another_plan_does_not_follow() -> None:
    for plan in KINDS:
        assert not plan.moved().moved().follows(plan)
        others = [other.moved() for other in KINDS if other.kind is not plan.kind]
        assert not any(other.follows(plan) for other in others)


def test_an_action_is_for_the_region_that_has_its_role_for_anybody_or_for_a_person() -> None:
    survey = next(plan for plan in KINDS if plan.kind.value == "survey")
    executors = [each.executor for each in survey.actions]
    assert executors == ["us-east", "eu-west", ANYBODY, OPERATOR]
    assert [each.is_for("eu-west") for each in survey.actions] == [False, True, True, False]
    assert [each.told for each in survey.actions[1:]] == ["compare in eu-west", "publish in anybody", "operator signs"]


def test_a_table_that_is_no_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="needs actions"):
        Table(kind="none", actions=())
    with pytest.raises(ValueError, match="a name of its own"):
        Table(kind="twice", actions=(RAISE, REOPEN), undo=(REOPEN,))
    with pytest.raises(ValueError, match="may commit once"):
        Table(kind="undone", actions=(REOPEN,), undo=(RAISE,))
