"""Figures are what clients saw: when writes were back, what was taken back, who had no service and for how long."""

from __future__ import annotations

import math
from typing import Any

import pytest

from intelgraph.drill.checker import check
from intelgraph.drill.checker.verdict import Fate
from intelgraph.drill.history import END, Header, History, Kind, Mark, Operation, Outcome
from intelgraph.drill.score import FaultTimes, Score, percentile, score
from tests.drill.model import AWAY, HOME, World, simulate

FAULT = FaultTimes(name="crash", injected_s=10.0, region=HOME)


def _operation(number: int, invoked_s: float, completed_s: float, **about: Any) -> Operation:
    fields: dict[str, Any] = {
        "id": number,
        "client": "a",
        "door": HOME,
        "kind": Kind.PUT,
        "placement": "p",
        "tenant": "t",
        "outcome": Outcome.OK,
        "key": f"k{number}",
        "patient": True,
        **about,
    }
    return Operation(invoked_s=invoked_s, completed_s=completed_s, **fields)


def _scored(*operations: Operation, fault: FaultTimes | None = FAULT, **more: Any) -> Score:
    marks = tuple(more.pop("marks", ()))
    header = Header(began="", regions={"p": (HOME, AWAY)})
    return score(History(header=header, operations=operations, marks=marks), (), fault=fault, **more)


BEFORE = _operation(1, 9.0, 9.1, bookmark="us-east/1/1/1")


def test_rto_is_from_the_fault_to_the_first_write_acknowledged_elsewhere() -> None:
    doomed = _operation(2, 10.1, 10.3, bookmark="us-east/1/1/2")
    repeat = _operation(3, 10.5, 15.0, bookmark="eu-west/1/2/1", repeated=True)
    back = _operation(4, 11.0, 16.5, bookmark="eu-west/1/2/2")
    assert _scored(BEFORE, doomed, repeat, back).rto_s == pytest.approx(6.5)


def test_rto_is_the_worst_placements_and_unknown_while_one_is_not_back() -> None:
    other = _operation(2, 9.0, 9.1, placement="q", bookmark="us-east/1/1/2")
    back = _operation(3, 11.0, 16.5, bookmark="eu-west/1/2/2")
    assert _scored(BEFORE, other, back).rto_s is None
    other_back = _operation(4, 11.0, 18.0, placement="q", bookmark="eu-west/1/2/3")
    assert _scored(BEFORE, other, back, other_back).rto_s == pytest.approx(8.0)


def test_a_doomed_write_is_one_of_an_epoch_that_was_over_acknowledged_after_the_healing() -> None:
    fault = FaultTimes(name="pause", injected_s=10.0, healed_s=20.0, region=HOME)
    back = _operation(2, 11.0, 16.5, bookmark="eu-west/1/2/1")
    while_it_lasted = _operation(3, 9.9, 17.0, bookmark="us-east/1/1/2")
    repeat = _operation(4, 19.0, 21.0, bookmark="us-east/1/1/2", repeated=True)
    doomed = _operation(5, 9.9, 20.1, bookmark="us-east/1/1/3")
    assert _scored(BEFORE, back, while_it_lasted, repeat, fault=fault).doomed_writes == 0
    assert _scored(BEFORE, back, while_it_lasted, repeat, doomed, fault=fault).doomed_writes == 1


def test_what_patient_clients_saw_is_told_apart() -> None:
    slow = _operation(2, 11.0, 12.0)
    impatient = _operation(3, 11.0, 19.0, client="b", patient=False, outcome=Outcome.UNKNOWN)
    scored = _scored(BEFORE, slow, impatient)
    assert (scored.patient_writes.seconds, scored.write_outage.seconds) == (pytest.approx(1.0), pytest.approx(8.0))


def test_a_lost_home_that_nobody_replaced_is_no_drill_that_holds() -> None:
    assert not _scored(BEFORE, _operation(2, 11.0, 26.0, outcome=Outcome.UNKNOWN, code="lease_over")).holds
    assert _scored(BEFORE, _operation(2, 11.0, 16.0, bookmark="eu-west/1/2/2")).holds


def test_without_a_lost_home_there_is_no_rto() -> None:
    elsewhere = _operation(1, 9.0, 9.1, bookmark="eu-west/1/1/1")
    assert _scored(elsewhere, _operation(2, 11.0, 11.1, bookmark="eu-west/1/1/2")).rto_s is None
    assert _scored(BEFORE, fault=None).rto_s is None
    assert _scored(BEFORE, fault=None).rpo_s is None


