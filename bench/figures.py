"""Numbers out of samples: percentiles within a round, the median and the range over rounds, limits met or not."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from msgspec import Struct


class Sample(Struct, frozen=True, kw_only=True):
    """One round of one path. ``latencies_ms``: one entry a write, sorted; empty where only totals are known."""

    writes: int
    seconds: float
    latencies_ms: list[float] = []
    failures: dict[str, int] = {}

    @property
    def per_second(self) -> float:
        """Acknowledged writes a second."""
        return self.writes / self.seconds if self.seconds else 0.0


class Spread(Struct, frozen=True, kw_only=True):
    """A figure over rounds."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 0) -> str:
        """``median (low to high)``."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f} to {self.high:,.{digits}f})"


class Verdict(Struct, frozen=True, kw_only=True):
    """A limit and whether the run met it."""

    claim: str
    value: float
    limit: float
    at_least: bool
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the value is on the right side of its limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def text(self) -> str:
        """One line for people."""
        sign = ">=" if self.at_least else "<="
        digits = 0 if abs(self.limit) >= 10 else 2
        unit = f" {self.unit}" if self.unit else ""
        outcome = "met" if self.met else "NOT MET"
        return (
            f"{outcome:<8} {self.claim}: {self.value:,.{digits}f}{unit} (wanted {sign} {self.limit:,.{digits}f}{unit})"
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of a sorted sample lies; not a number for an empty one."""
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> Spread:
    """The median and the range of one figure over rounds."""
    return Spread(median=statistics.median(values), low=min(values), high=max(values))


def throughput(samples: Sequence[Sample]) -> Spread:
    """Writes a second over rounds."""
    return spread([sample.per_second for sample in samples])


def latency_ms(samples: Sequence[Sample], share: float) -> Spread:
    """A percentile of latency over rounds."""
    return spread([percentile(sample.latencies_ms, share) for sample in samples])


def ratio(over: Sequence[Sample], under: Sequence[Sample]) -> Spread:
    """How the throughput of one path compares with another's, round by round: neighbours in time share the machine."""
    return spread([one.per_second / other.per_second for one, other in zip(over, under, strict=True)])


def slope_per_s(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the least-squares line through (seconds, value)."""
    if len(points) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*points, strict=True)).slope
