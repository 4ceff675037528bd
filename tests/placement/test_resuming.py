"""What an agent does next with a plan, for every place at which it can be interrupted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Durability
from intelgraph.placement import standby
from intelgraph.placement.decision import Start
from intelgraph.placement.plan import (
    CATCH_UP,
    CLOSE,
    GATHER,
    OPEN,
    RAISE,
    REOPEN,
    TABLES,
    Kind,
    Plan,
    is_open,
    is_under_way,
)
from intelgraph.placement.resuming import Fetch, next_step
from intelgraph.placement.switchover import switch_to
from intelgraph.placement.view import View
from intelgraph.plans.step import DoIt, GiveUp, Nothing, Replace, Wait
from intelgraph.plans.table import ActionType

from .views import EU, OVER_S, POLICY, US, WEST, copy, declared, healthy, lease, lost, placement, seen

THREE = (US, EU, WEST)
WHY = Denied(code="a_test", reason="a test")
MOVED = {"home": EU, "standby": US, "epoch": 4, "declared": declared()}
AFTER = {
    Kind.FAILOVER: {"home": EU, "standby": None, "epoch": 4, "durability": Durability.HOME, "declared": declared()},
    Kind.SWITCHOVER: MOVED,
    Kind.FAILBACK: MOVED,
    Kind.RESTAND: {"standby": WEST, "epoch": 4, "declared": declared()},
}


def plan_at(kind: Kind, do: ActionType | None, **other: Any) -> Plan:
    """A plan of epoch 4 whose turn is ``do``; none: finished."""
    before = placement(regions=THREE)
    facts: dict[str, Any] = {"id": "p/4/x", "kind": kind, "before": before, "after": replace(before, **AFTER[kind])}
    plan = Plan(**(facts | {"lease_version": 70 if kind is Kind.FAILOVER else None} | other))
    while plan.current is not None and plan.current.type is not do:
        plan = plan.moved(result="1/41" if plan.current.type is CLOSE else None)
    assert (plan.current.type if plan.current else None) is do
    return plan


def view_of(plan: Plan, here: str, *, well: bool = True, **other: Any) -> View:
    now = plan.after if plan.has_committed else plan.before
    return (healthy if well else lost)(**({"here": here, "placement": now, "plan": plan} | other))


def step(plan: Plan, here: str, **other: Any) -> Any:
    return next_step(view_of(plan, here, **other), POLICY)


@pytest.mark.parametrize(("kind", "do"), [(kind, do) for kind in Kind for do in TABLES[kind.value].actions])
def test_whoever_has_the_turn_does_it_and_nobody_else(kind: Kind, do: ActionType) -> None:
    plan = plan_at(kind, do)
    assert plan.current is not None
    assert step(plan, plan.current.executor) == DoIt(action=plan.current, plan=plan)
    for other in set(THREE) - {plan.current.executor}:
        leases = {name: lease(0.3, version=70) for name in THREE}
        assert step(plan, other, leases=leases) == Nothing()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_plan_that_is_finished_needs_nobody(kind: Kind) -> None:
    for here in THREE:
        assert step(plan_at(kind, None), here) == Nothing()


@pytest.mark.parametrize("kind", list(Kind))
def test_an_epoch_may_be_granted_before_its_raise_and_after_its_open_and_not_between(kind: Kind) -> None:
    for do in TABLES[kind.value].actions:
        plan = plan_at(kind, do)
        now = plan.after if plan.has_committed else plan.before
        assert is_open(now, plan) is not plan.has_committed
    assert is_open(plan_at(kind, None).after, plan_at(kind, None))
    earlier = replace(placement(regions=THREE), epoch=2)
    for each in (None, *TABLES[kind.value].actions):
        assert not is_open(earlier, plan_at(kind, each)), "nobody knows whether it was: it was read before the plan"


class TestBeforeTheEpochIsRaised:
    def test_the_target_is_gone_before_the_source_closes(self) -> None:
        leases = {US: lease(), EU: lease(OVER_S), WEST: lease()}
        given_up = step(plan_at(Kind.SWITCHOVER, CLOSE), US, leases=leases)
        assert isinstance(given_up, GiveUp)
        assert given_up.why.reason == "plan p/4/x is given up: eu-west has no lease any more"
        assert given_up.why.code == "not_leased"
        assert [one.type for one in given_up.plan.actions] == [REOPEN]

    def test_the_target_is_gone_while_it_catches_up(self) -> None:
        leases = {US: lease(), EU: lease(OVER_S), WEST: lease()}
        given_up = step(plan_at(Kind.SWITCHOVER, CATCH_UP), US, leases=leases)
        assert isinstance(given_up, GiveUp)
        turn = given_up.plan.current
        assert turn is not None and (turn.type, turn.executor) == (REOPEN, US)

    def test_the_source_is_gone_and_its_standby_is_the_target(self) -> None:
        plan = plan_at(Kind.SWITCHOVER, CLOSE)
        instead = step(plan, EU, well=False)
        assert isinstance(instead, Replace) and instead.plan.kind is Kind.FAILOVER

    def test_the_source_is_gone_and_its_standby_is_another(self) -> None:
        before = placement(regions=THREE)
        plan = Plan(id="p/4/x", kind=Kind.SWITCHOVER, before=before, after=replace(before, home=WEST, epoch=4))
        instead = next_step(view_of(plan, EU, well=False), POLICY)
        assert isinstance(instead, Replace) and instead.plan.target == EU
        assert isinstance(next_step(view_of(plan, WEST, well=False), POLICY), GiveUp)

    def test_a_target_that_does_not_catch_up_in_time_is_given_up_by_either(self) -> None:
        plan = plan_at(Kind.SWITCHOVER, CATCH_UP)
        behind = {US: copy(), EU: copy(settled={f"{US}/1": 40}), WEST: copy()}
        waits = step(plan, EU, copies=behind, plan_still_s=9.0)
        assert isinstance(waits, Wait)
        assert waits.why.reason == "plan p/4/x waits: eu-west holds the stream of us-east up to 40, and needs 41"
        for here in (EU, US):
            assert isinstance(step(plan, here, copies=behind, plan_still_s=10.0), GiveUp)
        unknown = {US: copy(), EU: copy(settled={}), WEST: copy()}
        waits = step(plan, EU, copies=unknown)
        assert isinstance(waits, Wait) and "up to 0, and needs 41" in waits.why.reason

    def test_what_the_source_s_log_waits_for_is_named_by_whoever_waits_for_it(self) -> None:
        plan = plan_at(Kind.SWITCHOVER, CATCH_UP)
        copies = {US: copy(waits_for="a transaction is open"), EU: copy(settled={f"{US}/1": 40}), WEST: copy()}
        waits, late = step(plan, EU, copies=copies), step(plan, US, copies=copies, plan_still_s=10.0)
        assert isinstance(waits, Wait) and waits.why.reason.endswith("and needs 41 (a transaction is open)")
        assert isinstance(late, GiveUp) and "is not done (a transaction is open) after 10 s" in late.why.reason

    def test_what_cannot_be_compared_is_waited_for(self) -> None:
        plan = plan_at(Kind.SWITCHOVER, CATCH_UP)
        for other in ({"copies": {US: copy(), WEST: copy()}}, {"plan": replace(plan, results={})}):
            waits = next_step(replace(view_of(plan, EU), **other), POLICY)
            assert isinstance(waits, Wait)
            assert waits.why.reason == "plan p/4/x waits: it is not known what the target holds"

    def test_the_source_that_has_closed_may_go_the_move_goes_on(self) -> None:
        leases = {US: lease(2.6), EU: lease(), WEST: lease()}
        for still_s in (2.6, OVER_S):
            done = step(plan_at(Kind.SWITCHOVER, RAISE), EU, leases={**leases, US: lease(still_s)}, copies={EU: copy()})
            assert isinstance(done, DoIt) and done.action.type is RAISE

    def test_a_standby_may_be_left_out(self) -> None:
        plan = plan_at(Kind.RESTAND, RAISE)
        alone = replace(plan, after=replace(plan.after, standby=None, durability=Durability.HOME))
        assert isinstance(step(alone, US), DoIt)

    def test_a_position_of_another_life_is_not_caught_up_with(self) -> None:
        plan = replace(plan_at(Kind.SWITCHOVER, CATCH_UP), results={"close": "2/41"})
        assert isinstance(step(plan, EU), Wait)

    def test_a_home_that_is_back_is_not_replaced(self) -> None:
        plan = plan_at(Kind.FAILOVER, RAISE)
        leases = {US: lease(0.1, version=71), EU: lease(), WEST: lease()}
        for here in (US, EU):
            given_up = step(plan, here, leases=leases)
            assert isinstance(given_up, GiveUp) and given_up.why.code == "home_is_back"

    def test_a_home_whose_lease_is_not_there_is_not_replaced_by_a_plan_that_watched_it(self) -> None:
        given_up = step(plan_at(Kind.FAILOVER, RAISE), EU, leases={EU: lease(), WEST: lease()})
        assert isinstance(given_up, GiveUp) and given_up.why.code == "home_is_back"

    def test_a_gap_that_was_found_meanwhile_stops_the_target_unless_forced(self) -> None:
        gap = {EU: copy(gap="marks 3 to 5")}
        given_up = step(plan_at(Kind.FAILOVER, RAISE), EU, well=False, copies=gap)
        assert isinstance(given_up, GiveUp) and given_up.why.code == "gap"
        forced = plan_at(Kind.FAILOVER, RAISE, force=True)
        assert isinstance(step(forced, EU, well=False, copies=gap), DoIt)

    def test_a_standby_that_went_before_it_was_named(self) -> None:
        leases = {US: lease(), EU: lease(), WEST: lease(OVER_S)}
        given_up = step(plan_at(Kind.RESTAND, RAISE), US, leases=leases)
        assert isinstance(given_up, GiveUp) and given_up.why.code == "not_leased"

    def test_a_placement_that_changed_meanwhile(self) -> None:
        plan = plan_at(Kind.SWITCHOVER, CLOSE)
        changed = step(plan, US, placement=placement(regions=(US, EU)))
        assert isinstance(changed, GiveUp) and changed.why.code == "placement_changed"
        assert changed.why.reason == "plan p/4/x is given up: p is in epoch 3 now"
        assert step(plan, WEST, placement=placement(regions=(US, EU))) == Nothing(), "it is no party to it"

    def test_a_placement_that_was_read_before_the_plan_s_own_epoch_gives_nothing_up(self) -> None:
        """Placements are read first: one may have moved, and have its next plan, before the plans are read."""
        earlier = replace(placement(regions=THREE), epoch=2)
        for kind in Kind:
            for here in THREE:
                assert step(plan_at(kind, TABLES[kind.value].actions[0]), here, placement=earlier) == Nothing()


class TestAfterTheEpochIsRaised:
    def test_the_target_is_gone_before_it_opens_and_the_source_takes_back(self) -> None:
        leases = {US: lease(), EU: lease(OVER_S), WEST: lease()}
        for kind, do in ((Kind.SWITCHOVER, OPEN), (Kind.FAILOVER, GATHER), (Kind.FAILOVER, OPEN)):
            instead = step(plan_at(kind, do), US, leases=leases, copies={US: copy()})
            assert isinstance(instead, Replace)
            assert (instead.plan.target, instead.plan.after.epoch) == (US, 5)

    def test_it_cannot_be_given_up_any_more(self) -> None:
        with pytest.raises(ValueError, match="cannot be recorded of a plan that is committed"):
            plan_at(Kind.SWITCHOVER, OPEN).given_up(WHY)

    def test_the_target_asks_the_survivors_for_what_they_hold_beyond_it_for_a_while(self) -> None:
        plan = plan_at(Kind.FAILOVER, GATHER)
        copies = {EU: copy(), WEST: copy(settled={f"{US}/1": 45, f"{WEST}/1": 9, f"{EU}/1": 3})}
        asks = step(plan, EU, well=False, copies=copies)
        assert isinstance(asks, Fetch)
        assert (asks.beyond, asks.within_s) == ({WEST: {f"{US}/1": 41, f"{WEST}/1": 0}}, 2.0)
        later = step(plan, EU, well=False, copies=copies, plan_still_s=1.5)
        assert isinstance(later, Fetch) and later.within_s == 0.5
        assert isinstance(step(plan, EU, well=False, copies=copies, plan_still_s=2.0), DoIt)
        assert asks.why.reason == "plan p/4/x waits: us-west holds rows that eu-west lacks"
        equal = {EU: copy(), WEST: copy()}
        assert isinstance(step(plan, EU, well=False, copies=equal), DoIt)

    def test_only_survivors_whose_copy_is_known_are_asked_and_never_the_source(self) -> None:
        plan = plan_at(Kind.FAILOVER, GATHER)
        more = copy(settled={f"{US}/1": 45})
        assert isinstance(step(plan, EU, well=False, copies={EU: copy()}), DoIt)
        assert isinstance(step(plan, EU, well=False, copies={EU: copy(), US: more}), DoIt)
        blind = step(plan, EU, well=False, copies={WEST: more})
        assert isinstance(blind, Fetch) and blind.beyond == {WEST: {f"{US}/1": 0}}

    def test_several_survivors_hold_and_one_holds(self) -> None:
        four = (*THREE, "ap-south")
        now = plan_at(Kind.FAILOVER, GATHER)
        plan = replace(now, before=replace(now.before, regions=four), after=replace(now.after, regions=four))
        more = copy(settled={f"{US}/1": 45})
        asks = step(plan, EU, well=False, copies={EU: copy(), WEST: more, "ap-south": more})
        assert isinstance(asks, Fetch) and asks.why.reason.endswith("us-west, ap-south hold rows that eu-west lacks")


class TestOfAPlanThatWasGivenUp:
    def test_the_source_reopens(self) -> None:
        plan = plan_at(Kind.SWITCHOVER, CATCH_UP).given_up(WHY)
        done = step(plan, US)
        assert isinstance(done, DoIt) and done.action.type is REOPEN
        assert step(plan, EU) == Nothing()
        assert step(plan.moved(), US) == Nothing()

    def test_a_source_that_is_gone_is_failed_over(self) -> None:
        plan = plan_at(Kind.SWITCHOVER, CATCH_UP).given_up(WHY)
        instead = step(plan, EU, well=False)
        assert isinstance(instead, Replace) and instead.plan.kind is Kind.FAILOVER


class TestOfAPlanThatWasOvertaken:
    """The placement was raised without it: it is over, for everybody."""

    NOW = placement(regions=(US, EU), epoch=4)

    @pytest.mark.parametrize("abandoned", [True, False])
    def test_nobody_has_anything_to_do_with_it(self, abandoned: bool) -> None:
        plan = plan_at(Kind.SWITCHOVER, CATCH_UP)
        plan, now = (plan.given_up(WHY), self.NOW) if abandoned else (plan, replace(self.NOW, epoch=5))
        assert plan.current is not None and not is_under_way(now, plan)
        for here in (US, EU):
            assert step(plan, here, placement=now) == Nothing()

    def test_a_lost_standby_is_replaced_all_the_same_and_the_home_may_be_moved(self) -> None:
        plan = plan_at(Kind.SWITCHOVER, CATCH_UP).given_up(WHY)
        leases = {US: lease(), EU: lease(OVER_S)}
        assert isinstance(standby.decide(healthy(placement=self.NOW, plan=plan, leases=leases), POLICY), Start)
        copies = {name: copy(epoch=4) for name in (US, EU)}
        assert isinstance(switch_to(healthy(placement=self.NOW, plan=plan, copies=copies), EU, POLICY), Start)


class TestOfATakeBackThatIsGivenUp:
    """us-east wrote in epoch 3; eu-west raised 4 and died before it opened; us-east was to take back in 5."""

    def taking_back(self) -> Plan:
        raised = plan_at(Kind.FAILOVER, OPEN)
        leases = {US: lease(), EU: lease(OVER_S), WEST: lease()}
        instead = step(raised, US, leases=leases, copies={US: copy()})
        assert isinstance(instead, Replace) and instead.plan.granted == raised.before
        return instead.plan

    def test_until_it_has_opened_nothing_may_be_granted(self) -> None:
        plan = self.taking_back()
        assert not is_open(plan.before, plan)
        assert not is_open(plan.after, plan.moved())
        assert is_open(plan.after, plan.moved().moved().moved())

    def test_the_epoch_is_opened_after_all_by_whom_it_was_raised_for(self) -> None:
        plan = self.taking_back()
        leases = {US: lease(OVER_S), EU: lease(), WEST: lease()}
        instead = step(plan, EU, leases=leases, copies={EU: copy()})
        assert isinstance(instead, Replace)
        after_all = instead.plan
        assert (after_all.after, after_all.granted, after_all.has_committed) == (plan.before, plan.granted, True)
        assert after_all.current is not None and (after_all.current.type, after_all.current.executor) == (GATHER, EU)
        assert not is_open(plan.before, after_all)
        assert is_open(plan.before, after_all.moved().moved())

    def test_of_a_home_that_stayed_home_it_waits_for_the_lease(self) -> None:
        """us-east raised 4 for itself and paused before it opened: its doors may hold grants of epoch 3."""
        restand = plan_at(Kind.RESTAND, OPEN)
        over = {US: lease(OVER_S), EU: lease(), WEST: lease()}
        taken = step(restand, EU, well=False, leases=over)
        assert isinstance(taken, Replace) and taken.plan.lease_version is not None
        back = step(taken.plan, US, leases={US: lease(version=71), EU: lease(), WEST: lease()})
        assert isinstance(back, Replace) and back.plan.kind is Kind.RESTAND
        assert back.plan.current is not None and (back.plan.current.type, back.plan.current.executor) == (OPEN, US)
        silent = {US: lease(2.0), EU: lease(), WEST: lease()}
        assert step(back.plan, EU, leases=silent, plan_still_s=60.0) == Nothing()


def test_a_close_that_outlived_its_plan_is_undone_by_the_home() -> None:
    copies = {US: copy(closed=True), EU: copy(closed=True)}
    done = next_step(healthy(copies=copies), POLICY)
    assert isinstance(done, DoIt) and (done.action.type, done.plan) == (REOPEN, None)
    assert (done.action.id, done.action.executor) == ("p/3/reopen", US)
    assert next_step(healthy(copies={EU: copy(closed=True)}), POLICY) == Nothing(), "what is held here is not known"
    assert next_step(healthy(), POLICY) == Nothing(), "nothing is closed"
    assert next_step(healthy(copies=copies, here=EU), POLICY) == Nothing()
    assert next_step(healthy(copies={US: copy(closed=True, epoch=2)}), POLICY) == Nothing()


@pytest.mark.parametrize("kind", [Kind.SWITCHOVER, Kind.FAILBACK])
def test_a_close_is_not_undone_of_a_placement_that_was_read_before_it_moved(kind: Kind) -> None:
    """The plan was read after it had finished: there is a writer elsewhere."""
    plan = plan_at(kind, None)
    assert step(plan, US, placement=plan.before, copies={US: copy(closed=True), EU: copy()}) == Nothing()


def test_two_agents_that_see_the_same_view_name_the_same_action() -> None:
    plan = plan_at(Kind.FAILOVER, OPEN)
    one, other = step(plan, EU, well=False), step(plan, EU, well=False, sightings={"witness": {US: seen()}})
    assert one == other
    assert one.action.id == "p/4/x/2-open"
