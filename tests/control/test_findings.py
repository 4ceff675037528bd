"""What an agent finds wrong: each case is said, with what to do about it; a region that is well finds nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as replace_fields

from intelgraph.control.agent.observer.findings import NOTICES, FindingPolicy, State, Surroundings, about, findings
from intelgraph.control.agent.observer.own_database import HeldHere, Links, Made, Observed, OpenTransaction, Slot
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
    "a feed that hangs": (state(feed_silent_s=7.0), "feed_silent", "has done nothing for 7 s"),
    "a control store that was lost": (
        state(unknown_s={"p": 6.0}),
        "unknown_placement",
        "us-east holds p in epoch 1, and the control store does not have it",
    ),
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


@pytest.mark.parametrize(
    "moment",
    [{"own": slot(), "links_down_s": {EU: 1.0}}, {"feed_silent_s": 2.0}, {"unknown_s": {"p": 1.0}}],
    ids=["a link that is down", "a feed that waits", "a placement that was made just now"],
)
def test_what_lasts_a_moment_is_no_finding(moment: dict[str, Any]) -> None:
    assert findings(state(**moment), FindingPolicy()) == ()


# ------------------------------------------------------------------------------- what it is about, cause, and its end


def codes(**other: Any) -> dict[str, str]:
    return {each.code: about(each) for each in findings(state(**other), FindingPolicy())}


@pytest.mark.parametrize("code", ["too_far_behind", "lease_not_over", "internal_error"])
def test_why_a_placement_stands_names_the_placement(code: str) -> None:
    stands = {"p": Denied(code=code, reason="cannot promote us-east: it is 94 s behind")}
    assert codes(stands=stands) == {code: "p"}


def test_why_the_lease_is_not_renewed_names_the_region() -> None:
    assert codes(not_renewed=Denied(code="lease_taken", reason="the lease of us-east is not renewed")) == {
        "lease_taken": US
    }


def test_a_full_disk_is_said_and_not_the_links_that_stand_for_it() -> None:
    full = replace(AROUND, disk_free_bytes=90 * MB)
    assert codes(own=slot(), links_down_s={EU: 30.0}, surroundings=full) == {"disk_nearly_full": US}
    assert codes(own=slot(), links_down_s={EU: 30.0}, peers_causes={EU: "disk_full"}) == {}, "it is said there"
    refused = Denied(code="disk_full", reason="the lease is not renewed: the disk of us-east has 1 MB left")
    assert codes(not_renewed=refused, surroundings=full) == {"disk_full": US}, "once"


def test_a_region_that_is_down_is_no_matter_of_links() -> None:
    assert codes(own=slot(), links_down_s={EU: 30.0}, peers_down_s={EU: 31.0}) == {"region_down": EU}
    assert codes(peers_down_s={EU: 31.0}) == {}, "it takes what is sent: its agent alone is away"


def test_a_refusal_is_said_once_although_the_placement_stands_for_it() -> None:
    lost = Denied(
        code="standby_lost", reason="cannot replace the standby of p: eu-west is lost", facts={"placement": "p"}
    )
    assert codes(stands={"p": lost}, refusals={"p": lost}) == {"standby_lost": "p"}


def test_a_clock_that_was_set_is_said_until_most_agree_with_it_or_for_ten_minutes() -> None:
    stepped = replace(AROUND, clock_stepped_s=3600.0)
    assert codes(surroundings=replace(stepped, clock_ahead_s=3600.0)) == {"clock_stepped": US}
    assert codes(surroundings=replace(stepped, clock_ahead_s=0.2)) == {}
    assert codes(surroundings=replace(stepped, clock_stepped_s_ago=601.0)) == {}


def test_a_transaction_that_the_log_waits_for_is_named_when_it_is_old() -> None:
    session = OpenTransaction(pid=77, user="ig_admin", application="psql", state="idle in transaction", age_s=2.9)
    assert codes(own=own(oldest=session)) == {}
    assert set(codes(own=own(oldest=replace_fields(session, age_s=3.0)))) == {"transaction_open"}
    (found,) = findings(state(own=own(oldest=replace_fields(session, age_s=12.0))), FindingPolicy())
    assert (found.code, about(found)) == ("transaction_open", US)
    assert "pid 77 (ig_admin, psql, idle in transaction)" in found.reason and "for 12 s" in found.reason
    prepared = replace_fields(session, pid=0, application="two-phase", age_s=12.0)
    (found,) = findings(state(own=own(oldest=prepared)), FindingPolicy())
    assert "prepared as two-phase" in found.reason and "terminate" not in found.reason


def test_only_what_is_being_dealt_with_is_a_notice() -> None:
    assert not NOTICES & {"write_path", "standby_lost", "rpo_at_risk", "link_down", "transaction_open", "clocks_apart"}
