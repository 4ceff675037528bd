"""What an executor does at its own turn, and at another's: do, wait, give up, or nothing."""

from __future__ import annotations

from intelgraph.plans.step import DoIt, GiveUp, Nothing, NotYet, Unmet, Wait, Waited, others_turn, own_turn

from .survey import Survey, SurveyBounds, SurveyKind

SURVEY = Survey(id="survey/both/1", kind=SurveyKind.SURVEY, about="both", home="us-east", standby="eu-west")
BEHIND = NotYet(fact="eu-west has 3 of 5")


def waited(still_s: float) -> Waited:
    return Waited(still_s=still_s, bounds=SurveyBounds())


def at(name: str) -> Survey:
    plan = SURVEY
    while plan.current is not None and plan.current.type.name != name:
        plan = plan.moved()
    return plan


def own(name: str, condition: Unmet | NotYet | None, still_s: float) -> object:
    plan = at(name)
    assert plan.current is not None
    return own_turn(plan, plan.current, condition, waited(still_s))


def others(plan: Survey, still_s: float, *, lives: bool) -> object:
    assert plan.current is not None
    return others_turn(plan, plan.current, lives=lives, waited=waited(still_s))


def test_an_action_whose_condition_holds_is_done_however_long_that_took() -> None:
    for still_s in (0.0, 1_000.0):
        step = own("compare", None, still_s)
        assert isinstance(step, DoIt) and (step.action, step.plan) == (at("compare").current, at("compare"))


def test_a_condition_that_no_waiting_meets_gives_the_plan_up() -> None:
    step = own("compare", Unmet(code="no_number", fact="there is no number"), 0.0)
    assert isinstance(step, GiveUp)
    assert (step.why.code, step.why.reason) == ("no_number", "plan survey/both/1 is given up: there is no number")


def test_what_may_still_come_is_waited_for_and_given_up_at_its_bound() -> None:
    step = own("compare", BEHIND, 4.9)
    assert isinstance(step, Wait)
    assert (step.why.code, step.why.reason) == ("comparing", "plan survey/both/1 waits: eu-west has 3 of 5")
    late = own("compare", BEHIND, 5.0)
    assert isinstance(late, GiveUp)
    told = "plan survey/both/1 is given up: eu-west has 3 of 5, after 5 s; the bound is 5 s"
    assert (late.why.code, late.why.reason) == ("not_compared", told)


def test_what_is_not_needed_is_gone_on_without_at_its_bound() -> None:
    assert isinstance(own("sign", BEHIND, 59.0), Wait)
    assert isinstance(own("sign", BEHIND, 60.0), DoIt)


def test_an_action_without_a_bound_waits_for_as_long_as_it_takes() -> None:
    assert isinstance(own("measure", BEHIND, 1_000_000.0), Wait)


def test_another_s_plan_is_given_up_when_its_executor_is_gone_or_its_bound_is_over() -> None:
    assert others(at("compare"), 0.0, lives=True) == Nothing()
    gone = others(at("compare"), 0.0, lives=False)
    assert isinstance(gone, GiveUp)
    assert gone.why.reason == "plan survey/both/1 is given up: eu-west, whose turn it is, has no lease any more"
    late = others(at("compare"), 5.0, lives=True)
    assert isinstance(late, GiveUp) and late.why.code == "not_compared"
    assert others(at("measure"), 1_000.0, lives=True) == Nothing(), "it has no bound"


def test_a_plan_that_has_committed_or_is_being_undone_is_left_to_its_executor() -> None:
    given_up = own("compare", Unmet(code="no_number", fact="there is none"), 0.0)
    assert isinstance(given_up, GiveUp)
    for plan in (at("sign"), given_up.plan):
        assert others(plan, 1_000.0, lives=False) == Nothing()
