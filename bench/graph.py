"""``make bench-graph``: how long questions about a tenant of 100,000 entities and 400,000 relationships take.

Through the edge of a real region, four at a time, drawn anew for each request, the questions in turns over several
rounds. Limits are printed as met or not met; they never fail the run. Also told: the memory of the worker and the
database before and at the highest, and how much PostgreSQL wrote to temporary files. Exit codes as ``bench.write``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct

from bench.command import Say, options, show
from bench.figures import Spread, Verdict, percentile, spread
from bench.graph_queries import ENTITIES, QUESTIONS, RELATIONSHIPS, Question
from bench.http_wire import Wire, fixed_head, open_wire
from bench.place import FAST, HOME, Place, throwaway_fleet
from bench.run import busy_pct
from bench.write_report import Machine, release_and_time, table, this_machine
from intelgraph.fleet.composition.parts import mark
from intelgraph.fleet.supervisor.memory import part_pss_bytes
from intelgraph.fleet.supervisor.process import marked

AT_ONCE = 4
_LOOK_S = 0.2
_PARTS = ("api", "postgres")


class Figure(Struct, frozen=True, kw_only=True):
    """One question. Latencies over rounds, in milliseconds; ``asked``: in all rounds together."""

    question: str
    asked: int
    p50_ms: Spread
    p95_ms: Spread
    bytes_median: int
    limit_ms: float | None = None


class GraphReport(Struct, frozen=True, kw_only=True):
    """One run. Memory is the proportional set of the home region's part, in MB: when idle, and at the highest."""

    release: str
    at: str
    quick: bool
    machine: Machine
    rounds: int
    seconds: float
    figures: list[Figure]
    memory_mb: dict[str, tuple[float, float]]
    temporary_mb: float

    @property
    def verdicts(self) -> list[Verdict]:
        """Every limit."""
        return [
            Verdict(claim=f"{f.question}: p95", value=f.p95_ms.median, limit=f.limit_ms, at_least=False, unit="ms")
            for f in self.figures
            if f.limit_ms is not None
        ]


class Asked(Struct, kw_only=True):
    """One round of one question."""

    latencies_ms: list[float] = []
    sizes: list[int] = []


async def measure(*, rounds: int, seconds: float, quick: bool, say: Say) -> GraphReport:
    """Write the tenant, ask, and look at the memory meanwhile."""
    busy_before = await busy_pct(1.0)
    async with throwaway_fleet(say) as place:
        say(f"writing {ENTITIES:,} entities and {RELATIONSHIPS:,} relationships")
        await _fill(place)
        wires = [await open_wire("127.0.0.1", place.edge_port) for _ in range(AT_ONCE)]
        head = fixed_head("/graphql", place.tokens[FAST])
        idle = _memory_mb(place)
        highest = dict(idle)
        watch = asyncio.create_task(_watch(place, highest))
        found: dict[str, list[Asked]] = {question.name: [] for question in QUESTIONS}
        pauses = []
        try:
            for number in range(rounds + 1):
                for question in QUESTIONS:
                    asked = await _round(wires, head, question, Random(f"{number}{question.name}"), seconds)
                    if number:  # the first round fills caches and makes plans
                        found[question.name].append(asked)
                        p95 = percentile(sorted(asked.latencies_ms), 0.95)
                        say(f"{number}/{rounds} {question.name}: p95 {p95:,.1f} ms")
                pauses.append(await busy_pct(0.4))
        finally:
            watch.cancel()
            for wire in wires:
                wire.close()
        temporary = await place.home.fetchval("select sum(temp_bytes) from pg_stat_database") or 0
        release, at = release_and_time()
        return GraphReport(
            release=release, at=at, quick=quick, rounds=rounds, seconds=seconds,
            machine=this_machine(busy_before_pct=busy_before, busy_in_pauses_pct=spread(pauses)),
            figures=[_figure(question, found[question.name]) for question in QUESTIONS],
            memory_mb={part: (idle[part], highest[part]) for part in _PARTS}, temporary_mb=float(temporary) / 1e6,
        )  # fmt: skip