def test_rpo_counts_what_was_taken_back_and_how_old_it_was() -> None:
    writes = [_operation(n, 9.0, 9.0 + n / 10, bookmark=f"us-east/1/1/{n}", durability="home") for n in range(1, 6)]
    scored = _scored(*writes, fates={"k4": Fate.ADOPTED, "k5": Fate.HOME_ONLY, "k1": Fate.REMOTE})
    assert (scored.rpo_writes, scored.rpo_s, scored.lost_writes) == (2, pytest.approx(0.6), 0)
    assert _scored(*writes).rpo_s == 0.0


def test_a_client_is_without_service_until_it_is_served_again() -> None:
    failing = [
        _operation(2, 10.0, 10.2, outcome=Outcome.UNKNOWN, code="no_answer"),
        _operation(3, 11.0, 11.1, outcome=Outcome.FAIL, code="fenced"),
        _operation(4, 14.0, 14.5, bookmark="eu-west/1/2/1"),
    ]
    scored = _scored(BEFORE, *failing)
    assert scored.write_outage.seconds == pytest.approx(4.5)
    assert (scored.write_outage.since_s, scored.write_outage.client) == (10.0, "a")
    assert scored.write_gap.seconds == pytest.approx(14.5 - 9.1)
    assert scored.read_outage.seconds == 0.0
    assert scored.patient_failed == 2


def test_a_patient_request_that_took_long_was_time_without_service() -> None:
    assert _scored(BEFORE, _operation(2, 10.0, 16.0, bookmark="eu-west/1/2/1")).write_outage.seconds == 6.0


def test_losing_a_race_is_service() -> None:
    raced = _operation(2, 10.0, 10.1, outcome=Outcome.FAIL, code="revision_mismatch")
    scored = _scored(BEFORE, raced, _operation(3, 20.0, 20.1, bookmark="us-east/1/1/3"))
    assert scored.write_outage.seconds == pytest.approx(0.1)
    assert scored.operations == {"ok": 2, "failed": 0, "unknown": 0, "lost_races": 1}
    assert scored.patient_failed == 0


def test_a_race_lost_after_an_uncertain_try_is_unknown_and_counts_as_no_answer() -> None:
    uncertain = _operation(2, 10.0, 10.1, outcome=Outcome.UNKNOWN, code="revision_mismatch")
    assert _scored(BEFORE, uncertain).operations["unknown"] == 1


def test_what_is_read_after_the_end_is_no_service() -> None:
    late = _operation(2, 30.0, 30.1, kind=Kind.GET, key=None)
    scored = _scored(BEFORE, late, marks=[Mark(at_s=20.0, what=END)])
    assert sum(bucket.ok for bucket in scored.buckets) == 1
    assert scored.reads == ()


def test_buckets_count_every_operation_once_and_latencies_are_of_successes() -> None:
    history, fates = simulate(World(seed=2, operations=400, fault_s=2.0, durability="home", lag_s=0.3))
    verdicts = check(history, fates)
    scored = score(history, verdicts, fault=FaultTimes(name="crash", injected_s=2.0, region=HOME), fates=fates)
    end_s = min((mark.at_s for mark in history.marks if mark.what == END), default=math.inf)
    asked = [each for each in history.operations if each.kind not in (Kind.MEMBERS, Kind.FOLLOW)]
    during = [each for each in asked if each.invoked_s < end_s]
    assert sum(b.ok + b.failed + b.unknown + b.lost_races for b in scored.buckets) == len(during)
    assert sum(each.count for each in (*scored.writes, *scored.reads)) == scored.operations["ok"]
    assert scored.rto_s == pytest.approx(6.0, abs=0.2)
    assert scored.rpo_s is not None
    assert 0 < scored.rpo_s < 0.4
    assert scored.rpo_writes > 0
    assert scored.lost_writes == 0
    assert scored.holds
    assert [(each.epoch, each.home) for each in scored.epochs] == [(1, HOME), (2, AWAY)]


def test_what_nobody_lists_is_lost() -> None:
    history, _ = simulate(World(seed=2, operations=400, fault_s=2.0, durability="home", lag_s=0.3))
    scored = score(history, check(history), fault=FaultTimes(name="crash", injected_s=2.0, region=HOME))
    assert scored.lost_writes > 0
    assert not scored.holds


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert percentile([5.0], 99) == 5.0
    assert percentile([float(n) for n in range(1, 101)], 50) == 50.0
    assert percentile([float(n) for n in range(1, 101)], 99) == 99.0
