"""Ten times each: the home takes no writes while its lease loop is well, by four faults, on etcd with a witness.

`make prove ARGS=tests/proof/test_write_path.py`, resumable. The region that is hurt alternates, and so does durability.
The table tells when ``status`` (with its exit code), ``/readyz`` and the metrics said it, when another region wrote,
and what was lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import pytest

from intelgraph.drill.report import Report
from intelgraph.drill.score import percentile
from tests.fleet_e2e.drilling import drill
from tests.fleet_e2e.running import AWAY, HOME, RunningFleet
from tests.fleet_e2e.test_write_path import BOTH, well
from tests.fleet_e2e.truth import Status
from tests.proof.ledger import Ledger
from tests.proof.watching import Limits, Watcher

pytestmark = [pytest.mark.prove, pytest.mark.timeout(5_400)]
FAULTS = ("api-hung", "api-login", "edge-hung", "postmaster-hung")
RUNS = 10
FOR_S = 14.0
WATCHED_S = 10.0
"""What is asked later may be answered when the fault is over."""
RTO_S_MAX, SAID_S_MAX = 10.0, 5.0
"""The first is that of `pause` (``test_region_loss``). For the second see ``watching``."""
RPO_S = REFUSED_S = 5.0
"""So long a placement may take writes that its standby has not, and a lost standby is waited for."""


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
    well(fleet)
    with Watcher(fleet, region) as watcher:
        report = drill(fleet, fault=fault, region=region, durability=durability, for_s=FOR_S, seed=number)
    injected_s = _injected_unix_s(report)
    window = injected_s, injected_s + WATCHED_S
    status_s = watcher.status_s(*window, _finds("write_path", region))
    metrics_s = watcher.metrics_s(*window, lambda look: look.get("ig_writes_well") == 0)
    silent = fault == "api-hung"  # who is asked hangs itself
    readyz_s = watcher.limits_s(*window, lambda look: silent if look is None else "writes" in look)
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
        cut_s = time.time()
        fleet.cli("wan", HOME, AWAY, "--cut", "both")
        try:
            time.sleep(FOR_S)
        finally:
            fleet.cli("wan", HOME, AWAY, "--heal")
    window = cut_s, cut_s + WATCHED_S
    said_s = {
        "strict: status s": watcher.status_s(*window, _read_only("strict")),
        "strict: readyz s": watcher.limits_s(*window, _limited("standby_silent", "standby_lost")),
        "strict refused: readyz s": watcher.limits_s(*window, _limited("standby_lost")),
        "lax: status s": watcher.status_s(*window, _read_only("lax")),
        "lax: readyz s": watcher.limits_s(*window, _limited("rpo_at_risk")),
    }
    well(fleet)
    waiting, refusing = list(said_s.values())[:2], list(said_s.values())[2:]
    assert _all_within(SAID_S_MAX, *waiting) and _all_within(REFUSED_S + SAID_S_MAX, *refusing), said_s
    refused.record(case, {what: f"{each_s:.1f}" for what, each_s in said_s.items()})


@pytest.mark.parametrize("number", range(RUNS))
def test_a_transaction_that_holds_moves_up_is_named(fleet: RunningFleet, refused: Ledger, number: int) -> None:
    case = f"open transaction {number + 1}"
    if refused.done(case):
        pytest.skip("proven already; delete .proof/refused-writes.json to prove it again")
    at_rest(fleet)
    with Watcher(fleet, HOME) as watcher:
        opened_s = asyncio.run(_open_transaction(fleet))
    window = opened_s, opened_s + WATCHED_S
    said_s = {
        "transaction: status s": watcher.status_s(*window, _finds("transaction_open")),
        "transaction: readyz s": watcher.limits_s(
            *window, lambda look: "transaction_open" in (look or {}).get("findings", "")
        ),
    }
    well(fleet)
    assert _all_within(SAID_S_MAX, *said_s.values()), said_s
    refused.record(case, {what: f"{each_s:.1f}" for what, each_s in said_s.items()})


async def _open_transaction(fleet: RunningFleet) -> float:
    """Hold a transaction open that has a number of its own; from which Unix time on it was."""
    async with fleet.owner(HOME) as database:
        await database.execute("set idle_in_transaction_session_timeout = 0; begin; select pg_current_xact_id()")
        opened_s = time.time()
        await asyncio.sleep(FOR_S)
        await database.execute("rollback")
    return opened_s


def at_rest(fleet: RunningFleet) -> None:
    """All is well, and every placement is at its declared home."""
    well(fleet)
    fleet.cli_any("failback", "--all")
    well(fleet)


def _read_only(placement: str) -> Callable[[Status], bool]:
    return lambda look: look.exit_code == 1 and not look.ready and bool(look.read_only(placement))


def _finds(code: str, about: str | None = None) -> Callable[[Status], bool]:
    return lambda look: look.exit_code == 1 and code in look.findings and about in (None, *look.findings[code])


def _limited(*codes: str) -> Callable[[Limits], bool]:
    return lambda look: any(code in (look or {}).get("placements", "") for code in codes)


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