async def _fill(place: Place) -> None:
    text = Path(__file__).with_name("large_tenant.sql").read_text(encoding="utf-8")
    given = {"$tenant": FAST, "$placement": FAST, "$entities": ENTITIES, "$relationships": RELATIONSHIPS}
    for name, value in given.items():
        text = text.replace(name, str(value))
    for statement in text.split(";\n"):
        if statement.strip():
            await place.home.execute(statement, timeout=300)


async def _round(wires: list[Wire], head: bytes, question: Question, random: Random, seconds: float) -> Asked:
    asked = Asked()
    ends = time.perf_counter() + seconds

    async def one(wire: Wire) -> None:
        while time.perf_counter() < ends:
            body = msgspec.json.encode({"query": question.query, "variables": question.draw(random)})
            began = time.perf_counter()
            status, answer = await wire.post(head, "none", body)
            asked.latencies_ms.append((time.perf_counter() - began) * 1000)
            asked.sizes.append(len(answer))
            if status != 200 or not answer.startswith(b'{"data"'):
                raise RuntimeError(f"{question.name} was answered {status}: {answer[:300]!r}")

    await asyncio.gather(*(one(wire) for wire in wires))
    return asked


def _figure(question: Question, rounds: list[Asked]) -> Figure:
    ordered = [sorted(asked.latencies_ms) for asked in rounds]
    return Figure(
        question=question.name,
        asked=sum(len(latencies) for latencies in ordered),
        p50_ms=spread([percentile(latencies, 0.5) for latencies in ordered]),
        p95_ms=spread([percentile(latencies, 0.95) for latencies in ordered]),
        bytes_median=int(percentile(sorted(size for asked in rounds for size in asked.sizes), 0.5)),
        limit_ms=question.limit_ms,
    )


def _memory_mb(place: Place) -> dict[str, float]:
    found = {}
    for part in _PARTS:
        processes = marked(mark(place.fleet, f"{HOME}/{part}"))
        # The part's own process comes with its descendants; others that carry its mark are among them.
        sizes = [part_pss_bytes(process.pid) or 0 for process in processes]
        found[part] = max(sizes, default=0) / 1e6
    return found


async def _watch(place: Place, highest: dict[str, float]) -> None:
    while True:
        now = await asyncio.to_thread(_memory_mb, place)
        for part, size in now.items():
            highest[part] = max(highest[part], size)
        await asyncio.sleep(_LOOK_S)


def lines(report: GraphReport) -> list[str]:
    """The report as text."""
    machine = report.machine
    rows = [
        [f.question, str(f.asked), f.p50_ms.text(1), f.p95_ms.text(1), f"{f.bytes_median / 1000:,.1f}"]
        for f in report.figures
    ]
    return [
        f"IntelGraph {report.release}, {report.at}{', --quick' if report.quick else ''}",
        f"{machine.cpus} CPUs ({machine.processor}), {machine.memory_gb:.0f} GB, {machine.system}",
        f"CPU used: {machine.busy_before_pct:.0f} % before, {machine.busy_in_pauses_pct.text()} % in the pauses",
        "",
        f"{ENTITIES:,} entities, {RELATIONSHIPS:,} relationships; {AT_ONCE} requests at a time; medians of "
        f"{report.rounds} rounds of {report.seconds:g} s (lowest to highest)",
        *table(["question", "asked", "p50 ms", "p95 ms", "kB"], rows),
        "",
        *(
            f"  {part}: {idle:,.0f} MB when idle, {high:,.0f} MB at the highest"
            for part, (idle, high) in report.memory_mb.items()
        ),
        f"  temporary files: {report.temporary_mb:,.1f} MB",
        "",
        "Limits",
        *(f"  {verdict.text()}" for verdict in report.verdicts),
    ]


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = options(
        "graph", "Ask a large tenant. About four minutes.", quick="a short run, for a look: about two minutes"
    )
    given = parser.parse_args()
    rounds, seconds = (1, 1.0) if given.quick else (3, 4.0)
    return show(
        given, parser.prog, lambda say: measure(rounds=rounds, seconds=seconds, quick=given.quick, say=say), lines
    )


if __name__ == "__main__":
    sys.exit(main())
