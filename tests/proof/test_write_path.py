"""Ten times each: the home takes no writes while its lease loop is well, by four faults, on etcd with a witness.

`make prove ARGS=tests/proof/test_write_path.py`, resumable. The region that is hurt alternates, and so does durability.
The table tells when ``status`` (with its exit code), ``/readyz`` and the metrics said it, when another region wrote,
and what was lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

import pytest

from intelgraph.drill.report import Report
from intelgraph.drill.score import percentile
from tests.fleet_e2e.drilling import drill
from tests.fleet_e2e.running import AWAY, HOME, RunningFleet
from tests.fleet_e2e.test_write_path import idle_transactions, strict_link_cut, well
from tests.fleet_e2e.truth import Said, said
from tests.proof.ledger import Ledger

pytestmark = [pytest.mark.prove, pytest.mark.timeout(5_400)]
FAULTS = ("api-hung", "api-login", "edge-hung", "postmaster-hung")
RUNS = 10
FOR_S = 14.0
RTO_S_MAX, SAID_S_MAX, READS_S_MAX = 10.0, 5.0, 1.0
"""The first is that of `pause` (``test_region_loss``). A look counts from when it began: `status` takes two seconds."""


@pytest.fixture(scope="module")
def runs() -> Ledger:
    return Ledger("write-path-runs", "Every time that writes failed in a region that was alive")


class Watcher:
    """Looks at what the fleet says of a region, again and again, beside a drill."""

    def __init__(self, fleet: RunningFleet, region: str) -> None:
        self._fleet, self._region = fleet, region
        self._stop = threading.Event()
        self.looks: list[tuple[float, Said]] = []
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.is_set():
            began_s = time.time()
            self.looks.append((began_s, said(self._fleet, self._region)))

    def first_s(self, since_s: float, holds: Callable[[Said], bool]) -> float | None:
        """How long after ``since_s`` the first look began in which something held; none if it never did."""
        return next((at_s - since_s for at_s, look in self.looks if at_s >= since_s and holds(look)), None)


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
    status_s = watcher.first_s(injected_s, lambda look: look.exit_code == 1 and "write_path" in look.findings)
    metrics_s = watcher.first_s(injected_s, lambda look: look.metrics.get("ig_writes_well") == 0)
    readyz_s = watcher.first_s(injected_s, lambda look: look.limits is None or "writes" in look.limits)
    score = report.score
    runs.record(
        case,
        {
            "fault": fault,
            "region": region,
            "durability": durability,
            "RTO s": "" if score.rto_s is None else f"{score.rto_s:.2f}",
            "status s": "" if status_s is None else f"{status_s:.1f}",
            "readyz s": "" if readyz_s is None else f"{readyz_s:.1f}",
            "metrics s": "" if metrics_s is None else f"{metrics_s:.1f}",
            "longest for a client s": f"{score.patient_writes.seconds:.2f}",
            "reads unavailable s": f"{score.patient_reads.seconds:.2f}",
            "RPO writes": score.rpo_writes,
            "lost": score.lost_writes,
            "doomed": score.doomed_writes,
            "anomalies": sum(score.anomalies.values()),
        },
    )
    _summarise(runs)
    found = [anomaly.reason for verdict in report.verdicts for anomaly in verdict.unexplained]
    assert not found, found[:5]
    assert score.rto_s is not None, "nobody took over"
    assert score.rto_s <= RTO_S_MAX
    assert score.lost_writes == score.doomed_writes == 0
    assert score.rpo_writes == 0, "a planned move loses nothing, not even a `home` write"
    for told_s in (status_s, readyz_s, metrics_s):
        assert told_s is not None and told_s <= SAID_S_MAX


@pytest.mark.parametrize(("what", "number"), [(what, number) for number in range(RUNS) for what in ("link", "idle")])
def test_refused_writes_are_said(fleet: RunningFleet, what: str, number: int) -> None:
    """The link of a strict placement is cut; a transaction is left open. `status` takes two seconds, twice."""
    table = Ledger("refused-writes", "Writes and moves that are held up, ten times each: until the last place says it")
    case = f"{what} {number + 1}"
    if table.done(case):
        pytest.skip("proven already; delete .proof/refused-writes.json to prove it again")
    well(fleet)
    fleet.cli_any("failback", "--all")
    well(fleet)
    began_s = time.monotonic()
    told_s = strict_link_cut(fleet) if what == "link" else idle_transactions(fleet)
    well(fleet)
    table.record(case, {"said s": f"{told_s:.1f}", "all well again s": f"{time.monotonic() - began_s:.0f}"})


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
