"""Policies that could not work are refused; the least that works is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from intelgraph.placement.decision import plan_id
from intelgraph.placement.plan import Kind, Plan
from intelgraph.placement.policy import GovernorPolicy, PlanBounds, Policy

from .views import EU, US, placement

LITTLE_S = 0.001


@pytest.mark.parametrize("field", ["catch_up_s_max", "gather_s_max", "unopened_s_max"])
def test_every_action_may_wait_for_some_time(field: str) -> None:
    assert getattr(PlanBounds(**{field: LITTLE_S}), field) == LITTLE_S
    with pytest.raises(ValueError, match="last some time"):
        PlanBounds(**{field: 0.0})


@pytest.mark.parametrize("field", ["steady_s", "standby_lost_s"])
def test_every_judgement_takes_some_time(field: str) -> None:
    assert getattr(Policy(**{field: LITTLE_S}), field) == LITTLE_S
    with pytest.raises(ValueError, match="last some time"):
        Policy(**{field: 0.0})


def test_somebody_must_have_seen_a_lease_end() -> None:
    assert Policy(vantage_points=1).vantage_points == 1
    with pytest.raises(ValueError, match="at least one"):
        Policy(vantage_points=0)


def test_a_placement_is_handed_over_before_the_lease_is_given_up() -> None:
    assert Policy(writes_lost_s=LITTLE_S, writes_given_up_s=2 * LITTLE_S).writes_lost_s == LITTLE_S
    with pytest.raises(ValueError, match="handed over before"):
        Policy(writes_lost_s=0.0)


@pytest.mark.parametrize("shares", [(0.0, 0.9), (0.9, 0.9), (0.5, 1.0)])
def test_writes_are_delayed_then_refused_then_the_bound_is_met(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="delayed before"):
        GovernorPolicy(throttle_from=shares[0], refuse_from=shares[1])


def test_tries_in_one_epoch_are_numbered_from_two_and_another_kind_begins_anew() -> None:
    first = Plan(
        id=plan_id(placement(), Kind.SWITCHOVER, None), kind=Kind.SWITCHOVER,
        before=placement(), after=placement(home=EU, standby=US, epoch=4),
    )  # fmt: skip
    assert first.id == "p/4/switchover"
    second = replace(first, id=plan_id(placement(), Kind.SWITCHOVER, first))
    assert second.id == "p/4/switchover#2"
    assert plan_id(placement(), Kind.SWITCHOVER, second) == "p/4/switchover#3"
    assert plan_id(placement(), Kind.FAILOVER, second) == "p/4/failover"
    assert plan_id(placement(epoch=4), Kind.SWITCHOVER, second) == "p/5/switchover"


@pytest.mark.parametrize("after", [{"epoch": 3}, {"epoch": 5}, {"id": "q", "epoch": 4}])
def test_a_plan_raises_one_placement_s_epoch_by_one(after: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="epoch by one"):
        Plan(id="p/4/x", kind=Kind.RESTAND, before=placement(), after=placement(**after))
