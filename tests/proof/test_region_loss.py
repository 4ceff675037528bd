"""Nine losses of a region by each of five faults, on etcd with a witness: `make prove`, resumable, one fleet for all.

Of each nine, six are of `remote` durability and three of `home`; in three the leader of etcd is lost with the region,
in three it is in the other region, in three at the witness. The region that is lost alternates. Each run is a row of
``docs/proof/region-loss-runs.md``, each fault one of ``region-loss.md``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from intelgraph.drill.report import Report
from intelgraph.drill.score import percentile
from intelgraph.fleet.layout.topology import WITNESS
from tests.fleet_e2e.drilling import drill, lead
from tests.fleet_e2e.running import AWAY, HOME, RunningFleet
from tests.proof.ledger import Ledger

pytestmark = [pytest.mark.prove, pytest.mark.timeout(5_400)]
FAULTS = ("crash", "pause", "partition", "partition-in", "partition-out")
RUNS = 9
FOR_S = 12.0
RTO_S_MAX, RTO_WITH_LEADER_S_MAX, READS_S_MAX = 10.0, 20.0, 1.0


@pytest.fixture(scope="module")
def runs() -> Ledger:
    return Ledger("region-loss-runs", "Every loss of a region")


def _cases() -> Iterator[tuple[str, int, str, str]]:
    """Fault, number, durability, and where etcd's leader is: in the lost region, in the other, at the witness."""
    for number in range(RUNS):
        for fault in FAULTS:
            leads = ("witness", "other", "lost")[(number // 3 + number) % 3]
            yield fault, number, "home" if number % 3 == 2 else "remote", leads


@pytest.mark.parametrize(("fault", "number", "durability", "leads"), list(_cases()))
def test_a_region_is_lost(
    fleet: RunningFleet, runs: Ledger, fault: str, number: int, durability: str, leads: str
) -> None:
    case = f"{fault} {number + 1}"
    if runs.done(case):
        pytest.skip("proven already; delete .proof/region-loss-runs.json to prove it again")
    region = (HOME, AWAY)[(number + FAULTS.index(fault)) % 2]
    lead(fleet, {"lost": region, "other": AWAY if region == HOME else HOME, "witness": WITNESS}[leads])
    report = drill(fleet, fault=fault, region=region, durability=durability, for_s=FOR_S, seed=number)
    runs.record(case, _figures(report, fault, durability, leads))
    _summarise(runs)
    score = report.score
    found = [anomaly.reason for verdict in report.verdicts for anomaly in verdict.unexplained]
    assert not found, found[:5]
    assert score.rto_s is not None, "nobody took over"
    assert score.rto_s <= (RTO_WITH_LEADER_S_MAX if leads == "lost" else RTO_S_MAX)
    assert score.patient_reads.seconds <= READS_S_MAX
    assert score.doomed_writes == 0
    assert score.lost_writes == 0
    assert durability == "home" or score.rpo_writes == 0


def _figures(report: Report, fault: str, durability: str, leads: str) -> dict[str, object]:
    score = report.score
    return {
        "fault": fault,
        "durability": durability,
        "leader of etcd": leads,
        "RTO s": "" if score.rto_s is None else f"{score.rto_s:.2f}",
        "reads unavailable s": f"{score.patient_reads.seconds:.2f}",
        "longest for a client s": f"{score.patient_writes.seconds:.2f}",
        "nobody wrote s": f"{score.write_gap.seconds:.2f}",
        "RPO writes": score.rpo_writes,
        "RPO s": "" if score.rpo_s is None else f"{score.rpo_s:.2f}",
        "anomalies": sum(score.anomalies.values()),
        "explained": sum(score.explained.values()),
        "lost": score.lost_writes,
        "doomed": score.doomed_writes,
        "patient failures": score.patient_failed,
        "operations": sum(score.operations.values()),
    }


def _summarise(runs: Ledger) -> None:
    """One row a fault; the runs in which etcd's leader was lost as well apart."""
    table = Ledger("region-loss", "Losing a region, nine times by each fault")
    for fault in FAULTS:
        for with_leader in (False, True):
            rows = [
                row
                for row in runs.rows.values()
                if row["fault"] == fault and (row["leader of etcd"] == "lost") is with_leader
            ]
            if rows:
                table.record(f"{fault}, and etcd's leader" if with_leader else fault, _summary(rows))


def _summary(rows: list[dict[str, str]]) -> dict[str, object]:
    def worst(name: str) -> str:
        return f"{max(float(row[name]) for row in rows):.2f}"

    def total(name: str, only: str = "") -> int:
        return sum(int(row[name]) for row in rows if row["durability"].startswith(only))

    rto = [float(row["RTO s"] or "inf") for row in rows]
    return {
        "n": len(rows),
        "RTO p50 s": f"{percentile(rto, 50):.2f}",
        "RTO p100 s": f"{max(rto):.2f}",
        "reads unavailable p100 s": worst("reads unavailable s"),
        "longest for a client s": worst("longest for a client s"),
        "RPO remote, writes": total("RPO writes", "remote"),
        "RPO home, writes": total("RPO writes", "home"),
        "anomalies": total("anomalies"),
        "explained by listed keys": total("explained"),
        "acknowledged and lost": total("lost"),
        "doomed writes": total("doomed"),
        "patient failures": total("patient failures"),
    }
