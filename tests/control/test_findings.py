"""What an agent finds wrong: each case is said, with what to do about it; a region that is well finds nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from intelgraph.control.findings import FindingPolicy, State, Surroundings, findings
from intelgraph.control.own_database import HeldHere, Links, Made, Observed, Slot
from intelgraph.model.errors import Denied

US, EU = "us-east", "eu-west"
MB = 1_000_000
AROUND = Surroundings(disk_free_bytes=50_000 * MB, disk_bytes=100_000 * MB, clock_stepped_s=0.0)


def links(**other: Any) -> Links:
    facts: dict[str, Any] = {
        "slots": {"us_east__eu_west": Slot(active=True, lost=False, kept_bytes=5 * MB, flushed="0/1")},
        "made": {EU: Made(times=1, s_ago=10.0)},
        "subscriptions": {"from_eu_west": True},
    }
    return Links(**(facts | other))


def held(**other: Any) -> HeldHere:
    facts = {"epoch": 1, "home": US, "hold": None, "gap": None, "whole": True, "closed": False, "tail": None}
    return HeldHere(**(facts | other))


def own(**other: Any) -> Observed:
    facts: dict[str, Any] = {
        "region": US, "life": 1, "schema": "s", "flush": "0/1", "settled": {}, "tokens": {},
        "placements": {"p": held()}, "links": links(), "troubles": 0,
    }  # fmt: skip
    return Observed(**(facts | other))


def state(**other: Any) -> State:
    facts: dict[str, Any] = {
        "here": US, "peers": (EU,), "own": own(), "not_renewed": None, "surroundings": AROUND,
        "links_down_s": {}, "stands": {}, "waiting_rows": {"p": 0},
    }  # fmt: skip
    return State(**(facts | other))


def slot(**other: Any) -> Observed:
    facts: dict[str, Any] = {"active": False, "lost": False, "kept_bytes": 5 * MB, "flushed": None}
    return own(links=links(slots={"us_east__eu_west": Slot(**(facts | other))}))


def test_a_region_that_is_well_finds_nothing() -> None:
    assert findings(state(), FindingPolicy()) == ()


STANDS = Denied(code="not_whole", reason="cannot promote us-east: it lacks rows", facts={"placement": "p"})
CASES: dict[str, tuple[State, str, str]] = {
    "slot dropped": (state(own=own(links=links(slots={}))), "slot_lost", "intelgraph verify"),
    "slot lost": (state(own=slot(lost=True)), "slot_lost", "more log was to be kept than allowed"),
    "slot made anew": (state(own=own(links=links(made={EU: Made(times=2, s_ago=4.0)}))), "slot_replaced", "4 s ago"),
    "link down": (state(own=slot(), links_down_s={EU: 7.0}), "link_down", "for 7 s (5.0 MB"),
    "subscription disabled": (
        state(own=own(links=links(subscriptions={"from_eu_west": False}))),
        "subscription_disabled",
        "ENABLE",
    ),
    "subscription gone": (state(own=own(links=links(subscriptions={}))), "subscription_disabled", "is missing"),
    "disk": (
        state(surroundings=replace(AROUND, disk_free_bytes=90 * MB)),
        "disk_nearly_full",
        "intelgraph region drain us-east",
    ),
    "clock ahead": (state(surroundings=replace(AROUND, clock_stepped_s=3600.0)), "clock_stepped", "3600 s ahead"),
    "clock back": (state(surroundings=replace(AROUND, clock_stepped_s=-3600.0)), "clock_stepped", "3600 s back"),
    "another's clock": (
        state(surroundings=replace(AROUND, clocks_apart_s={EU: -3600.0})),
        "clocks_apart",
        "3600 s behind that of us-east",
    ),
    "gap": (state(own=own(placements={"p": held(gap="marks are missing")})), "gap", "marks are missing"),
    "hold": (state(own=own(placements={"p": held(hold="an operation of version 9")})), "held", "version 9"),
    "conflicts": (state(waiting_rows={"p": 2}), "salvage_waiting", "2 rows of p wait"),
    "a placement that stands": (state(stands={"p": STANDS}), "not_whole", "cannot promote us-east"),
    "no lease": (
        state(own=None, not_renewed=Denied(code="database_unavailable", reason="no heartbeat")),
        "database_unavailable",
        "no",
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_each_case_is_said_with_what_to_do(case: str) -> None:
    seen, code, words = CASES[case]
    found = findings(seen, FindingPolicy())
    assert [each.code for each in found] == [code]
    assert words in found[0].reason


def test_a_link_that_is_down_for_a_moment_is_no_finding() -> None:
    assert findings(state(own=slot(), links_down_s={EU: 1.0}), FindingPolicy()) == ()
