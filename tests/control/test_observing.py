"""What an agent makes of its looks: copies of many placements are told in few bytes, and looked at one by one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from intelgraph.control.agent.leases.keeper import LeaseValue
from intelgraph.control.agent.observer.observing import Clocks, Known, Observing
from intelgraph.control.agent.observer.own_database import HeldHere, Links, Observed
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.control.directory.reports import LeaseSeen, Report, encode_report, report_from
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.lease import LeasePolicy, Watched
from intelgraph.placement.policy import Policy
from intelgraph.placement.write_path import UNPROBED

US, EU = "us-east", "eu-west"
SCHEMA = "5" * 64
BYTES_MAX = 64
"""Of a report, for each placement that is well; it is written every second."""


@dataclass(kw_only=True)
class Heard:
    """A watch over two regions that renew, and the reports it has heard."""

    reports: dict[str, Report] = field(default_factory=dict)
    leases: Mapping[str, Watched] = field(
        default_factory=lambda: {name: Watched(counter=9, version=9, still_s=0.1, looked_s=0.0) for name in (US, EU)}
    )
    holders: Mapping[str, LeaseValue] = field(
        default_factory=lambda: {name: LeaseValue(counter=9, term="t", life=1, schema=SCHEMA) for name in (US, EU)}
    )

    def heard(self) -> Mapping[str, Report]:
        return self.reports


@dataclass(kw_only=True)
class Database:
    """A database that was looked at, and whose destinations have confirmed everything."""

    observed: Observed | None

    def confirmed_s(self, destination: str) -> float:
        return 0.0

    def unconfirmed_s(self, destination: str) -> float:
        return 0.0


def held(**other: object) -> HeldHere:
    facts: dict[str, object] = {"hold": None, "gap": None, "whole": True, "closed": False, "tail": None}
    return HeldHere(epoch=3, home=US, **(facts | other))  # type: ignore[arg-type]


def watching(
    here: str, count: int, heard: Heard | None = None, token_ns: int | None = None, **first: object
) -> Observing:
    """An agent that has looked twice at ``count`` placements at home in us-east; ``first``: what p0 is like here."""
    observed = Observed(
        region=here, life=1, schema=SCHEMA, flush="0/1", settled={f"{US}/1": 41, f"{EU}/1": 7},
        tokens={name: token_ns or time.monotonic_ns() for name in (US, EU)},
        placements={f"p{number}": held(**(first if number == 0 else {})) for number in range(count)},
        links=Links(slots={}, made={}, subscriptions={}), troubles=0,
    )  # fmt: skip
    clock = iter(range(10**6))
    found = Observing(
        here=here,
        watching=heard or Heard(),
        database=Database(observed=observed),  # type: ignore[arg-type]
        policy=Policy(lease=LeasePolicy()),
        clocks=Clocks(lambda: float(next(clock))),
        own_writes=lambda: UNPROBED,
    )
    places = [
        Placement(id=f"p{number}", home=US, standby=EU, regions=(US, EU), epoch=3, durability=Durability.HOME)
        for number in range(count)
    ]
    known = Known(placements={each.id: PlacementRecord(placement=each, digest_key="", version=1) for each in places})
    for _ in range(2):
        found.tick(known)
    return found


def told_by(region: Observing, vantage: str) -> bytes:
    leases = {name: LeaseSeen(counter=9, version=9, still_s=0.1, reached=True) for name in (US, EU)}
    return encode_report(Report(vantage=vantage, number=1, leases=leases, holding=region.holding()))


def test_another_region_has_the_copies_that_the_report_tells_of() -> None:
    region = watching(EU, 3, gap="it joined", whole=False)
    region.gathered = {"p1": {f"{US}/1": 50, f"{EU}/1": 3}}
    report = report_from("reports/eu-west", told_by(region, EU))
    for name in ("p0", "p1", "p2"):
        assert report.copy(name) == region.view(name).copies[EU]
    first, gathered, other = (report.copy(name) for name in ("p0", "p1", "p2"))
    assert first is not None and gathered is not None and other is not None
    assert (first.gap, first.whole, other.gap, other.whole) == ("it joined", False, None, True)
    assert gathered.settled == {f"{US}/1": 50, f"{EU}/1": 7}, "what was gathered counts where it is beyond"
    assert (other.schema, other.settled) == (SCHEMA, {f"{US}/1": 41, f"{EU}/1": 7})
    assert watching(US, 3, Heard(reports={EU: report})).view("p1").copies[EU] == gathered


def test_a_report_says_nothing_of_a_placement_that_is_not_held_or_of_a_database_that_is_silent() -> None:
    assert report_from("reports/eu-west", told_by(watching(EU, 1), EU)).copy("p1") is None
    assert Report(vantage="witness", number=1, leases={}).copy("p0") is None


def test_a_report_of_hundreds_of_placements_says_once_what_they_have_in_common() -> None:
    few, many = (len(told_by(watching(EU, count), EU)) for count in (10, 510))
    assert (many - few) / 500 < BYTES_MAX


def test_a_token_of_before_the_machine_was_started_says_nothing_of_how_far_behind_it_is() -> None:
    now = watching(EU, 1).view("p0").copies[EU].behind_s
    assert now is not None and now < 60
    of_before = watching(EU, 1, token_ns=time.monotonic_ns() + 10**12)
    assert of_before.view("p0").copies[EU].behind_s is None
