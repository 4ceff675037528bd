"""Planned moves, draining a region, and who is standby."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Durability, StandbyLoss
from intelgraph.placement.decision import Decision, Stand, Start
from intelgraph.placement.drain import complete, drain
from intelgraph.placement.plan import Kind, Plan
from intelgraph.placement.policy import Policy
from intelgraph.placement.standby import decide
from intelgraph.placement.switchover import fail_back, switch_to
from intelgraph.placement.view import View

from .views import EU, OVER_S, POLICY, US, WEST, copy, declared, healthy, lease, placement, with_copy

THREE = (US, EU, WEST)
STRICT = declared(on_standby_loss=StandbyLoss.STRICT)


def said(decision: Decision) -> Plan | str | None:
    if isinstance(decision, Start):
        return decision.plan
    return None if decision.denied is None else decision.denied.reason


def planned(decision: Decision) -> Plan:
    assert isinstance(decision, Start), decision
    return decision.plan


def undone(plan: Plan) -> Plan:
    """The plan, given up, with all that it had done undone."""
    plan = plan.given_up(Denied(code="a_test", reason="a test"))
    while plan.current is not None:
        plan = plan.moved()
    return plan


class TestSwitchover:
    def test_the_old_home_becomes_the_standby_and_the_new_one_is_declared(self) -> None:
        plan = planned(switch_to(healthy(), EU, POLICY))
        assert (plan.id, plan.source, plan.target, plan.after.standby) == ("p/4/switchover", US, EU, US)
        assert plan.after.durability is Durability.REMOTE
        assert plan.after.wanted.home == EU

    def test_a_failback_goes_to_the_home_that_was_declared(self) -> None:
        away = placement(home=EU, standby=US, declared=declared())
        plan = planned(fail_back(healthy(here=EU, placement=away), POLICY))
        assert (plan.kind, plan.target, plan.after.wanted) == (Kind.FAILBACK, US, declared())
        assert (
            said(fail_back(healthy(), POLICY)) == "cannot move p to us-east: it is the home of p; a move goes elsewhere"
        )

    @pytest.mark.parametrize(
        ("other", "fact"),
        [
            ({"drained": frozenset({EU})}, "it is drained"),
            ({"leases": {US: lease(), EU: lease(OVER_S)}}, "it has no lease now"),
            ({"schemas": {US: "a", EU: "b"}}, "its schema is b, that of us-east is a"),
            ({"copies": {US: copy(), EU: copy(gap="marks")}}, "rows may be missing there: marks"),
            ({"copies": {US: copy(), EU: copy(hold="v 2")}}, "it is held: v 2"),
            ({"copies": {US: copy(), EU: copy(epoch=2)}}, "it lacks rows that epoch 3 stands on"),
            ({"copies": {US: copy(), EU: copy(behind_s=9.0)}}, "it is 9 s behind"),
            ({"copies": {US: copy()}}, "what it holds is not known"),
            ({"leases": {US: lease(OVER_S), EU: lease()}}, "us-east cannot hand over: it has no lease now"),
        ],
    )
    def test_it_is_refused_while_nothing_has_happened_yet(self, other: dict[str, Any], fact: str) -> None:
        assert f"cannot move p to eu-west: {fact}; " in str(said(switch_to(healthy(**other), EU, POLICY)))

    @pytest.mark.parametrize(
        ("other", "code"),
        [
            ({"plan": planned(switch_to(healthy(), EU, POLICY))}, "already_moving"),
            ({"leases": {US: lease(OVER_S), EU: lease()}}, "source_not_leased"),
            ({"copies": {US: copy(waits_for="it is open", waits_s=5.0), EU: copy()}}, "transaction_open"),
            ({"placement": placement(declared=STRICT), "drained": frozenset({US})}, "no_standby"),
            ({"placement": placement(home=EU, standby=US), "here": EU}, "already_home"),
        ],
    )
    def test_every_refusal_has_a_code_and_says_whom_it_is_about(self, other: dict[str, Any], code: str) -> None:
        decision = switch_to(healthy(**other), EU, POLICY)
        assert not isinstance(decision, Start) and decision.denied is not None
        assert decision.denied.code == code
        home = other.get("placement", placement()).home
        assert decision.denied.facts == {"placement": "p", "target": EU, "home": home}

    def test_a_transaction_that_is_young_or_that_the_log_does_not_wait_for_delays_nothing(self) -> None:
        for held in (copy(waits_for="it is open", waits_s=4.9), copy(waits_s=9.0)):
            assert planned(switch_to(healthy(copies={US: held, EU: copy()}), EU, POLICY)).target == EU

        open_long = switch_to(healthy(copies={US: copy(waits_for="it is open", waits_s=5.0), EU: copy()}), EU, POLICY)
        assert said(open_long) == ("cannot move p to eu-west: it is open; a move waits 10 s for its target at most")

    def test_what_a_source_cannot_hand_over_for_is_told_with_its_limit(self) -> None:
        assert said(switch_to(healthy(leases={US: lease(OVER_S), EU: lease()}), EU, POLICY)) == (
            "cannot move p to eu-west: us-east cannot hand over: it has no lease now; only a region whose agent and "
            "database work takes part"
        )

    def test_another_region_stands_by_where_the_old_home_is_drained(self) -> None:
        three = healthy(placement=placement(regions=THREE), drained=frozenset({US}))
        assert planned(switch_to(three, EU, POLICY)).after.standby == WEST
        behind = with_copy(three, WEST, behind_s=9.0)
        assert planned(switch_to(behind, EU, POLICY)).after.standby is None

    def test_a_second_try_in_one_epoch_has_a_name_of_its_own(self) -> None:
        tried = undone(planned(switch_to(healthy(), EU, POLICY)))
        assert planned(switch_to(healthy(plan=tried), EU, POLICY)).id == "p/4/switchover#2"

    def test_the_old_home_stands_by_however_far_behind_itself_it_is_said_to_be(self) -> None:
        assert planned(switch_to(with_copy(healthy(), US, behind_s=9.0), EU, POLICY)).after.standby == US

    def test_one_plan_at_a_time(self) -> None:
        under_way = planned(switch_to(healthy(), EU, POLICY))
        again = said(switch_to(healthy(plan=under_way), EU, POLICY))
        assert again == "cannot move p to eu-west: plan p/4/switchover is under way; one plan at a time"

    def test_it_never_goes_where_it_may_not_live(self) -> None:
        leases = {US: lease(), EU: lease(), WEST: lease()}
        assert "p may not live there" in str(said(switch_to(healthy(leases=leases), WEST, POLICY)))

    def test_a_drained_source_can_still_hand_over(self) -> None:
        assert planned(switch_to(healthy(drained=frozenset({US})), EU, POLICY)).after.standby is None


class TestDraining:
    def test_homes_move_to_their_standby_and_what_was_declared_stays(self) -> None:
        (leaving,) = drain([healthy(placement=placement(regions=THREE))], US, POLICY)
        assert leaving.plan is not None
        assert (leaving.plan.target, leaving.plan.after.standby, leaving.plan.after.wanted.home) == (EU, WEST, US)
        assert leaving.denied is None and complete([leaving])

    def test_without_a_third_region_it_goes_on_without_a_standby_and_says_so(self) -> None:
        (leaving,) = drain([healthy()], US, POLICY)
        assert leaving.plan is not None and leaving.plan.after.is_degraded
        assert leaving.denied is not None and leaving.denied.code == "no_standby"

    def test_standbys_are_replaced(self) -> None:
        (leaving,) = drain([healthy(placement=placement(regions=THREE))], EU, POLICY)
        assert leaving.plan is not None
        assert (leaving.plan.kind, leaving.plan.after.standby) == (Kind.RESTAND, WEST)

    def test_a_strict_placement_is_not_left_without_a_standby(self) -> None:
        (leaving,) = drain([healthy(placement=placement(declared=STRICT))], US, POLICY)
        assert leaving.plan is None and leaving.read_only
        assert leaving.denied is not None and leaving.denied.reason == (
            "cannot move p from us-east: eu-west would have no standby: each other allowed region is drained, down or "
            "behind; p declared to refuse writes without one"
        )

    def test_a_strict_placement_is_moved_where_a_third_region_stands_by(self) -> None:
        (leaving,) = drain([healthy(placement=placement(regions=THREE, declared=STRICT))], US, POLICY)
        assert leaving.plan is not None and leaving.plan.after.standby == WEST

    def test_nor_is_it_by_a_switchover_from_a_drained_region(self) -> None:
        drained = healthy(placement=placement(declared=STRICT), drained=frozenset({US}))
        assert "would have no standby" in str(said(switch_to(drained, EU, POLICY)))
        assert planned(switch_to(replace(drained, placement=placement()), EU, POLICY)).after.is_degraded

    def test_a_strict_placement_keeps_its_only_standby_and_says_why(self) -> None:
        (leaving,) = drain([healthy(placement=placement(declared=STRICT))], EU, POLICY)
        assert leaving.plan is None and leaving.read_only
        assert leaving.denied is not None and leaving.denied.reason.endswith("refuse writes without a standby")

    def test_strict_is_about_remote_writes_only(self) -> None:
        kept = declared(durability=Durability.HOME, on_standby_loss=StandbyLoss.STRICT)
        (leaving,) = drain([healthy(placement=placement(durability=Durability.HOME, declared=kept))], EU, POLICY)
        assert leaving.plan is not None and leaving.plan.after.standby is None

    def test_while_a_plan_is_under_way_its_standby_stays_and_its_writes_go_on(self) -> None:
        under_way = planned(switch_to(healthy(), EU, POLICY))
        (leaving,) = drain([healthy(plan=under_way)], EU, POLICY)
        assert leaving.plan is None and not leaving.read_only and not complete([leaving])
        assert leaving.denied is not None and leaving.denied.reason.endswith("plan p/4/switchover is under way")

    def test_a_move_and_what_it_goes_without_name_the_placement_and_the_reason(self) -> None:
        (leaving,) = drain([healthy()], US, POLICY)
        assert leaving.placement == "p" and leaving.read_only is False
        assert leaving.plan is not None
        assert (leaving.plan.id, leaving.plan.kind) == ("p/4/switchover", Kind.SWITCHOVER)
        assert leaving.denied is not None and leaving.denied.facts == {"placement": "p"}
        assert leaving.denied.reason == "p goes on without a standby: us-east is drained"
        behind = with_copy(healthy(placement=placement(regions=THREE)), WEST, behind_s=9.0)
        (leaving,) = drain([behind], US, POLICY)
        assert leaving.denied is not None
        assert leaving.denied.reason == "p goes on without a standby: us-west: it is 9 s behind"
        (leaving,) = drain([behind], EU, POLICY)
        assert leaving.plan is not None and leaving.plan.id == "p/4/restand"
        assert leaving.denied is not None and "us-west: it is 9 s behind" in leaving.denied.reason

    def test_whatever_becomes_of_a_placement_it_is_named(self) -> None:
        under_way, strict = planned(switch_to(healthy(), EU, POLICY)), healthy(placement=placement(declared=STRICT))
        three = healthy(placement=placement(regions=THREE))
        for view, region in ((healthy(plan=under_way), EU), (strict, US), (strict, EU), (three, EU), (three, WEST)):
            (leaving,) = drain([view], region, POLICY)
            assert leaving.placement == "p" and leaving.read_only is (view is strict)
            assert leaving.denied is None or leaving.denied.facts == {"placement": "p"}
            assert complete([leaving]) is (view is three), "a third copy and a replaced standby need nobody"

    def test_what_its_standby_is_replaced_by_is_told_or_that_nothing_is(self) -> None:
        (leaving,) = drain([healthy(placement=placement(regions=THREE))], EU, POLICY)
        assert leaving.denied is None
        (leaving,) = drain([healthy()], EU, POLICY)
        assert leaving.plan is not None and leaving.denied is not None and complete([leaving])
        assert leaving.denied.facts == {"placement": "p"}
        assert leaving.denied.reason == "p goes on without a standby: no other region is allowed"
        (leaving,) = drain([healthy(placement=placement(declared=STRICT))], EU, POLICY)
        assert leaving.denied is not None and leaving.denied.reason.startswith("cannot replace eu-west as standby of p")

    def test_after_a_plan_that_is_over_another_is_begun_with_a_name_of_its_own(self) -> None:
        tried = healthy(plan=undone(planned(switch_to(healthy(), EU, POLICY))))
        for region, name in ((US, "p/4/switchover#2"), (EU, "p/4/restand")):
            (leaving,) = drain([tried], region, POLICY)
            assert leaving.plan is not None and leaving.plan.id == name
        (leaving,) = drain([healthy(plan=undone(leaving.plan))], EU, POLICY)
        assert leaving.plan is not None and leaving.plan.id == "p/4/restand#2"

    def test_a_region_that_cannot_leave_says_so_by_code_and_placement(self) -> None:
        nowhere = healthy(leases={US: lease(0.3), EU: lease(OVER_S)})
        (leaving,) = drain([nowhere], US, POLICY)
        assert leaving.placement == "p" and leaving.plan is None and leaving.denied is not None
        assert (leaving.denied.code, leaving.denied.facts) == ("cannot_leave", {"placement": "p"})
        assert "eu-west: it has no lease now" in leaving.denied.reason

    def test_what_may_live_nowhere_else_stays_and_is_read_only(self) -> None:
        only = placement(standby=None, regions=(US,), durability=Durability.HOME)
        (leaving,) = drain([healthy(placement=only)], US, POLICY)
        assert leaving.plan is None and leaving.read_only and not complete([leaving])
        assert leaving.denied is not None
        assert leaving.denied.reason == (
            "cannot move p from us-east: no other region is allowed; without us-east it is read-only"
        )

    def test_a_placement_that_is_not_there_is_not_mentioned_and_a_third_copy_only_in_passing(self) -> None:
        assert drain([healthy()], WEST, POLICY) == ()
        (leaving,) = drain([healthy(placement=placement(regions=THREE))], WEST, POLICY)
        assert leaving.plan is None and leaving.denied is None


class TestTheStandby:
    def lost(self, **other: Any) -> View:
        leases = {US: lease(), EU: lease(OVER_S), WEST: lease()}
        return healthy(**({"leases": leases, "placement": placement(regions=THREE)} | other))

    def test_all_is_well(self) -> None:
        assert said(decide(healthy(), POLICY)) is None

    def test_another_region_that_has_caught_up_replaces_it(self) -> None:
        plan = planned(decide(self.lost(), POLICY))
        assert (plan.kind, plan.source, plan.target, plan.after.standby) == (Kind.RESTAND, US, US, WEST)
        assert (plan.id, plan.after.wanted) == ("p/4/restand", plan.before.wanted)
        assert plan.after.durability is Durability.REMOTE

    def test_one_that_has_not_been_steady_is_not_named_yet(self) -> None:
        plan = planned(decide(self.lost(steady_s={WEST: 4.9}), POLICY))
        assert (plan.after.standby, plan.after.durability, plan.after.is_degraded) == (None, Durability.HOME, True)

    def test_one_that_confirms_nothing_is_not_named_however_well_it_hears(self) -> None:
        """A link cut one way: it would be lost again at once."""
        for unconfirmed_s in ({WEST: 2.0}, {}):
            assert planned(decide(self.lost(unconfirmed_s=unconfirmed_s), POLICY)).after.standby is None
        assert planned(decide(self.lost(unconfirmed_s={WEST: 0.3}), POLICY)).after.standby == WEST

    def test_strict_stands_and_says_why(self) -> None:
        view = self.lost(placement=placement(declared=STRICT))
        assert said(decide(view, POLICY)) == (
            "cannot replace the standby of p: eu-west is lost: it has no lease now, and no other region is allowed; "
            "writes wait for it, as was declared"
        )

    def test_strict_says_of_each_other_region_why_it_does_not_stand_by(self) -> None:
        view = with_copy(self.lost(placement=placement(regions=THREE, declared=STRICT)), WEST, behind_s=9.0)
        assert said(decide(view, POLICY)) == (
            "cannot replace the standby of p: eu-west is lost: it has no lease now, and us-west: it is 9 s behind; "
            "writes wait for it, as was declared"
        )

    def test_a_standby_that_is_drained_and_confirms_is_not_lost_to_a_strict_placement(self) -> None:
        """Draining it was refused, and its writes stop when the region does: not before."""
        drained = healthy(placement=placement(declared=STRICT), drained=frozenset({EU}))
        stands = decide(drained, POLICY)
        assert said(stands) == (
            "cannot replace the standby of p: eu-west is drained, and no other region is allowed; until then a loss of "
            "the home stops its writes"
        )
        assert isinstance(stands, Stand) and stands.denied is not None and stands.denied.code == "no_standby"
        for silent in (replace(drained, stalled_s=5.0), replace(drained, leases=self.lost().leases)):
            stands = decide(silent, POLICY)
            assert isinstance(stands, Stand) and stands.denied is not None and stands.denied.code == "standby_lost"
        assert planned(decide(replace(drained, placement=placement()), POLICY)).after.standby is None

    def test_a_second_try_in_one_epoch_has_a_name_of_its_own(self) -> None:
        tried = undone(planned(decide(self.lost(), POLICY)))
        assert planned(decide(self.lost(plan=tried), POLICY)).id == "p/4/restand#2"

    def test_a_standby_that_confirms_nothing_is_lost_although_it_lives(self) -> None:
        assert said(decide(healthy(stalled_s=4.9), POLICY)) is None
        assert planned(decide(healthy(stalled_s=5.0), POLICY)).after.is_degraded

    def test_a_home_placement_keeps_a_slow_standby_and_leaves_it_to_the_governor(self) -> None:
        slow = placement(durability=Durability.HOME, declared=declared(durability=Durability.HOME))
        assert "the RPO bounds what it may lack" in str(said(decide(healthy(placement=slow, stalled_s=30.0), POLICY)))
        gone = self.lost(placement=replace(slow, regions=(US, EU)))
        assert planned(decide(gone, POLICY)).after.standby is None

    def test_what_was_declared_is_restored_when_it_has_been_steady(self) -> None:
        degraded = placement(standby=None, durability=Durability.HOME, declared=declared())
        assert planned(decide(healthy(placement=degraded), POLICY)).after.standby == EU
        early = said(decide(healthy(placement=degraded, steady_s={EU: 3.0}), POLICY))
        assert early == (
            "cannot give p a standby: eu-west: it has caught up for 3.0 s; 5 s are waited for; until then a loss of "
            "the home stops its writes"
        )

    def test_a_region_that_is_drained_or_down_is_not_called_slow(self) -> None:
        alone = placement(standby=None, durability=Durability.HOME, declared=declared())
        drained = healthy(placement=alone, drained=frozenset({EU}))
        assert "eu-west: it is drained" in str(said(decide(drained, POLICY)))
        down = healthy(placement=alone, leases={US: lease(0.3), EU: lease(OVER_S)})
        assert "eu-west: it has no lease now" in str(said(decide(down, POLICY)))
        silent = healthy(placement=alone, unconfirmed_s={EU: 9.0})
        assert "eu-west: it has confirmed nothing for 9 s" in str(said(decide(silent, POLICY)))

    def test_a_standby_that_is_well_restores_what_was_declared(self) -> None:
        degraded = placement(durability=Durability.HOME, declared=declared())
        after = planned(decide(healthy(placement=degraded), POLICY)).after
        assert (after.standby, after.durability) == (EU, Durability.REMOTE)

    def test_it_is_named_after_just_as_long_as_is_waited_for_and_not_known_to_be_steady_it_is_not(self) -> None:
        assert planned(decide(self.lost(steady_s={WEST: POLICY.steady_s}), POLICY)).after.standby == WEST
        hasty = Policy(steady_s=1.0, caught_up_s_max=0.5)
        assert planned(decide(self.lost(steady_s={}), hasty)).after.standby is None
        assert planned(decide(self.lost(), hasty)).after.standby == WEST, "what is not measured here counts for nobody"

    def test_why_each_other_region_is_not_named_is_told(self) -> None:
        alone = placement(regions=THREE, standby=None, durability=Durability.HOME, declared=declared())
        silent = healthy(placement=alone, unconfirmed_s={EU: POLICY.caught_up_s_max, WEST: 0.0}, steady_s={})
        assert said(decide(silent, POLICY)) == (
            "cannot give p a standby: eu-west: it has confirmed nothing for 2 s of what it was sent; us-west: it has "
            "caught up for 0.0 s; 5 s are waited for; until then a loss of the home stops its writes"
        )
        unheard = said(decide(replace(silent, unconfirmed_s={}), POLICY))
        assert "us-west: it has confirmed nothing of what it was sent" in str(unheard)
        hasty = Policy(caught_up_s_max=0.5)
        assert "eu-west: it has caught up for 0.0 s" in str(said(decide(replace(silent, unconfirmed_s=None), hasty)))

    def test_the_code_says_whether_there_is_none_or_it_is_lost(self) -> None:
        alone = placement(standby=None, durability=Durability.HOME, declared=declared())
        for view, code, facts in (
            (healthy(placement=alone, steady_s={}), "no_standby", {}),
            (self.lost(placement=placement(declared=STRICT)), "standby_lost", {"standby": EU}),
        ):
            decision = decide(view, POLICY)
            assert not isinstance(decision, Start) and decision.denied is not None
            assert (decision.denied.code, decision.denied.facts) == (code, facts)

    def test_a_single_region_has_none_and_says_nothing(self) -> None:
        only = placement(standby=None, regions=(US,), durability=Durability.HOME)
        assert said(decide(healthy(placement=only), POLICY)) is None

    def test_only_the_home_that_has_a_lease_decides_and_not_during_a_plan(self) -> None:
        assert said(decide(self.lost(here=WEST), POLICY)) is None
        assert said(decide(self.lost(leases={US: lease(OVER_S), EU: lease(OVER_S)}), POLICY)) is None
        under_way = planned(switch_to(healthy(), EU, POLICY))
        assert said(decide(self.lost(plan=under_way), POLICY)) is None

    def test_a_standby_with_a_gap_is_lost_for_remote_writes(self) -> None:
        assert planned(decide(with_copy(healthy(), EU, gap="marks"), POLICY)).after.is_degraded

    def test_a_silent_report_alone_loses_nothing(self) -> None:
        assert said(decide(healthy(copies={US: copy()}), POLICY)) is None
