"""Part 3: does replication keep up? Writers for a while, and how far behind the other region is meanwhile."""

from __future__ import annotations

import asyncio
import statistics
import time

from msgspec import Struct

from bench.figures import Sample, Verdict, percentile, slope_per_s
from bench.paths import Effort, door
from bench.place import FAST
from bench.run import Run

WRITERS = 8
ECHO_P99_MS_WANTED = 500.0
GROWTH_MS_WANTED = 100.0
_LOOK_S = 0.05
_WARM_UP_S = 1.0


class Look(Struct, frozen=True, kw_only=True):
    """One moment: seconds since the load began, the age of the newest echo, rows written and not there yet."""

    at_s: float
    echo_lag_ms: float
    behind_rows: int


class Sustained(Struct, frozen=True, kw_only=True):
    """Part 3's result. Growth compares the medians of the last and the first third of the time."""

    seconds: float
    per_second: float
    echo_p50_ms: float
    echo_p99_ms: float
    echo_slope_ms_per_s: float
    echo_growth_ms: float
    behind_p99_rows: int
    behind_slope_rows_per_s: float
    drain_s: float
    looks: list[Look]
    verdicts: list[Verdict]


async def sustain(run: Run) -> Sustained:
    """Write through the door and look at the other region 20 times a second."""
    await run.pause()
    seconds = run.pace.sustained_s
    run.say(f"writing for {seconds:.0f} s while looking at the other region")
    effort = Effort(run=run.number(), writers=WRITERS, seconds=seconds)
    writing = asyncio.ensure_future(door(FAST)(run.place, effort))
    try:
        looks = await _look_on(run, writing)
        sample = await writing
    finally:
        writing.cancel()
    drain_s = await run.place.drain()
    echoes = sorted(look.echo_lag_ms for look in looks)
    growth_ms = _growth(looks)
    p99_ms = percentile(echoes, 0.99)
    return Sustained(
        seconds=sample.seconds,
        per_second=sample.per_second,
        echo_p50_ms=percentile(echoes, 0.5),
        echo_p99_ms=p99_ms,
        echo_slope_ms_per_s=slope_per_s([(look.at_s, look.echo_lag_ms) for look in looks]),
        echo_growth_ms=growth_ms,
        behind_p99_rows=int(percentile(sorted(look.behind_rows for look in looks), 0.99)),
        behind_slope_rows_per_s=slope_per_s([(look.at_s, float(look.behind_rows)) for look in looks]),
        drain_s=drain_s,
        looks=looks,
        verdicts=[
            Verdict(claim="p99 echo lag", value=p99_ms, limit=ECHO_P99_MS_WANTED, at_least=False, unit="ms"),
            Verdict(claim="growth of echo lag", value=growth_ms, limit=GROWTH_MS_WANTED, at_least=False, unit="ms"),
        ],
    )


async def _look_on(run: Run, writing: asyncio.Future[Sample]) -> list[Look]:
    began = time.monotonic()
    looks: list[Look] = []
    while not writing.done():
        position, lag_ms = await run.place.position(), await run.place.echo_lag_ms()
        at_s = time.monotonic() - began
        if lag_ms is not None and at_s > _WARM_UP_S:
            looks.append(Look(at_s=at_s, echo_lag_ms=lag_ms, behind_rows=position.written - position.arrived))
        await asyncio.wait([writing], timeout=_LOOK_S)
    return looks


def _growth(looks: list[Look]) -> float:
    third = max(1, len(looks) // 3)
    first, last = looks[:third], looks[-third:]
    return statistics.median(k.echo_lag_ms for k in last) - statistics.median(k.echo_lag_ms for k in first)
