"""What an observer concludes: what is not known is absent, and time that it did not live through counts for nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Placement
from intelgraph.placement.lease import Watched
from intelgraph.placement.observation import Look, Observation, view_as
from intelgraph.placement.plan import Kind, Plan
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import Copy, Sighting
from intelgraph.placement.write_path import UNPROBED, WritePath

from .views import EU, US, WEST, copy, lease, placement

BROKEN = WritePath(failed=3, is_known=True, is_broken=True)


@dataclass(frozen=True)
class Lease:
    counter: int = 7
    version: int = 70
    still_s: float = 0.2
    reached: bool = True


@dataclass(frozen=True, kw_only=True)
class Report:
    leases: Mapping[str, Lease] = field(default_factory=lambda: {US: Lease(), EU: Lease()})
    writes: WritePath | None = None
    copies: Mapping[str, Copy] = field(default_factory=dict)

    def copy(self, placement: str) -> Copy | None:
        return self.copies.get(placement)


@dataclass(frozen=True, kw_only=True)
class Own:
    writes: WritePath | None = UNPROBED
    held: Copy | None = field(default_factory=copy)

    def copy(self, placement: str) -> Copy | None:
        return self.held if placement == "p" else None


THREE = placement(regions=(US, EU, WEST))
WELL = Look(
    placements={"p": THREE},
    leases={name: lease(0.3) for name in (US, EU, WEST)},
    schemas=dict.fromkeys((US, EU, WEST), "s1"),
    reports={name: Report(copies={"p": copy()}, writes=UNPROBED) for name in (EU, WEST)},
    confirmed_s={EU: 0.0, WEST: 0.0},
    is_answered=True,
)
OWN = Own()


def watched(*looks: tuple[float, Look], own: Own = OWN) -> Observation:
    observation = Observation(here=US, policy=Policy())
    for at_s, look in looks:
        observation.tick(look, own, at_s)
    return observation


def moved(look: Look, home: str, **other: object) -> Look:
    return replace(look, placements={"p": replace(THREE, home=home, standby=US)}, **other)  # type: ignore[arg-type]


def test_a_view_has_what_is_held_here_and_what_others_report() -> None:
    view = watched((0.0, WELL)).view("p", OWN, 0.0)
    assert (view.here, view.placement, view.copies.keys()) == (US, THREE, {US, EU, WEST})
    assert view.sightings[EU][US] == Sighting(lease_version=70, still_s=0.2, reached=True)
    assert view.writes == dict.fromkeys((US, EU, WEST), UNPROBED)


def test_what_is_not_known_is_absent() -> None:
    silent = replace(WELL, reports={EU: Report()}, is_answered=False)
    view = watched((0.0, silent)).view("p", Own(writes=None, held=None), 0.0)
    assert view.copies == view.writes == {}
    assert view.stalled_s is None and view.unconfirmed_s == {} and view.moved_s_ago is None


def test_one_s_own_pause_counts_against_nobody() -> None:
    plan = Plan(id="p/4", kind=Kind.FAILBACK, before=THREE, after=replace(THREE, home=EU, standby=US, epoch=4))
    look = replace(WELL, plans={"p": plan})
    view = watched((0.0, look), (1.0, look), (61.0, look)).view("p", OWN, 61.0)
    assert view.plan == plan and view.plan_still_s == 2.0
    assert view.stalled_s == 2.0
    assert view.steady_s[EU] == 2.0
    assert view.unconfirmed_s == {EU: 61.0, WEST: 61.0}, "what was measured is what it is"


def test_steadiness_begins_anew_after_a_break() -> None:
    behind = replace(WELL, reports={**WELL.reports, EU: Report(copies={"p": copy(behind_s=60.0)})})
    view = watched(*((float(at_s), WELL) for at_s in range(8))).view("p", OWN, 7.0)
    assert view.steady_s[EU] == 7.0
    view = watched((0.0, WELL), (1.0, WELL), (2.0, behind), (3.0, WELL)).view("p", OWN, 3.0)
    assert (view.steady_s[EU], view.steady_s[WEST]) == (0.0, 3.0), "it has just been seen to be well again"


def test_only_a_home_counts_who_confirms_and_who_is_steady() -> None:
    view = watched((0.0, moved(WELL, EU)), (1.0, moved(WELL, EU))).view("p", OWN, 1.0)
    assert (view.stalled_s, view.unconfirmed_s, view.steady_s) == (None, None, {})


def test_a_home_that_changed_by_itself_is_remembered_and_one_that_was_asked_for_is_not() -> None:
    assert watched((0.0, WELL), (1.0, WELL)).view("p", OWN, 1.0).moved_s_ago is None
    by_itself = watched((0.0, WELL), (5.0, moved(WELL, EU)))
    assert by_itself.view("p", OWN, 9.0).moved_s_ago == 4.0
    asked_for = watched((0.0, WELL), (5.0, moved(WELL, EU, by_hand=frozenset({"p"}))))
    assert asked_for.view("p", OWN, 9.0).moved_s_ago is None


def test_how_far_behind_is_counted_to_when_the_home_s_lease_was_seen_renewed() -> None:
    first = replace(WELL, token_now_s=100.0)
    same = replace(WELL, token_now_s=103.0)
    observation = watched((0.0, first), (3.0, same))
    assert observation.behind_s(EU, 99.5, 103.0) == 0.5, "a home that is silent makes nobody look further behind"
    assert observation.behind_s(US, None, 103.0) == 0.0
    assert observation.behind_s(EU, None, 103.0) is None
    assert observation.behind_s(EU, 110.0, 103.0) is None, "a token of before this machine was started"
    assert observation.silent_s(EU, 103.0) == 3.0
    renewed = replace(same, leases={**WELL.leases, EU: lease(0.0, version=71)})
    observation.tick(renewed, OWN, 3.5)
    assert observation.silent_s(EU, 103.0) == 0.0


def test_whoever_has_watched_nothing_sees_as_one_observer_reports() -> None:
    reports = {
        US: Report(leases={US: Lease(), EU: Lease(still_s=6.0, version=9)}, copies={"p": copy()}),
        WEST: Report(leases={US: Lease(), EU: Lease(still_s=7.0, version=9)}, writes=BROKEN),
    }
    known: Placement = THREE
    view = view_as(US, reports, known, replace(WELL, drained=frozenset({WEST})))
    assert view.leases[EU] == Watched(counter=7, version=9, still_s=6.0, looked_s=0.0)
    assert view.sightings.keys() == {WEST} and view.sightings[WEST][EU].still_s == 7.0
    assert (view.copies.keys(), view.writes, view.drained) == ({US}, {WEST: BROKEN}, {WEST})
    assert (view.here, view.placement, view.schemas, view.plan) == (US, THREE, WELL.schemas, None)
    plan = Plan(id="p/4", kind=Kind.FAILBACK, before=THREE, after=replace(THREE, home=EU, standby=US, epoch=4))
    assert view_as(US, reports, known, replace(WELL, plans={"p": plan})).plan == plan


def test_a_view_has_what_the_store_says() -> None:
    drained = replace(WELL, drained=frozenset({WEST}))
    view = watched((0.0, drained)).view("p", OWN, 0.0)
    assert (view.leases, view.drained, view.schemas, view.plan) == (WELL.leases, {WEST}, WELL.schemas, None)


def test_less_than_a_second_between_two_looks_counts_as_it_is_and_a_clock_that_goes_back_as_nothing() -> None:
    steady = watched((0.0, WELL), (0.25, WELL), (0.5, WELL))
    assert steady.view("p", OWN, 0.5).steady_s[EU] == 0.5
    steady.tick(WELL, OWN, 0.0)
    assert steady.view("p", OWN, 0.0).steady_s[EU] == 0.5


def test_how_long_a_plan_stands_begins_anew_with_each_of_its_actions_and_when_it_is_given_up() -> None:
    plan = Plan(id="p/4", kind=Kind.SWITCHOVER, before=THREE, after=replace(THREE, home=EU, standby=US, epoch=4))
    moved_on = plan.moved(result="1/41")
    given_up = plan.given_up(Denied(code="a_test", reason="a test"))
    for following in (moved_on, given_up, replace(plan, id="p/4#2")):
        before, after = replace(WELL, plans={"p": plan}), replace(WELL, plans={"p": following})
        observation = watched((0.0, before), (1.0, before), (2.0, after))
        assert observation.view("p", OWN, 2.0).plan_still_s == 0.0
        observation.tick(after, OWN, 3.0)
        observation.tick(after, OWN, 4.0)
        assert observation.view("p", OWN, 4.0).plan_still_s == 2.0


def test_a_standby_that_confirms_has_not_stalled_and_one_that_stopped_has_since_then() -> None:
    confirming = watched(*((at_s, replace(WELL, confirmed_s={EU: at_s - 0.2, WEST: 0.0})) for at_s in (1.0, 2.0, 3.0)))
    assert confirming.stalled_s(US, EU, 3.0) == 0.0
    assert confirming.unconfirmed_s(EU, 3.0) is not None and confirming.unconfirmed_s(EU, 2.0) == 0.0
    assert confirming.unconfirmed_s(EU, 3.0) == 3.0 - 2.8
    assert confirming.stalled_s(US, WEST, 3.0) == 2.0
    assert confirming.stalled_s(EU, WEST, 3.0) is None, "only its home counts that"
    assert confirming.stalled_s(US, None, 3.0) is None


def test_of_a_region_that_nobody_has_seen_nothing_is_known() -> None:
    observation = watched((0.0, replace(WELL, token_now_s=100.0)))
    assert observation.silent_s("ap-south", 103.0) is None
    assert observation.behind_s("ap-south", 99.0, 103.0) is None
    assert observation.unconfirmed_s("ap-south", 3.0) is None
    assert observation.behind_s(EU, 103.0, 103.0) == 0.0, "a token that has just come back"


def test_before_the_first_look_nothing_is_known() -> None:
    observation = Observation(here=US, policy=Policy())
    assert observation.unconfirmed_s(EU, 3.0) is observation.stalled_s(US, EU, 3.0) is None
    assert observation.silent_s(EU, 3.0) is observation.behind_s(EU, 1.0, 3.0) is None


def test_what_is_seen_for_the_first_time_has_lasted_for_none() -> None:
    """A placement of which the observer hears later than of others: its plan, its regions and their silence are new."""
    plan = Plan(id="p/4", kind=Kind.SWITCHOVER, before=THREE, after=replace(THREE, home=EU, standby=US, epoch=4))
    observation = watched((0.0, replace(WELL, placements={})), (1.0, replace(WELL, plans={"p": plan})))
    view = observation.view("p", OWN, 1.0)
    assert (view.plan_still_s, view.stalled_s, view.steady_s) == (0.0, 0.0, {EU: 0.0, WEST: 0.0})


def test_a_region_that_was_never_well_has_no_steadiness_to_lose() -> None:
    behind = replace(WELL, reports={**WELL.reports, EU: Report(copies={"p": copy(behind_s=60.0)})})
    assert watched((0.0, behind), (1.0, behind)).view("p", OWN, 1.0).steady_s.keys() == {WEST}
