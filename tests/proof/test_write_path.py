"""Ten times each: the home takes no writes while its lease loop is well, by four faults, on etcd with a witness.

`make prove ARGS=tests/proof/test_write_path.py`, resumable. The region that is hurt alternates, and so does durability.
The table tells when ``status`` (with its exit code), ``/readyz`` and the metrics said it, when another region wrote,
and what was lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import pytest

from intelgraph.drill.report import Report
from intelgraph.drill.score import percentile
from tests.fleet_e2e.drilling import drill
from tests.fleet_e2e.running import AWAY, HOME, RunningFleet
from tests.fleet_e2e.test_write_path import BOTH, idle_transactions, strict_link_cut_is_said, well
from tests.fleet_e2e.truth import Status
from tests.proof.ledger import Ledger
from tests.proof.watching import Doors, Watcher

pytestmark = [pytest.mark.prove, pytest.mark.timeout(5_400)]
FAULTS = ("api-hung", "api-login", "edge-hung", "postmaster-hung")
RUNS = 10
FOR_S = 14.0
RTO_S_MAX, SAID_S_MAX = 10.0, 5.0
"""The first is that of `pause` (``test_region_loss``). A look counts from when it began."""
RPO_S = 5.0
"""Of a placement that may take writes so long without its standby."""


@pytest.fixture(scope="module")
def runs() -> Ledger:
    return Ledger("write-path-runs", "Every time that writes failed in a region that was alive")


@pytest.fixture(scope="module")
def refused() -> Ledger:
    return Ledger("refused-writes", "Writes and moves that are held up, ten times each: seconds until it is said")


@pytest.mark.parametrize(("fault", "number"), [(fault, number) for number in range(RUNS) for fault in FAULTS])
def test_a_home_that_takes_no_writes_is_replaced(fleet: RunningFleet, runs: Ledger, fault: str, number: int) -> None:
    case = f"{fault} {number + 1}"
    if runs.done(case):
        pytest.skip("proven already; delete .proof/write-path-runs.json to prove it again")
    region = (HOME, AWAY)[(number + FAULTS.index(fault)) % 2]
    durability = "home" if number % 3 == 2 else "remote"
    with Watcher(fleet, region) as watcher:
        report = drill(fleet, fault=fault, region=region, durability=durability, for_s=FOR_S, seed=number)
    injected_s = _injected_unix_s(report)
    status_s = watcher.status_s(injected_s, lambda look: look.exit_code == 1 and "write_path" in look.findings)
    metrics_s = watcher.doors_s(injected_s, lambda look: look.metrics.get("ig_writes_well") == 0)
    readyz_s = watcher.doors_s(injected_s, lambda look: look.limits is None or "writes" in look.limits)
    score = report.score
    found = [anomaly.reason for verdict in report.verdicts for anomaly in verdict.unexplained]
    assert not found, found[:5]
    assert score.rto_s is not None, "nobody took over"
    assert score.rto_s <= RTO_S_MAX
    assert score.lost_writes == score.doomed_writes == 0
    assert score.rpo_writes == 0, "a planned move loses nothing, not even a `home` write"
    assert _all_within(SAID_S_MAX, status_s, readyz_s, metrics_s), (status_s, readyz_s, metrics_s)
    runs.record(
        case,
        {
            "fault": fault,
            "region": region,
            "durability": durability,
            "RTO s": f"{score.rto_s:.2f}",
            "status s": f"{status_s:.1f}",
            "readyz s": f"{readyz_s:.1f}",
            "metrics s": f"{metrics_s:.1f}",
            "longest for a client s": f"{score.patient_writes.seconds:.2f}",
            "reads unavailable s": f"{score.patient_reads.seconds:.2f}",
            "RPO writes": score.rpo_writes,
            "lost": score.lost_writes,
            "doomed": score.doomed_writes,
            "anomalies": sum(score.anomalies.values()),
        },
    )
    _summarise(runs)


@pytest.mark.parametrize("number", range(RUNS))
def test_writes_that_a_cut_link_stops_are_said(fleet: RunningFleet, refused: Ledger, number: int) -> None:
    """Of a strict placement while they wait and when they are refused, of one with an RPO as soon as it is used up."""
    case = f"link {number + 1}"
    if refused.done(case):
        pytest.skip("proven already; delete .proof/refused-writes.json to prove it again")
    at_rest(fleet)
    fleet.tenant("strict", *BOTH, "--durability", "remote", "--on-standby-loss", "strict")
    fleet.tenant("lax", *BOTH, "--durability", "home", "--rpo", f"{RPO_S:g}")
    well(fleet)
    with Watcher(fleet, HOME) as watcher:
        fleet.cli("wan", HOME, AWAY, "--cut", "both")
        cut_s = time.time()
        try:
            strict_link_cut_is_said(fleet)
        finally:
            fleet.cli("wan", HOME, AWAY, "--heal")
    said_s = {}
    for name, codes in (("strict", {"standby_silent", "standby_lost"}), ("lax", {"rpo_at_risk"})):
        said_s[f"{name}: status s"] = watcher.status_s(cut_s, _read_only(name))
        said_s[f"{name}: readyz s"] = watcher.doors_s(cut_s, _limited(codes))
    well(fleet)
    strict, lax = list(said_s.values())[:2], list(said_s.values())[2:]
    assert _all_within(SAID_S_MAX, *strict) and _all_within(RPO_S + SAID_S_MAX, *lax), said_s
    refused.record(case, {what: f"{each_s:.1f}" for what, each_s in said_s.items()})


@pytest.mark.parametrize("number", range(RUNS))
def test_a_transaction_that_holds_a_move_up_is_named(fleet: RunningFleet, refused: Ledger, number: int) -> None:
    case = f"idle transaction {number + 1}"
    if refused.done(case):
        pytest.skip("proven already; delete .proof/refused-writes.json to prove it again")
    at_rest(fleet)
    with Watcher(fleet, HOME) as watcher:
        opened_s = idle_transactions(fleet)
    named_s = watcher.status_s(opened_s, lambda look: look.exit_code == 1 and "transaction_open" in look.findings)
    readyz_s = watcher.doors_s(opened_s, lambda look: "transaction_open" in (look.limits or {}).get("findings", ""))
    well(fleet)
    assert _all_within(SAID_S_MAX, named_s, readyz_s), (named_s, readyz_s)
    refused.record(
        case, {"open transaction: status s": f"{named_s:.1f}", "open transaction: readyz s": f"{readyz_s:.1f}"}
    )


def at_rest(fleet: RunningFleet) -> None:
    """All is well, and every placement is at its declared home."""
    well(fleet)
    fleet.cli_any("failback", "--all")
    well(fleet)


def _read_only(placement: str) -> Callable[[Status], bool]:
    return lambda look: look.exit_code == 1 and not look.ready and bool(look.read_only(placement))


def _limited(codes: set[str]) -> Callable[[Doors], bool]:
    return lambda look: any(code in (look.limits or {}).get("placements", "") for code in codes)


def _all_within(most_s: float, *each_s: float | None) -> bool:
    return all(took_s is not None and took_s <= most_s for took_s in each_s)


def _injected_unix_s(report: Report) -> float:
    """When injecting began, by the wall clock."""
    assert report.score.fault is not None
    return datetime.fromisoformat(report.began).timestamp() + report.score.fault.injected_s


def _summarise(runs: Ledger) -> None:
    table = Ledger("write-path", "Writes that fail in a region that is alive, ten times by each fault")
    for fault in FAULTS:
        rows = [row for row in runs.rows.values() if row["fault"] == fault]
        if not rows:
            continue

        def worst(name: str, rows: list[dict[str, str]] = rows) -> str:
            return f"{max(float(row[name] or 'inf') for row in rows):.2f}"

        rto = [float(row["RTO s"] or "inf") for row in rows]
        table.record(
            fault,
            {
                "n": len(rows),
                "RTO p50 s": f"{percentile(rto, 50):.2f}",
                "RTO p100 s": f"{max(rto):.2f}",
                "status true p100 s": worst("status s"),
                "readyz true p100 s": worst("readyz s"),
                "metrics true p100 s": worst("metrics s"),
                "reads unavailable p100 s": worst("reads unavailable s"),
                "longest for a client s": worst("longest for a client s"),
                "RPO, writes": sum(int(row["RPO writes"]) for row in rows),
                "acknowledged and lost": sum(int(row["lost"]) for row in rows),
                "anomalies": sum(int(row["anomalies"]) for row in rows),
            },
        )
