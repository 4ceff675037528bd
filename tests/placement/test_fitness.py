"""Why a region may not take part, each reason by its code. Its sentence is tested where it is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Durability
from intelgraph.placement.fitness import (
    caught_up,
    is_leased,
    is_renewed,
    unfit,
    unfit_lag,
    unfit_writes,
    vantage_points,
)
from intelgraph.placement.view import View
from intelgraph.placement.write_path import WritePath

from .views import EU, OVER_S, POLICY, US, WEST, copy, healthy, lease, lost, placement, seen, with_copy

ELSEWHERE = placement(standby=None, regions=(US, WEST), durability=Durability.HOME)


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (healthy(placement=ELSEWHERE), "region_not_allowed"),
        (healthy(drained=frozenset({EU})), "drained"),
        (healthy(leases={US: lease(), EU: lease(OVER_S)}), "not_leased"),
        (healthy(leases={US: lease()}), "not_leased"),
        (healthy(schemas={US: "s1"}), "schema_unknown"),
        (healthy(schemas={EU: "s1"}), "schema_unknown"),
        (healthy(schemas={US: "s1", EU: "s2"}), "schema_differs"),
        (healthy(copies={US: copy()}), "copy_unknown"),
        (with_copy(healthy(), EU, epoch=0), "unknown_placement"),
        (with_copy(healthy(), EU, hold="version 2"), "held"),
        (with_copy(healthy(), EU, gap="marks"), "gap"),
        (with_copy(healthy(), EU, epoch=2), "not_whole"),
        (with_copy(healthy(), EU, whole=False), "not_whole"),
        (with_copy(healthy(), EU, behind_s=None), "lag_unknown"),
        (with_copy(healthy(), EU, behind_s=2.1), "too_far_behind"),
    ],
)
def test_every_reason_has_its_code(view: View, code: str) -> None:
    why = caught_up(view, EU, POLICY)
    assert why is not None and why.code == code


def test_a_bound_is_met_by_what_is_just_as_large() -> None:
    assert caught_up(with_copy(healthy(), EU, behind_s=POLICY.caught_up_s_max), EU, POLICY) is None
    assert unfit_lag(copy(behind_s=60.0), 60.0) is None
    assert unfit(with_copy(healthy(), EU, epoch=1), EU, POLICY) is None, "it has heard of the placement"


def test_which_schema_is_not_known_is_said_and_two_that_differ_are_shortened() -> None:
    here, there = unfit(healthy(schemas={US: "s1"}), EU, POLICY), unfit(healthy(schemas={EU: "s1"}), EU, POLICY)
    assert here is not None and here.fact == "the schema of eu-west is not known"
    assert there is not None and there.fact == "the schema of us-east is not known"
    differ = unfit(healthy(schemas={US: "0123456789abcdef", EU: "fedcba9876543210"}), EU, POLICY)
    assert differ is not None and differ.fact == "its schema is fedcba987654, that of us-east is 0123456789ab"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (None, "writes_unknown"),
        (WritePath(), "writes_unknown"),
        (WritePath(is_broken=True), "writes_fail"),
        (WritePath(is_known=True, is_broken=True), "writes_fail"),
        (WritePath(is_known=True), None),
    ],
)
def test_writes_get_through_are_said_to_fail_or_are_not_known(path: WritePath | None, code: str | None) -> None:
    why = unfit_writes(replace(healthy(), writes={} if path is None else {EU: path}), EU)
    assert (None if why is None else why.code) == code


def test_that_writes_fail_is_told_in_the_words_of_the_probe_where_there_are_any() -> None:
    why = Denied(code="write_path", reason="its edge refuses new connections")
    told = unfit_writes(replace(healthy(), writes={EU: WritePath(is_broken=True, why=why)}), EU)
    assert told is not None and told.fact == why.reason
    told = unfit_writes(replace(healthy(), writes={EU: WritePath(is_broken=True)}), EU)
    assert told is not None and told.fact == "writes fail there"


def test_a_vantage_point_counts_once_at_the_lease_s_version_and_never_the_region_itself() -> None:
    agreeing = {"witness": {US: seen()}, WEST: {US: seen()}}
    assert vantage_points(lost(sightings=agreeing), US, POLICY) == 3
    assert vantage_points(lost(sightings={**agreeing, US: {US: seen()}, EU: {US: seen()}}), US, POLICY) == 3
    assert vantage_points(lost(sightings={"witness": {}, WEST: {US: seen(version=71)}}), US, POLICY) == 1
    assert vantage_points(lost(sightings={"witness": {US: seen(OVER_S - 0.1)}}), US, POLICY) == 1
    assert vantage_points(lost(sightings=agreeing, leases={EU: lease()}), US, POLICY) == 0, "never seen from here"
    assert vantage_points(lost(sightings=agreeing, leases={US: lease(), EU: lease()}), US, POLICY) == 2


def test_a_lease_is_renewed_for_half_of_its_length_and_a_lease_until_it_is_over() -> None:
    half_s = POLICY.lease.lease_s / 2

    def at(still_s: float) -> tuple[bool, bool]:
        view = healthy(leases={US: lease(still_s)})
        return is_renewed(view, US, POLICY), is_leased(view, US, POLICY)

    assert at(half_s - 0.1) == (True, True)
    assert at(half_s) == at(OVER_S - 0.1) == (False, True)
    assert at(OVER_S) == (False, False)
    unknown = healthy(leases={})
    assert is_renewed(unknown, US, POLICY) is is_leased(unknown, US, POLICY) is False
