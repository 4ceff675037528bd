"""One benchmark run: its pace, its progress lines, and how busy the machine was with other things."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from bench.figures import Sample, Spread, spread
from bench.paths import Effort, WritePath, measure
from bench.place import Place

_LOOK_S = 0.4


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long and how often. ``seconds`` of load a round, ``sustained_s`` for the long one."""

    rounds: int
    delay_rounds: int
    seconds: float
    sustained_s: float


FULL = Pace(rounds=5, delay_rounds=3, seconds=5.0, sustained_s=30.0)
QUICK = Pace(rounds=2, delay_rounds=1, seconds=2.0, sustained_s=6.0)


@dataclass(kw_only=True)
class Run:
    """What every part needs. Between two efforts the other region catches up and the CPU is looked at."""

    place: Place
    pace: Pace
    say: Callable[[str], None]
    pauses_busy_pct: list[float] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def round(self, name: str, path: WritePath, *, writers: int, seconds: float | None = None) -> Sample:
        """Pause, then run one path once."""
        await self.pause()
        effort = Effort(run=next(self._numbers), writers=writers, seconds=seconds or self.pace.seconds)
        sample = await measure(self.place, path, effort)
        self.say(f"{name}: {sample.per_second:,.0f} writes/s")
        return sample

    async def pause(self) -> None:
        """Let the other region catch up, and see how busy the machine is while we write nothing."""
        await self.place.drain()
        self.pauses_busy_pct.append(await busy_pct(_LOOK_S))

    def number(self) -> int:
        """The next run's number."""
        return next(self._numbers)

    def busy_in_pauses(self) -> Spread:
        """The machine's CPU use while this benchmark wrote nothing."""
        return spread(self.pauses_busy_pct or [0.0])


async def busy_pct(seconds: float) -> float:
    """The share of all CPUs that is used, over some time."""
    psutil.cpu_percent(None)
    await asyncio.sleep(seconds)
    return float(psutil.cpu_percent(None))
