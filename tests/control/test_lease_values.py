"""Leases over a store in memory: what is written, granted, watched, reported and answered, to the letter."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from intelgraph.control.agent.leases.clock_quorum import APART_S, ahead_s
from intelgraph.control.agent.leases.grants import LONG_POLL_S, Bound, GrantAnswer, GrantAsked, answer
from intelgraph.control.agent.leases.keeper import Grant, LeaseKeeper, LeaseValue, lease_from
from intelgraph.control.agent.leases.watching import REPORT_OLD_S, Watching
from intelgraph.control.directory.placements import PLACEMENTS, encode_placement, placement_from
from intelgraph.control.directory.plans import PlanRecord, Times, record, unchanged
from intelgraph.control.directory.reports import REPORTS, LeaseSeen, Report, Seen, report_from
from intelgraph.control.store.keys import LEASES
from intelgraph.control.store.protocol import Entry
from intelgraph.model.errors import Denied, TransientError
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.lease import LeasePolicy
from intelgraph.placement.lease import Watched as Lease
from intelgraph.placement.plan import Kind, Plan
from tests.fakes.clock import Clock
from tests.fakes.control_store import SteppedStore
from tests.fakes.heartbeat import FakeHeartbeat

US, EU = "us-east", "eu-west"
POLICY = LeasePolicy()
BOTH = Placement(id="both", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME)


def finish(process: Coroutine[Any, Any, Any]) -> Any:
    """Run something that waits for nobody but itself."""
    while True:
        try:
            process.send(None)
        except StopIteration as ended:
            return ended.value


def put(store: SteppedStore, **values: bytes | None) -> None:
    """Write keys, whatever they were before; ``__`` stands for the slash."""
    for name, value in values.items():
        key = name.replace("__", "/").replace("_", "-")
        version = finish(store.read([key])).entries[key].version
        assert finish(store.compare_and_set(expected={key: version}, writes={key: value}))


def keeper(store: SteppedStore, *, heartbeat: FakeHeartbeat | None = None, term: str = "one") -> LeaseKeeper:
    return LeaseKeeper(
        region=US, term=term, store=store, heartbeat=heartbeat or FakeHeartbeat(), policy=POLICY, clock=Clock()
    )


def entry_of(store: SteppedStore, key: str) -> Entry:
    found: Entry = finish(store.read([key])).entries[key]
    return found


def test_a_lease_says_who_raises_it_how_often_and_what_database_it_is() -> None:
    store = SteppedStore()
    renewing = keeper(store)
    assert [finish(renewing.renew()).generation for _ in range(3)] == ["one/1", "one/2", "one/3"]
    assert lease_from(entry_of(store, LEASES + US)) == LeaseValue(counter=3, term="one", life=1, schema="abc")


def test_a_heartbeat_without_a_renewal_names_the_next_counter_and_leaves_the_lease_as_it_is() -> None:
    class Noting(FakeHeartbeat):
        def __init__(self) -> None:
            super().__init__()
            self.had: list[tuple[str, int]] = []

        async def beat(self, term: str, counter: int) -> Any:
            self.had.append((term, counter))
            return await super().beat(term, counter)

    store, heartbeat = SteppedStore(), Noting()
    renewing = keeper(store, heartbeat=heartbeat)
    finish(renewing.beat())
    finish(renewing.renew())
    finish(renewing.beat())
    assert heartbeat.had == [("one", 1), ("one", 1), ("one", 2)]
    assert len(store.written[LEASES + US]) == 1


def test_the_counter_goes_on_from_a_predecessor_s_and_one_of_one_s_own_is_taken_up_again() -> None:
    store = SteppedStore()
    for term in ("one", "before"):
        put(store, leases__us_east=msgspec.json.encode(LeaseValue(counter=41, term=term, life=1, schema="abc")))
        heartbeat = FakeHeartbeat()
        heartbeat.terms = {"before"}
        finish(keeper(store, heartbeat=heartbeat).renew())
        found = lease_from(entry_of(store, LEASES + US))
        assert found is not None and (found.counter, found.term) == (42, "one")


def test_what_is_no_lease_is_nobody_s_and_is_written_over() -> None:
    store = SteppedStore()
    put(store, leases__us_east=b"no lease")
    assert lease_from(entry_of(store, LEASES + US)) is None
    assert finish(keeper(store).renew()).generation == "one/1"


def test_a_lease_that_is_taken_says_when_to_ask_again_and_whose_it_is() -> None:
    store = SteppedStore()
    put(store, leases__us_east=msgspec.json.encode(LeaseValue(counter=1, term="other", life=1, schema="abc")))
    with pytest.raises(TransientError) as taken:
        finish(keeper(store).renew())
    assert (taken.value.denied.code, taken.value.retry_after_s) == ("lease_taken", POLICY.renew_s)
    assert taken.value.denied.facts == {"region": US}
    assert "stood still for 5.25 s" in taken.value.denied.reason


def test_only_placements_whose_epoch_is_open_are_granted_and_what_is_no_placement_spoils_no_other() -> None:
    store = SteppedStore()
    keys = "6b" * 32
    spoiled, unopened, theirs = (replace(BOTH, id=name) for name in ("a-spoiled", "b-unopened", "c-theirs"))
    put(
        store,
        placements__a_spoiled=b"no placement",
        placements__b_unopened=encode_placement(unopened, keys),
        placements__c_theirs=encode_placement(replace(theirs, home=EU, standby=US), keys),
        placements__d_spoiled_plan=encode_placement(replace(BOTH, id="d-spoiled-plan"), keys),
        placements__both=encode_placement(BOTH, keys),
        plans__d_spoiled_plan=b"no plan",
    )
    after = replace(unopened, epoch=2)
    plan = Plan(id="b-unopened/2/restand", kind=Kind.RESTAND, before=unopened, after=after).moved()
    placed = placement_from(entry_of(store, PLACEMENTS + unopened.id))
    times = Times(decided_at="2026-11-30T00:00:00Z", decided_by=US)
    assert finish(record(store, PlanRecord(subject=unopened.id), plan, times, unchanged(placed)))
    put(store, placements__b_unopened=encode_placement(after, keys))
    assert spoiled.id == "a-spoiled"
    assert finish(keeper(store).renew()).epochs == {"both": 1}


# ------------------------------------------------------------------------------------------------------- looking


def watching(store: SteppedStore, clock: Clock, *, vantage: str = EU) -> Watching:
    return Watching(vantage=vantage, store=store, policy=POLICY, clock=clock)


def test_a_look_finds_each_lease_and_whose_it_is_and_leaves_out_what_is_none() -> None:
    store, clock = SteppedStore(), Clock()
    put(store, leases__a_spoiled=b"no lease")
    finish(keeper(store).renew())
    looks = watching(store, clock)
    assert looks.looked_s is None
    finish(looks.look())
    version = entry_of(store, LEASES + US).version
    assert looks.leases == {US: Lease(counter=1, version=version, still_s=0.0, looked_s=100.0)}
    assert looks.holders == {US: LeaseValue(counter=1, term="one", life=1, schema="abc")}
    assert looks.looked_s == 100.0
    clock.now_s += 0.5
    finish(looks.look())
    assert looks.leases[US].still_s == 0.5 and looks.holders.keys() == {US}


def test_a_report_has_what_was_looked_at_and_what_observation_adds_and_is_numbered() -> None:
    store, clock = SteppedStore(), Clock()
    finish(keeper(store).renew())
    looks = watching(store, clock)
    finish(looks.look())
    clock.now_s += 0.12345
    finish(looks.look())
    finding = Denied(code="a_test", reason="a test")
    for number in (1, 2, 3):
        finish(looks.publish(Seen(reached={}, findings=(finding,), wall_s=50.0)))
        report = report_from(REPORTS + EU, entry_of(store, REPORTS + EU).value or b"")
        version = entry_of(store, LEASES + US).version
        seen = LeaseSeen(counter=1, version=version, still_s=0.123, reached=False)
        assert report == Report(vantage=EU, number=number, leases={US: seen}, findings=[finding], wall_s=50.0)
    finish(looks.publish(Seen(reached={US: True})))
    assert report_from(REPORTS + EU, entry_of(store, REPORTS + EU).value or b"").leases[US].reached


def test_a_report_that_another_process_has_written_over_is_written_at_the_next_try() -> None:
    store, clock = SteppedStore(), Clock()
    first, second = watching(store, clock), watching(store, clock)
    finish(first.publish(Seen(wall_s=1.0)))
    finish(second.publish(Seen(wall_s=2.0)))
    for _ in range(2):  # the first one finds that its version is old, and reads the new one
        finish(first.publish(Seen(wall_s=3.0)))
    assert report_from(REPORTS + EU, entry_of(store, REPORTS + EU).value or b"").wall_s == 3.0


def test_reports_are_heard_until_they_are_old_and_what_is_no_report_spoils_no_other() -> None:
    store, clock = SteppedStore(), Clock()
    put(store, reports__a_spoiled=b"no report", reports__b_deleted=b"{}")
    put(store, reports__b_deleted=None)
    finish(watching(store, Clock(), vantage="witness").publish(Seen(wall_s=60.0)))
    looks = watching(store, clock)
    finish(looks.publish(Seen(wall_s=90.0)))
    finish(looks.look())
    heard = looks.reports["witness"]
    assert (heard.first_s, heard.version) == (100.0, entry_of(store, REPORTS + "witness").version)
    clock.now_s += REPORT_OLD_S
    finish(looks.look())
    assert looks.reports["witness"].first_s == 100.0, "it has not changed"
    assert looks.heard().keys() == {EU, "witness"}
    assert looks.clocks_apart_s(50.0) == {"witness": 60.0 + REPORT_OLD_S - 50.0}
    clock.now_s += 0.001
    assert looks.heard() == looks.clocks_apart_s(50.0) == {}


def test_a_vantage_point_that_tells_no_time_of_day_has_no_clock_to_compare() -> None:
    store, clock = SteppedStore(), Clock()
    finish(watching(store, clock, vantage="witness").publish(Seen()))
    looks = watching(store, clock)
    finish(looks.look())
    assert looks.heard().keys() == {"witness"} and looks.clocks_apart_s(50.0) == {}


# -------------------------------------------------------------------------------------------- answers to the API


class Granted:
    """An agent as the API asks it."""

    def __init__(self, grant: Grant | None, *, not_renewed: Denied | None = None) -> None:
        self.grant, self.not_renewed = grant, not_renewed
        self.now_s = 10.0
        self.waited_for: list[tuple[str | None, float]] = []

    def clock(self) -> float:
        return self.now_s

    def bounds(self) -> Mapping[str, Bound]:
        return {"both": Bound(rpo_s_max=60.0, oldest_s=1.0)}

    def limits(self) -> Mapping[str, str]:
        return {"standby_lost": "a test"}

    def is_passed_over(self) -> bool:
        return True

    def clock_ahead_s(self) -> float | None:
        return 7.0

    async def next_grant(self, after: str | None, timeout_s: float) -> None:
        self.waited_for.append((after, timeout_s))
        self.now_s += 0.5


def test_an_answer_has_the_grant_as_far_as_it_lasts_from_when_it_was_asked_for() -> None:
    agent = Granted(Grant(generation="one/2", until_s=14.0, epochs={"both": 3}))
    told = asyncio.run(answer(agent, GrantAsked(after="one/1"), 10.0))
    assert told == GrantAnswer(
        generation="one/2", remains_s=4.0, epochs={"both": 3}, why=None, waited_s=0.5,
        bounds={"both": Bound(rpo_s_max=60.0, oldest_s=1.0)}, limits={"standby_lost": "a test"}, passed_over=True,
        clock_ahead_s=7.0,
    )  # fmt: skip
    assert agent.waited_for == [("one/1", LONG_POLL_S)]


def test_without_a_grant_an_answer_says_why_and_whoever_does_not_want_to_wait_does_not() -> None:
    agent = Granted(None, not_renewed=Denied(code="disk_full", reason="its disk is full"))
    told = asyncio.run(answer(agent, GrantAsked(wait=False), 10.0))
    assert told == GrantAnswer(
        generation="", remains_s=0.0, epochs={}, why="its disk is full", limits={"standby_lost": "a test"},
        passed_over=True, clock_ahead_s=7.0,
    )  # fmt: skip
    assert agent.waited_for == []


def test_clocks_that_differ_by_just_so_much_do_not_agree() -> None:
    assert ahead_s({EU: APART_S}) is None
    assert ahead_s({EU: APART_S - 0.1}) == 0.0
    assert ahead_s({EU: 2.0}, apart_s=1.0) is None
