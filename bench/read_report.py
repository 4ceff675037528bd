"""What ``make bench-read`` shows: a table for people, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from bench.figures import Verdict
from bench.read_data import ENTITIES, RELATIONSHIPS, SUPERNODE_EDGES
from bench.read_run import Contest
from bench.write_report import Machine, table


class Conditions(Struct, frozen=True, kw_only=True):
    """What was the same for everybody."""

    plan_cache_mode: str
    synchronous_commit: str
    connections: int
    in_flight: int
    server_cpu: int | None
    rest_cpu: int | None


class ReadReport(Struct, frozen=True, kw_only=True):
    """One run."""

    release: str
    at: str
    quick: bool
    rounds: int
    seconds_a_round: float
    machine: Machine
    versions: dict[str, str]
    conditions: Conditions
    answers_compared: int
    contests: list[Contest]
    verdicts: list[Verdict]


def lines(report: ReadReport) -> list[str]:
    """The report as text."""
    machine, same = report.machine, report.conditions
    told = [
        f"IntelGraph {report.release}, {report.at}{', --quick' if report.quick else ''}",
        f"{machine.cpus} CPUs ({machine.processor}), {machine.memory_gb:.0f} GB, {machine.system}; load average "
        f"{machine.load_average:.1f} at the end",
        f"CPU used: {machine.busy_before_pct:.0f} % before anything was up, {machine.busy_in_pauses_pct.text()} % in "
        "the pauses between rounds",
        ", ".join(f"{name} {version}" for name, version in report.versions.items()),
        f"{ENTITIES:,} entities, {RELATIONSHIPS:,} relationships, {SUPERNODE_EDGES:,} of them at one entity; "
        f"{report.answers_compared:,} answers were compared and are equal",
        f"everybody: one process, {same.connections} connections to the same PostgreSQL, plan_cache_mode "
        f"{same.plan_cache_mode}, synchronous_commit {same.synchronous_commit}, {same.in_flight} requests at once",
        _where(same),
        f"medians of {report.rounds} rounds of {report.seconds_a_round:g} s (lowest to highest); server CPU is that of "
        "the contestant's own processes; no log: an ordinary upsert, for comparison",
    ]
    for number, contest in enumerate(report.contests, start=1):
        told += [
            "",
            f"{number}. {contest.title} (the generator used {contest.generator_busy_max:.0%} of a CPU at most)",
        ]
        told += table(
            ["contestant", "requests/s", "IntelGraph / it", "p50 ms", "p99 ms", "server CPU µs", "PostgreSQL CPU µs"],
            _rows(contest),
        )
    return [*told, "", "Limits", *(f"  {verdict.text()}" for verdict in report.verdicts)]


def _where(same: Conditions) -> str:
    if same.server_cpu is None:
        return "no process is bound to a CPU: the server, PostgreSQL, the feed and the generator share all of them"
    return (
        f"the measured server (or pgbench) alone on CPU {same.server_cpu}; PostgreSQL, the feed and "
        f"the generator on CPU {same.rest_cpu}"
    )


def _rows(contest: Contest) -> Iterable[list[str]]:
    for row in contest.rows:
        p50, p99 = (figure.text(1) if figure else "-" for figure in (row.p50_ms, row.p99_ms))
        cpu = row.server_cpu_us.text() if row.server_cpu_us else "-"
        told = [row.contestant, row.per_second.text(), row.intelgraph_over_it.text(2), p50, p99, cpu]
        yield [*told, row.database_cpu_us.text()]
