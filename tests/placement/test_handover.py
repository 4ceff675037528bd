"""A home whose own writes fail hands its placements over, gives its lease up, or keeps both: each with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Durability, StandbyLoss
from intelgraph.placement.decision import Stand, Start
from intelgraph.placement.failover import decide as decide_failover
from intelgraph.placement.failover import failover_to
from intelgraph.placement.handover import decide, gives_up
from intelgraph.placement.plan import Kind, Plan
from intelgraph.placement.policy import Policy
from intelgraph.placement.standby import decide as decide_standby
from intelgraph.placement.standby import why_lost
from intelgraph.placement.switchover import switch_to
from intelgraph.placement.view import View
from intelgraph.placement.write_path import WritePath

from .views import EU, OVER_S, POLICY, US, WEST, copy, declared, healthy, lease, lost, placement, with_copy

WHY = Denied(code="write_path", reason="writes fail in us-east: its edge refuses new connections")
WELL = WritePath(steady_s=60.0, is_known=True)
THREE = (US, EU, WEST)


def broken(failing_s: float = POLICY.writes_lost_s, why: Denied | None = WHY) -> WritePath:
    return WritePath(failed=5, failing_s=failing_s, is_known=True, is_broken=True, why=why)


def failing(failing_s: float = POLICY.writes_lost_s, **other: object) -> View:
    """Everybody is well, but writes fail at the home."""
    view = healthy(**other)
    return replace(view, writes={**view.writes, US: broken(failing_s)})


def writes(view: View, region: str, path: WritePath | None) -> View:
    others = {name: each for name, each in view.writes.items() if name != region}
    return replace(view, writes=others if path is None else {**others, region: path})


def plan_of(view: View) -> Plan:
    decision = decide(view, POLICY)
    assert isinstance(decision, Start), decision
    return decision.plan


def refusal(view: View) -> str:
    decision = decide(view, POLICY)
    assert isinstance(decision, Stand) and decision.denied is not None, decision
    assert decision.denied.code == "writes_fail"
    assert decision.denied.facts == {"placement": "p", "home": US}
    return decision.denied.reason


def test_it_is_handed_to_the_standby_by_a_planned_move_that_changes_nothing_of_what_is_declared() -> None:
    plan = plan_of(failing())
    assert (plan.id, plan.kind, plan.source, plan.target) == ("p/4/switchover", Kind.SWITCHOVER, US, EU)
    assert plan.after.wanted.home == US
    assert (plan.after.standby, plan.after.durability) == (US, Durability.REMOTE), "its database works"


def test_it_is_not_handed_over_before_a_lease_would_have_ended() -> None:
    decision = decide(failing(POLICY.writes_lost_s - 0.1), POLICY)
    assert decision == Stand()


def test_only_the_home_hands_over() -> None:
    assert decide(replace(failing(), here=EU), POLICY) == Stand()


@pytest.mark.parametrize("standby_is_lost", [False, True])
def test_a_home_whose_lease_is_not_renewed_begins_neither_a_move_nor_a_restand(standby_is_lost: bool) -> None:
    """A full disk: it could not carry one out, and one that it had recorded would keep the standby from taking over."""
    view = failing()
    if standby_is_lost:
        view = replace(view, stalled_s=POLICY.standby_lost_s)
    renewed, stands = (
        replace(view, leases={**view.leases, US: lease(still_s)})
        for still_s in (POLICY.lease.lease_s / 2 - 0.1, POLICY.lease.lease_s / 2)
    )
    assert isinstance(decide(renewed, POLICY), Start)
    assert isinstance(decide_standby(renewed, POLICY), Start) is standby_is_lost
    assert decide(stands, POLICY) == decide_standby(stands, POLICY) == Stand()


def test_a_home_that_is_well_or_not_probed_hands_nothing_over() -> None:
    assert decide(healthy(), POLICY) == Stand()
    assert decide(writes(failing(), US, None), POLICY) == Stand()
    assert decide(writes(failing(), US, broken(why=None)), POLICY) == Stand(), "nothing is said yet"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (None, "whether writes get through there is not known"),
        (WritePath(), "whether writes get through there is not known"),
        (broken(why=replace(WHY, reason="as well")), "eu-west: as well"),
        (replace(WELL, steady_s=POLICY.steady_s - 0.1), "writes get through there for 5 s"),
    ],
)
def test_it_goes_only_where_writes_get_through_and_have_for_a_while(path: WritePath | None, says: str) -> None:
    assert says in refusal(writes(failing(), EU, path))


def test_it_goes_where_writes_have_got_through_for_just_as_long_as_is_waited_for() -> None:
    assert plan_of(writes(failing(), EU, replace(WELL, steady_s=POLICY.steady_s))).target == EU


def test_it_goes_to_another_region_where_the_standby_is_no_better() -> None:
    three = failing(placement=placement(regions=THREE))
    assert plan_of(writes(three, EU, broken())).target == WEST


def test_it_goes_nowhere_that_has_not_caught_up_or_is_drained() -> None:
    assert "60 s behind" in refusal(with_copy(failing(), EU, behind_s=60.0))
    assert "eu-west: it is drained" in refusal(replace(failing(), drained=frozenset({EU})))
    alone = failing(placement=placement(regions=(US,), standby=None, durability=Durability.HOME))
    assert "no other region is allowed" in refusal(alone)


def test_moves_that_nobody_asked_for_are_some_time_apart() -> None:
    assert "moved 5 s ago" in refusal(replace(failing(), moved_s_ago=5.0))
    assert plan_of(replace(failing(), moved_s_ago=POLICY.moves_apart_s)).target == EU


def test_nothing_is_begun_while_another_plan_is_under_way() -> None:
    plan = plan_of(failing())
    assert decide(failing(plan=plan), POLICY) == Stand()


def test_after_a_plan_that_is_over_another_is_begun_with_a_name_of_its_own() -> None:
    done = Plan(id="p/3/restand", kind=Kind.RESTAND, before=placement(epoch=2), after=placement()).moved().moved()
    assert plan_of(failing(plan=done)).id == "p/4/switchover"
    undone = plan_of(failing()).given_up(WHY).moved()
    assert plan_of(failing(plan=undone)).id == "p/4/switchover#2"


def test_a_home_that_is_drained_does_not_stand_by() -> None:
    three = failing(placement=placement(regions=THREE), drained=frozenset({US}))
    assert plan_of(three).after.standby == WEST


def test_a_strict_placement_is_handed_over_with_its_old_home_as_standby() -> None:
    strict = placement(declared=declared(on_standby_loss=StandbyLoss.STRICT))
    assert plan_of(failing(placement=strict)).after.standby == US


# ------------------------------------------------------------------------------------------------ giving the lease up


def test_the_lease_is_given_up_where_handing_over_came_to_nothing_and_the_standby_is_well() -> None:
    denied = gives_up([failing(POLICY.writes_given_up_s)], POLICY)
    assert denied is not None and denied.code == "lease_given_up"
    assert "eu-west can take it" in denied.reason
    assert denied.facts == {"about": US, "standby": EU}


def test_the_lease_is_kept_before_that_and_where_nobody_is_better_off() -> None:
    long = failing(POLICY.writes_given_up_s)
    assert gives_up([failing(POLICY.writes_given_up_s - 0.1)], POLICY) is None
    assert gives_up([writes(long, EU, broken())], POLICY) is None
    assert gives_up([writes(long, EU, None)], POLICY) is None
    assert gives_up([replace(long, leases={US: lease(0.3), EU: lease(OVER_S)})], POLICY) is None
    assert gives_up([replace(long, placement=placement(home=EU, standby=US))], POLICY) is None, (
        "nothing is at home here"
    )
    assert gives_up([], POLICY) is None
    assert gives_up([healthy()], POLICY) is gives_up([writes(long, US, None)], POLICY) is None
    assert gives_up([writes(long, US, broken(POLICY.writes_given_up_s, why=None))], POLICY) is None
    elsewhere = placement(home=EU, standby=WEST, regions=THREE)
    assert gives_up([failing(POLICY.writes_given_up_s, placement=elsewhere)], POLICY) is None
    alone = placement(standby=None, durability=Durability.HOME)
    assert gives_up([failing(POLICY.writes_given_up_s, placement=alone)], POLICY) is None


def test_one_placement_that_its_standby_can_take_is_enough() -> None:
    long = failing(POLICY.writes_given_up_s)
    away = replace(long, placement=placement(home=EU, standby=US))
    assert gives_up([away, writes(long, EU, broken()), long], POLICY) is not None


def test_the_lease_is_given_up_although_the_home_does_not_know_its_own_copy() -> None:
    blind = replace(failing(POLICY.writes_given_up_s), copies={EU: copy()})
    assert isinstance(decide(blind, POLICY), Stand), "a planned move takes its database"
    assert gives_up([blind], POLICY) is not None


# ------------------------------------------------------------------------------------------------- whoever takes over


def test_a_standby_whose_own_writes_fail_does_not_take_over() -> None:
    view = writes(lost(), EU, broken(why=replace(WHY, reason="its database lets nobody in")))
    decision = decide_failover(view, POLICY)
    assert isinstance(decision, Stand) and decision.denied is not None
    assert decision.denied.code == "writes_fail"
    assert "its database lets nobody in" in decision.denied.reason


def test_a_standby_takes_over_as_soon_as_its_writes_get_through_it_need_not_be_steady() -> None:
    assert isinstance(decide_failover(writes(lost(), EU, replace(WELL, steady_s=0.0)), POLICY), Start)


def test_nobody_moves_a_placement_to_where_writes_fail_not_even_by_hand() -> None:
    assert isinstance(switch_to(writes(healthy(), EU, broken()), EU, POLICY), Stand)
    assert isinstance(failover_to(writes(lost(), EU, broken()), EU, allow_data_loss=True, policy=POLICY), Stand)


def test_a_standby_whose_clients_cannot_write_is_a_standby_all_the_same() -> None:
    assert why_lost(writes(healthy(), EU, broken()), POLICY) is None, "its database keeps what it is sent"


def test_a_policy_that_gives_up_before_it_hands_over_is_refused() -> None:
    with pytest.raises(ValueError, match="handed over before"):
        Policy(writes_lost_s=8.0, writes_given_up_s=8.0)


def test_where_several_could_take_it_each_says_why_it_cannot() -> None:
    three = failing(placement=placement(regions=THREE))
    said = refusal(writes(writes(three, EU, broken(why=replace(WHY, reason="as well"))), WEST, None))
    assert said == (
        f"cannot hand p over: {WHY.reason}; nobody can take them: eu-west: as well; us-west: whether writes get "
        "through there is not known; it stays where it is until one of them can"
    )


def test_a_strict_placement_stays_where_its_old_home_could_not_stand_by() -> None:
    strict = placement(declared=declared(on_standby_loss=StandbyLoss.STRICT))
    assert "would have no standby" in refusal(failing(placement=strict, drained=frozenset({US})))
