"""Part 1: the same writes through pgbench, through the library and through the door, round after round."""

from __future__ import annotations

from msgspec import Struct

from bench.figures import Sample, Spread, Verdict, latency_ms, ratio, throughput
from bench.paths import door, library, pgbench
from bench.place import FAST
from bench.run import Run

WRITERS = 8
LIBRARY_RATIO_WANTED = 0.5
HTTP_RATIO_WANTED = 0.3
_PATHS = {"pgbench": pgbench, "library": library, "http": door(FAST)}


class PathFigures(Struct, frozen=True, kw_only=True):
    """One path over rounds. Latencies are absent for pgbench, of which only totals are known."""

    path: str
    per_second: Spread
    of_pgbench: Spread
    p50_ms: Spread | None
    p99_ms: Spread | None


class Comparison(Struct, frozen=True, kw_only=True):
    """Part 1's result."""

    writers: int
    paths: list[PathFigures]
    verdicts: list[Verdict]


async def compare_paths(run: Run) -> Comparison:
    """Each round runs every path once, beginning with another one each time."""
    for name, path in _PATHS.items():
        await run.round(f"warming up {name}", path, writers=WRITERS, seconds=1.0)
    samples: dict[str, list[Sample]] = {name: [] for name in _PATHS}
    names = list(_PATHS)
    for turn in range(run.pace.rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            title = f"round {turn + 1} of {run.pace.rounds}, {name}"
            samples[name].append(await run.round(title, _PATHS[name], writers=WRITERS))
    figures = [_figures(name, samples[name], samples["pgbench"]) for name in names]
    wanted = (("library", "asyncpg calling append", LIBRARY_RATIO_WANTED), ("http", "HTTP", HTTP_RATIO_WANTED))
    verdicts = [
        Verdict(
            claim=f"throughput of {claim} / pgbench",
            value=ratio(samples[name], samples["pgbench"]).median,
            limit=limit,
            at_least=True,
        )
        for name, claim, limit in wanted
    ]
    return Comparison(writers=WRITERS, paths=figures, verdicts=verdicts)


def _figures(name: str, samples: list[Sample], baseline: list[Sample]) -> PathFigures:
    timed = bool(samples[0].latencies_ms)
    return PathFigures(
        path=name,
        per_second=throughput(samples),
        of_pgbench=ratio(samples, baseline),
        p50_ms=latency_ms(samples, 0.5) if timed else None,
        p99_ms=latency_ms(samples, 0.99) if timed else None,
    )
