"""A placement that loses a region, or is declared anew: what becomes of it, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Durability, Placement, StandbyLoss
from intelgraph.placement.membership import by_hand, declare, rearranged, without
from intelgraph.placement.plan import Kind

from .views import EU, US, WEST, declared, placement

THREE = (US, EU, WEST)
STRICT = declared(on_standby_loss=StandbyLoss.STRICT)


def next_of(told: Placement | Denied) -> Placement:
    assert isinstance(told, Placement), told
    return told


def denied(told: Placement | Denied) -> str:
    assert isinstance(told, Denied), told
    return told.code


def test_a_third_region_goes_and_nothing_else_changes() -> None:
    before = placement(regions=THREE, declared=declared())
    assert next_of(without(before, WEST)) == replace(before, regions=(US, EU), epoch=4)


def test_the_home_does_not_go_and_the_way_out_is_told() -> None:
    told = without(placement(), US)
    assert denied(told) == "home_not_allowed" and "switchover" in str(told)
    assert isinstance(told, Denied) and told.facts == {"placement": "p", "region": US, "home": US}


def test_without_its_standby_it_goes_on_at_home_and_is_restored_where_a_region_is_left() -> None:
    after = next_of(without(placement(regions=THREE), EU))
    assert (after.standby, after.durability, after.is_degraded) == (None, Durability.HOME, True)


def test_what_no_region_is_left_for_is_declared_no_more() -> None:
    after = next_of(without(placement(), EU))
    assert (after.regions, after.wanted.durability, after.is_degraded) == ((US,), Durability.HOME, False)


def test_a_strict_placement_keeps_its_standby() -> None:
    assert denied(without(placement(regions=THREE, declared=STRICT), EU)) == "no_standby"
    assert next_of(without(placement(regions=THREE, declared=STRICT), WEST)).standby == EU


def test_a_home_that_was_declared_and_may_hold_it_no_longer_is_declared_no_more() -> None:
    failed_over = placement(home=EU, standby=None, durability=Durability.HOME, declared=declared(), regions=THREE)
    assert next_of(without(failed_over, US)).wanted.home == EU
    assert next_of(without(failed_over, WEST)).wanted.home == US, "it may still go back there"


def test_declared_anew_it_is_as_far_as_its_standby_allows() -> None:
    after = next_of(declare(placement(), STRICT))
    assert (after.epoch, after.wanted, after.durability) == (4, STRICT, Durability.REMOTE)
    lower = next_of(declare(placement(), declared(durability=Durability.HOME)))
    assert (lower.standby, lower.durability) == (EU, Durability.HOME)


def test_the_same_again_changes_nothing() -> None:
    before = placement(declared=STRICT)
    assert declare(before, STRICT) is before


def test_what_cannot_be_is_refused() -> None:
    elsewhere = declare(placement(), declared(home=WEST))
    assert denied(elsewhere) == "region_not_allowed"
    assert isinstance(elsewhere, Denied) and elsewhere.reason.endswith("it may live in us-east, eu-west only")
    alone = placement(standby=None, regions=(US,), durability=Durability.HOME)
    assert denied(declare(alone, declared())) == "no_standby"
    degraded = placement(standby=None, durability=Durability.HOME, declared=declared())
    assert denied(declare(degraded, STRICT)) == "no_standby"


@given(
    st.sampled_from(THREE), st.sampled_from((None, *THREE)), st.sampled_from(Durability), st.sampled_from(StandbyLoss)
)
def test_whatever_is_removed_the_rest_is_a_placement_of_which_nothing_is_promised_there(
    region: str, standby: str | None, durability: Durability, loss: StandbyLoss
) -> None:
    standby = None if standby == US else standby
    durability = Durability.HOME if standby is None else durability
    wanted = declared(durability=durability, on_standby_loss=loss)
    after = without(placement(regions=THREE, standby=standby, durability=durability, declared=wanted), region)
    if isinstance(after, Placement):
        assert region not in (after.home, after.standby, after.wanted.home, *after.regions)
        assert after.epoch == 4


def arranged(before: Placement, **wanted: Any) -> Placement | Denied:
    return rearranged(before, **({"home": US, "standby": None, "regions": None} | wanted))


def test_another_standby_or_more_regions_are_a_next_epoch_and_the_same_again_is_none() -> None:
    before = placement()
    assert arranged(before) is before
    more = next_of(arranged(before, regions=THREE, standby=WEST))
    assert (more.regions, more.standby, more.epoch) == (THREE, WEST, 4)


def test_a_home_that_goes_to_its_standby_stands_by() -> None:
    after = next_of(arranged(placement(), home=EU))
    assert (after.home, after.standby) == (EU, US)


def test_no_region_is_left_out_in_passing() -> None:
    told = arranged(placement(regions=THREE), regions=(US, EU))
    assert denied(told) == "use_remove_region" and "remove-region p us-west" in str(told)
    assert isinstance(told, Denied) and told.facts == {"placement": "p", "left_out": [WEST]}


def test_the_same_standby_named_again_is_the_same_and_another_home_or_standby_is_not() -> None:
    before = placement(regions=THREE)
    assert arranged(before, standby=EU) is before
    assert next_of(arranged(before, standby=WEST)).standby == WEST
    after = next_of(arranged(before, home=WEST))
    assert (after.home, after.standby, after.regions) == (WEST, EU, THREE)


def test_a_refusal_says_whom_it_is_about() -> None:
    for told in (
        declare(placement(), declared(home=WEST)),
        declare(placement(standby=None, durability=Durability.HOME, declared=declared()), STRICT),
        declare(placement(standby=None, regions=(US,), durability=Durability.HOME), declared()),
    ):
        assert (
            isinstance(told, Denied) and told.facts["placement"] == "p" and told.facts.keys() == {"placement", "home"}
        )
    strict = without(placement(regions=THREE, declared=STRICT), EU)
    assert isinstance(strict, Denied) and strict.facts == {"placement": "p", "region": EU, "home": US}


def test_by_hand_it_is_a_plan_of_the_home_that_may_be_forced() -> None:
    before = placement()
    following = next_of(without(before, EU))
    plan = by_hand(before, following, None)
    assert (plan.id, plan.kind, plan.before, plan.after) == ("p/4/restand", Kind.RESTAND, before, following)
    assert plan.force is False and by_hand(before, following, None, force=True).force is True
    given_up = plan.given_up(Denied(code="a_test", reason="a test"))
    assert by_hand(before, following, given_up).id == "p/4/restand#2"
