"""When a region takes a placement over by itself, and the sentence it says when it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from intelgraph.model.placement import Durability, StandbyLoss
from intelgraph.placement.decision import Stand, Start
from intelgraph.placement.failover import decide, failover_to
from intelgraph.placement.plan import Kind, Plan
from intelgraph.placement.view import View

from .views import EU, OVER_S, POLICY, US, WEST, copy, declared, lease, lost, placement, seen, with_copy

THREE = (US, EU, WEST)


def plan_of(view: View) -> Plan:
    decision = decide(view, POLICY)
    assert isinstance(decision, Start), decision
    return decision.plan


def refusal(view: View) -> str | None:
    decision = decide(view, POLICY)
    assert isinstance(decision, Stand), decision
    return None if decision.denied is None else decision.denied.reason


def raised(kind: Kind = Kind.FAILOVER, *, granted: object = None, **after: object) -> Plan:
    """A plan that has raised the epoch to 4 and has not opened it."""
    before = placement(regions=THREE)
    facts = {"home": EU, "standby": None, "epoch": 4, "durability": Durability.HOME, "declared": declared()}
    plan = Plan(id="p/4/x", kind=kind, before=before, after=replace(before, **(facts | after)))  # type: ignore[arg-type]
    while not plan.has_committed:
        plan = plan.moved()
    return plan


def test_the_standby_takes_over_when_the_lease_is_over_and_another_vantage_point_agrees() -> None:
    plan = plan_of(lost())
    assert (plan.id, plan.kind, plan.source, plan.target) == ("p/4/failover", Kind.FAILOVER, US, EU)
    assert plan.lease_version == 70, "the raise expects the lease at the version that was watched"
    assert plan.force is False


def test_a_lost_home_is_not_named_standby_and_the_placement_says_what_was_declared() -> None:
    after = plan_of(lost()).after
    assert (after.home, after.standby, after.durability, after.epoch) == (EU, None, Durability.HOME, 4)
    assert after.is_degraded and after.wanted.home == US


def test_a_strict_placement_keeps_the_lost_home_as_standby_and_refuses_until_it_is_back() -> None:
    strict = declared(on_standby_loss=StandbyLoss.STRICT)
    after = plan_of(lost(placement=placement(declared=strict))).after
    assert (after.standby, after.durability) == (US, Durability.REMOTE)


def test_another_region_that_has_caught_up_becomes_the_standby() -> None:
    after = plan_of(lost(placement=placement(regions=THREE))).after
    assert (after.standby, after.durability) == (WEST, Durability.REMOTE)


@pytest.mark.parametrize(
    "other", [{"behind_s": 9.0}, {"behind_s": None}, {"gap": "marks"}, {"whole": False}, {"epoch": 2}]
)
def test_a_region_that_may_lack_rows_is_not_named_standby(other: dict[str, object]) -> None:
    after = plan_of(with_copy(lost(placement=placement(regions=THREE)), WEST, **other)).after
    assert after.standby is None


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (
            lost(leases={US: lease(3.0), EU: lease()}),
            "cannot promote eu-west: the lease of us-east has stood still for 3.0 s; it is over after 5.25 s",
        ),
        (lost(sightings={}), "cannot promote eu-west: 1 vantage point saw the lease of us-east end; 2 must"),
        (
            lost(sightings={"witness": {US: seen(version=69)}}),
            "cannot promote eu-west: 1 vantage point saw the lease of us-east end; 2 must",
        ),
        (
            lost(sightings={"witness": {US: seen(OVER_S - 1)}, US: {US: seen()}}),
            "cannot promote eu-west: 1 vantage point saw the lease of us-east end; 2 must",
        ),
        (
            lost(leases={EU: lease()}),
            "cannot promote eu-west: the lease of us-east has never been seen; it must be seen to end",
        ),
        (
            lost(leases={US: lease(OVER_S), EU: lease(OVER_S)}),
            "cannot promote eu-west: it has no lease now; only a region whose agent and database work takes part",
        ),
        (
            lost(drained=frozenset({EU})),
            "cannot promote eu-west: it is drained; a drained region takes nothing over until it is resumed",
        ),
        (
            lost(schemas={US: "aaaa", EU: "bbbb"}),
            "cannot promote eu-west: its schema is bbbb, that of us-east is aaaa; both must be of one schema version",
        ),
        (
            lost(schemas={EU: "bbbb"}),
            "cannot promote eu-west: the schema of us-east is not known; both must be of one schema version",
        ),
        (lost(copies={}), "cannot promote eu-west: what it holds is not known; it must have been reported lately"),
        (
            lost(copies={EU: copy(hold="version 2")}),
            "cannot promote eu-west: it is held: version 2; a held region shows nothing and opens nothing",
        ),
        (
            lost(copies={EU: copy(gap="marks 3 to 5")}),
            "cannot promote eu-west: rows may be missing there: marks 3 to 5; a region with a gap takes nothing over",
        ),
        (
            lost(copies={EU: copy(epoch=2)}),
            "cannot promote eu-west: it has not heard of epoch 3; the last one that arrived there is 2",
        ),
        (
            lost(copies={EU: copy(whole=False)}),
            "cannot promote eu-west: it lacks rows that epoch 3 stands on; a standby holds them all",
        ),
        (lost(moved_s_ago=12.0), "cannot promote eu-west: p moved 12 s ago; moves are 30 s apart"),
    ],
    ids=lambda value: value.partition(": ")[2][:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_every_refusal_states_refusal_fact_and_limit(view: View, sentence: str) -> None:
    assert refusal(view) == sentence


def test_a_home_placement_moves_within_its_rpo_and_not_beyond_it() -> None:
    home = placement(durability=Durability.HOME, declared=declared(durability=Durability.HOME))
    assert plan_of(with_copy(lost(placement=home), EU, behind_s=59.0))
    behind = with_copy(lost(placement=home), EU, behind_s=94.0)
    assert refusal(behind) == "cannot promote eu-west: it is 94 s behind; the bound is 60 s"
    unknown = with_copy(lost(placement=home), EU, behind_s=None)
    assert refusal(unknown) == "cannot promote eu-west: how far it is behind is not known; the bound is 60 s"


def test_a_remote_standby_needs_no_lag_it_holds_what_was_acknowledged_by_construction() -> None:
    assert plan_of(with_copy(lost(), EU, behind_s=None))


def test_nobody_but_the_named_standby_takes_over() -> None:
    assert refusal(lost(here=WEST, placement=placement(regions=THREE))) is None
    assert refusal(lost(placement=placement(standby=None, durability=Durability.HOME))) is None


def test_a_healthy_home_is_left_alone_without_a_word() -> None:
    assert refusal(lost(leases={US: lease(0.4), EU: lease(0.2)}, sightings={})) is None


def test_a_strict_standby_that_wrote_before_and_heard_of_nothing_since_may_take_back() -> None:
    """us-east was replaced by eu-west, is its (lost) standby, and comes back when eu-west is gone: no write of
    epoch 4 can have been acknowledged without it."""
    strict = declared(on_standby_loss=StandbyLoss.STRICT)
    now = placement(home=EU, standby=US, epoch=4, declared=strict)
    done = replace(raised(), before=placement(), after=now, next=3)
    view = lost(
        here=US,
        placement=now,
        plan=done,
        leases={US: lease(), EU: lease(OVER_S)},
        sightings={"witness": {EU: seen()}},
        copies={US: copy(epoch=3)},
    )
    assert plan_of(view).target == US
    assert refusal(replace(view, plan=None)), "without the plan nobody knows that it wrote before"


class TestOfAnEpochThatWasRaisedAndNotOpened:
    """Nothing was acknowledged in it: whoever held everything of the epoch before may go on."""

    def view(self, plan: Plan, here: str, **other: object) -> View:
        leases = {US: lease(), EU: lease(OVER_S), WEST: lease()}
        facts = {"here": here, "placement": plan.after, "plan": plan, "leases": leases, "sightings": {}}
        return lost(**(facts | {"copies": {here: copy()}} | other))

    def test_the_home_before_takes_back_when_its_successor_is_gone(self) -> None:
        plan = plan_of(self.view(raised(), US))
        assert (plan.before.epoch, plan.after.home, plan.after.epoch) == (4, US, 5)
        assert plan.granted == raised().before and plan.lease_version is None

    def test_the_standby_before_may_as_well_after_a_switchover_to_a_third_region(self) -> None:
        moving = raised(Kind.SWITCHOVER, home=WEST)
        leases = {US: lease(OVER_S), EU: lease(), WEST: lease(OVER_S)}
        assert plan_of(self.view(moving, EU, leases=leases)).target == EU

    def test_nobody_else_may(self) -> None:
        assert refusal(self.view(raised(), WEST)) is None

    def test_a_successor_that_lives_is_given_time(self) -> None:
        living = {US: lease(), EU: lease(), WEST: lease()}
        assert refusal(self.view(raised(), US, leases=living, plan_still_s=9.0)) is None
        assert plan_of(self.view(raised(), US, leases=living, plan_still_s=10.0)).target == US

    def test_after_a_restand_the_old_standby_waits_for_the_lease(self) -> None:
        """The home may still have grants of the epoch before."""
        restand = raised(Kind.RESTAND, home=US, standby=WEST, durability=Durability.REMOTE)
        leases = {US: lease(2.0), EU: lease(), WEST: lease()}
        view = self.view(restand, EU, leases=leases, plan_still_s=60.0)
        assert refusal(replace(view, leases={**leases, US: lease(3.0)})) == (
            "cannot promote eu-west: the lease of us-east has stood still for 3.0 s; it is over after 5.25 s"
        )
        over = replace(view, leases={**leases, US: lease(OVER_S)}, sightings={"witness": {US: seen()}})
        assert plan_of(over).target == EU

    def test_a_second_loss_in_a_row_remembers_who_wrote_last(self) -> None:
        first = plan_of(self.view(raised(), US))
        second = first.moved()
        leases = {US: lease(OVER_S), EU: lease(), WEST: lease()}
        third = plan_of(self.view(second, EU, leases=leases, copies={EU: copy(epoch=3)}))
        assert (third.granted, third.after.home, third.after.epoch) == (raised().before, EU, 6)

    def test_a_home_before_that_lacks_its_own_epoch_does_not_take_back(self) -> None:
        assert refusal(self.view(raised(), US, copies={US: copy(epoch=2)})) == (
            "cannot promote us-east: it has not heard of epoch 3; the last one that arrived there is 2"
        )

    def test_the_home_of_an_epoch_that_it_raised_for_itself_is_no_candidate(self) -> None:
        restand = raised(Kind.RESTAND, home=US, standby=WEST, durability=Durability.REMOTE)
        leases = {US: lease(3.0), EU: lease(), WEST: lease()}
        assert refusal(self.view(restand, US, leases=leases)) is None

    def test_a_third_region_needs_the_lease_to_be_over_like_anybody(self) -> None:
        ended = {"witness": {EU: seen()}, US: {EU: seen()}}
        view = self.view(raised(), "desk", sightings=ended, copies={WEST: copy()})
        forced = failover_to(view, WEST, allow_data_loss=True, policy=POLICY)
        assert isinstance(forced, Start) and forced.plan.lease_version == 70

    def test_its_own_home_is_not_said_to_be_home_already(self) -> None:
        living = {US: lease(), EU: lease(), WEST: lease()}
        view = self.view(raised(), "desk", leases=living, copies={EU: copy()})
        decision = failover_to(view, EU, allow_data_loss=False, policy=POLICY)
        assert isinstance(decision, Stand) and decision.denied is not None
        assert decision.denied.code == "too_few_vantage_points"

    def test_hysteresis_does_not_delay_it(self) -> None:
        assert plan_of(self.view(raised(), US, moved_s_ago=1.0))


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (lost(leases={US: lease(3.0), EU: lease()}), "lease_not_over"),
        (lost(leases={EU: lease()}), "lease_unknown"),
        (lost(sightings={}), "too_few_vantage_points"),
        (lost(copies={EU: copy(epoch=2)}), "epoch_unknown"),
        (lost(copies={EU: copy(whole=False)}), "not_whole"),
        (lost(drained=frozenset({EU})), "drained"),
        (lost(moved_s_ago=12.0), "moved_lately"),
    ],
)
def test_every_refusal_has_a_code(view: View, code: str) -> None:
    decision = decide(view, POLICY)
    assert isinstance(decision, Stand) and decision.denied is not None and decision.denied.code == code


def test_a_refusal_says_whom_it_is_about_and_how_many_have_seen_the_lease_end() -> None:
    drained, alone = decide(lost(drained=frozenset({EU})), POLICY), decide(lost(sightings={}), POLICY)
    assert isinstance(drained, Stand) and drained.denied is not None
    assert drained.denied.facts == {"placement": "p", "target": EU, "home": US}
    assert isinstance(alone, Stand) and alone.denied is not None and alone.denied.facts == {"seen": 1}


def test_moves_are_just_as_far_apart_as_is_waited_for() -> None:
    assert plan_of(lost(moved_s_ago=POLICY.moves_apart_s)).target == EU


def test_a_home_that_renews_for_us_and_has_ended_for_another_is_no_silence() -> None:
    said = refusal(lost(leases={US: lease(0.4), EU: lease()}))
    assert said == (
        "cannot promote eu-west: us-east is up, its lease is renewed; a home that is up is moved by "
        "`intelgraph switchover`"
    )


def test_of_a_strict_placement_only_a_standby_that_wrote_before_may_lack_the_epoch() -> None:
    strict = declared(on_standby_loss=StandbyLoss.STRICT)
    now = placement(home=EU, standby=WEST, regions=THREE, epoch=4, declared=strict)
    done = replace(raised(), before=placement(regions=THREE), after=now, next=3)
    leases = {US: lease(), EU: lease(OVER_S), WEST: lease()}
    view = lost(placement=now, plan=done, leases=leases, sightings={"witness": {EU: seen()}})
    never_wrote = replace(view, here=WEST, copies={WEST: copy(epoch=3)})
    assert refusal(never_wrote) == (
        "cannot promote us-west: it has not heard of epoch 4; the last one that arrived there is 3"
    )
    back = replace(now, standby=US)
    wrote = replace(view, here=US, placement=back, plan=replace(done, after=back))
    assert plan_of(replace(wrote, copies={US: copy(epoch=3)})).target == US
    assert refusal(replace(wrote, copies={US: copy(epoch=2)})), "it lacks what it wrote itself"


def test_strict_is_about_remote_writes_only() -> None:
    strict = declared(durability=Durability.HOME, on_standby_loss=StandbyLoss.STRICT)
    after = plan_of(lost(placement=placement(durability=Durability.HOME, declared=strict))).after
    assert (after.standby, after.durability) == (None, Durability.HOME)


class TestByAnOperator:
    def asked(self, view: View, target: str, *, allow: bool = False) -> str | Plan | None:
        decision = failover_to(view, target, allow_data_loss=allow, policy=POLICY)
        if isinstance(decision, Start):
            return decision.plan
        return decision.denied.reason if decision.denied else None

    def test_a_region_that_is_not_the_standby_needs_the_flag(self) -> None:
        view = lost(placement=placement(regions=THREE))
        assert self.asked(view, WEST) == (
            "cannot promote us-west: it is not the standby of p; only eu-west surely holds what was acknowledged; "
            "--allow-data-loss overrides"
        )
        forced = self.asked(view, WEST, allow=True)
        assert isinstance(forced, Plan) and forced.force and forced.target == WEST

    def test_where_nobody_surely_holds_everything_it_says_so(self) -> None:
        alone = placement(standby=None, regions=THREE, durability=Durability.HOME)
        assert "only nobody surely holds" in str(self.asked(lost(placement=alone), EU))
        moving = raised(Kind.SWITCHOVER, home=WEST)
        leases = {US: lease(), EU: lease(), WEST: lease(OVER_S)}
        four = replace(moving.after, regions=(*THREE, "ap-south"))
        view = lost(
            here="desk", placement=four, plan=moving, sightings={name: {WEST: seen()} for name in ("witness", US)},
            leases={**leases, "ap-south": lease()},
        )  # fmt: skip
        decision = failover_to(view, "ap-south", allow_data_loss=False, policy=POLICY)
        assert isinstance(decision, Stand) and decision.denied is not None and decision.denied.code == "not_standby"
        assert "only us-east or eu-west surely holds" in decision.denied.reason

    def test_nobody_is_failed_over_to_itself(self) -> None:
        assert (
            self.asked(lost(), US)
            == "cannot promote us-east: it is the home of p; a failover moves a placement to another region"
        )
        decision = failover_to(lost(), US, allow_data_loss=True, policy=POLICY)
        assert isinstance(decision, Stand) and decision.denied is not None and decision.denied.code == "already_home"

    @pytest.mark.parametrize("copies", [{}, {EU: copy(epoch=0)}])
    def test_what_is_not_known_of_its_rows_is_overridden_by_the_flag_only(self, copies: dict[str, object]) -> None:
        assert isinstance(self.asked(lost(copies=copies), EU), str)
        assert isinstance(self.asked(lost(copies=copies), EU, allow=True), Plan)

    def test_nobody_who_has_seen_the_lease_end_is_too_few(self) -> None:
        view = lost(here="desk", sightings={}, leases={US: lease(), EU: lease()})
        assert self.asked(view, EU) == "cannot promote eu-west: 0 vantage points saw the lease of us-east end; 2 must"

    def test_a_home_that_is_up_is_not_failed_over(self) -> None:
        view = lost(leases={US: lease(), EU: lease()}, sightings={})
        told = str(self.asked(view, EU, allow=True))
        assert "us-east is up, its lease is renewed" in told and "`intelgraph switchover`" in told

    def test_no_flag_moves_it_where_it_may_not_live(self) -> None:
        reason = self.asked(lost(leases={US: lease(OVER_S), EU: lease(), WEST: lease()}), WEST, allow=True)
        assert reason == "cannot promote us-west: p may not live there; it may live in us-east, eu-west only"

    def test_a_gap_is_overridden_by_the_flag_only(self) -> None:
        view = with_copy(lost(), EU, gap="marks 3 to 5")
        assert "rows may be missing" in str(self.asked(view, EU))
        assert isinstance(self.asked(view, EU, allow=True), Plan)

    def test_asked_from_elsewhere_two_vantage_points_suffice(self) -> None:
        sightings = {"witness": {US: seen()}, EU: {US: seen()}}
        view = lost(here="desk", sightings=sightings, leases={US: lease(0.0), EU: lease(0.0)})
        assert isinstance(self.asked(view, EU), Plan)


def test_a_plan_that_is_mine_is_resumed_and_not_begun_again() -> None:
    recorded = plan_of(lost())
    assert refusal(lost(plan=recorded)) is None


def test_an_operators_move_is_replaced_when_the_home_is_gone() -> None:
    moving = Plan(
        id="p/4/switchover", kind=Kind.SWITCHOVER, before=placement(), after=placement(home=EU, standby=US, epoch=4)
    )
    assert plan_of(lost(plan=moving.moved(result="1/41"))).kind is Kind.FAILOVER


def test_a_second_try_in_one_epoch_has_another_name() -> None:
    tried = plan_of(lost())
    given_up = tried.given_up(decide(lost(sightings={}), POLICY).denied)  # type: ignore[union-attr,arg-type]
    assert plan_of(lost(plan=given_up)).id == "p/4/failover#2"
