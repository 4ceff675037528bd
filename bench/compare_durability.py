"""Part 2: ``home`` and ``remote`` writes through the door, over links of several delays."""

from __future__ import annotations

from msgspec import Struct

from bench.figures import Sample, Spread, Verdict, latency_ms, ratio, throughput
from bench.paths import door
from bench.place import FAST, SURE
from bench.run import Run

ROUND_TRIPS_MS = (0.0, 20.0, 80.0)
WRITERS = 8
MANY_WRITERS, MANY_WRITERS_ROUND_TRIP_MS = 32, 80.0
P50_ALLOWANCE_MS, P99_ALLOWANCE_MS = 10.0, 50.0
THROUGHPUT_RATIO_WANTED = 0.5
_TENANTS = {"home": FAST, "remote": SURE}


class DelayFigures(Struct, frozen=True, kw_only=True):
    """One durability over one link."""

    round_trip_ms: float
    writers: int
    durability: str
    per_second: Spread
    p50_ms: Spread
    p99_ms: Spread


class Durabilities(Struct, frozen=True, kw_only=True):
    """Part 2's result."""

    figures: list[DelayFigures]
    verdicts: list[Verdict]


async def compare_durability(run: Run) -> Durabilities:
    """Both durabilities in every round, the order turning; the link is as it was at the end."""
    figures: list[DelayFigures] = []
    verdicts: list[Verdict] = []
    try:
        for round_trip_ms in ROUND_TRIPS_MS:
            samples = await _at(run, round_trip_ms, WRITERS)
            figures += _figures(round_trip_ms, WRITERS, samples)
            verdicts += _latency_verdicts(round_trip_ms, samples)
        samples = await _at(run, MANY_WRITERS_ROUND_TRIP_MS, MANY_WRITERS)
    finally:
        run.place.set_round_trip_ms(0.0)
    figures += _figures(MANY_WRITERS_ROUND_TRIP_MS, MANY_WRITERS, samples)
    verdicts.append(
        Verdict(
            claim=f"{MANY_WRITERS} writers, round trip {MANY_WRITERS_ROUND_TRIP_MS:.0f} ms: throughput remote / home",
            value=ratio(samples["remote"], samples["home"]).median,
            limit=THROUGHPUT_RATIO_WANTED,
            at_least=True,
        )
    )
    return Durabilities(figures=figures, verdicts=verdicts)


async def _at(run: Run, round_trip_ms: float, writers: int) -> dict[str, list[Sample]]:
    run.place.set_round_trip_ms(round_trip_ms)
    samples: dict[str, list[Sample]] = {name: [] for name in _TENANTS}
    for turn in range(run.pace.delay_rounds):
        for name in list(_TENANTS) if turn % 2 == 0 else list(_TENANTS)[::-1]:
            title = f"round trip {round_trip_ms:.0f} ms, {writers} writers, {name}"
            samples[name].append(await run.round(title, door(_TENANTS[name]), writers=writers))
    return samples


def _figures(round_trip_ms: float, writers: int, samples: dict[str, list[Sample]]) -> list[DelayFigures]:
    return [
        DelayFigures(
            round_trip_ms=round_trip_ms,
            writers=writers,
            durability=name,
            per_second=throughput(taken),
            p50_ms=latency_ms(taken, 0.5),
            p99_ms=latency_ms(taken, 0.99),
        )
        for name, taken in samples.items()
    ]


def _latency_verdicts(round_trip_ms: float, samples: dict[str, list[Sample]]) -> list[Verdict]:
    return [
        Verdict(
            claim=f"{WRITERS} writers, round trip {round_trip_ms:.0f} ms: {name} of remote over that of home",
            value=latency_ms(samples["remote"], share).median - latency_ms(samples["home"], share).median,
            limit=round_trip_ms + allowance_ms,
            at_least=False,
            unit="ms",
        )
        for name, share, allowance_ms in (("p50", 0.5, P50_ALLOWANCE_MS), ("p99", 0.99, P99_ALLOWANCE_MS))
    ]
