"""What ``make bench-write`` shows: a table for people, and the same as JSON."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable

import psutil
from msgspec import Struct

from bench.compare_durability import Durabilities
from bench.compare_paths import Comparison
from bench.figures import Spread, Verdict
from bench.sustained import Sustained
from intelgraph import __version__


class Machine(Struct, frozen=True, kw_only=True):
    """Where it ran, and what else it was doing: CPU use before the fleet was up, and in the pauses of the run."""

    cpus: int
    processor: str
    memory_gb: float
    system: str
    load_average: float
    busy_before_pct: float
    busy_in_pauses_pct: Spread


class WriteReport(Struct, frozen=True, kw_only=True):
    """One run."""

    release: str
    at: str
    quick: bool
    rounds: int
    seconds_a_round: float
    machine: Machine
    paths: Comparison
    durability: Durabilities
    sustained: Sustained

    @property
    def verdicts(self) -> list[Verdict]:
        """Every limit, in the order of the parts."""
        return [*self.paths.verdicts, *self.durability.verdicts, *self.sustained.verdicts]


def this_machine(*, busy_before_pct: float, busy_in_pauses_pct: Spread) -> Machine:
    """Describe the machine."""
    return Machine(
        cpus=os.cpu_count() or 0,
        processor=_processor(),
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        load_average=os.getloadavg()[0],
        busy_before_pct=busy_before_pct,
        busy_in_pauses_pct=busy_in_pauses_pct,
    )


def release_and_time() -> tuple[str, str]:
    """What is measured, and when (UTC)."""
    return __version__, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def lines(report: WriteReport) -> list[str]:
    """The report as text."""
    machine = report.machine
    return [
        f"IntelGraph {report.release}, {report.at}{', --quick' if report.quick else ''}",
        f"{machine.cpus} CPUs ({machine.processor}), {machine.memory_gb:.0f} GB, {machine.system}; load average "
        f"{machine.load_average:.1f} at the end",
        f"CPU used: {machine.busy_before_pct:.0f} % before the fleet was up, {machine.busy_in_pauses_pct.text()} % in "
        "the pauses between rounds",
        "",
        f"1. {report.paths.writers} writers, durability home, medians of {report.rounds} rounds of "
        f"{report.seconds_a_round:g} s (lowest to highest)",
        *table(["path", "writes/s", "of pgbench", "p50 ms", "p99 ms"], _path_rows(report.paths)),
        "",
        "2. through the door, by durability and WAN round trip",
        *table(["round trip", "writers", "durability", "writes/s", "p50 ms", "p99 ms"], _delay_rows(report.durability)),
        "",
        *_sustained_lines(report.sustained),
        "",
        "Limits",
        *(f"  {verdict.text()}" for verdict in report.verdicts),
    ]


def _path_rows(comparison: Comparison) -> Iterable[list[str]]:
    for path in comparison.paths:
        p50, p99 = (figure.text(1) if figure else "-" for figure in (path.p50_ms, path.p99_ms))
        yield [path.path, path.per_second.text(), path.of_pgbench.text(2), p50, p99]


def _delay_rows(durabilities: Durabilities) -> Iterable[list[str]]:
    for each in durabilities.figures:
        name = f"{each.round_trip_ms:.0f} ms"
        figures = [each.per_second.text(), each.p50_ms.text(1), each.p99_ms.text(1)]
        yield [name, str(each.writers), each.durability, *figures]


def _sustained_lines(sustained: Sustained) -> list[str]:
    return [
        f"3. {sustained.seconds:.0f} s through the door at {sustained.per_second:,.0f} writes/s, looked at from afar",
        f"  echo lag p50 {sustained.echo_p50_ms:.0f} ms, p99 {sustained.echo_p99_ms:.0f} ms; slope "
        f"{sustained.echo_slope_ms_per_s:+.2f} ms/s; last third over first third {sustained.echo_growth_ms:+.0f} ms",
        f"  rows not there yet p99 {sustained.behind_p99_rows}; slope {sustained.behind_slope_rows_per_s:+.2f} rows/s; "
        f"all there {sustained.drain_s:.2f} s after the end",
    ]


def table(header: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Lay cells out in columns."""
    cells = [header, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    ]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as told:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
