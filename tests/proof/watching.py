"""Looks, beside a fault, at what a fleet says of itself: often enough to tell from when on it said something.

A look counts from when it was asked. What is told is the first moment from which on every look, until the watching
ends, had the right answer: asked then or later, nobody hears anything else. ``status`` is asked every two seconds,
because each takes half a second of a processor; doors and metrics five times a second, each by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.fleet_e2e.running import RunningFleet
from tests.fleet_e2e.truth import Status, limits, metrics, status

Look = TypeVar("Look")
Limits = dict[str, str] | None
_STATUS_EACH_S = 2.0
_STATUS_AT_ONCE = 3
"""A look takes up to four seconds where a server hangs; the next one does not wait for it."""
_DOORS_EACH_S = 0.2


class Watcher:
    """Looks while its block runs. Each look is kept with the Unix time at which it was asked."""

    def __init__(self, fleet: RunningFleet, region: str) -> None:
        self._stop = threading.Event()
        self._statuses: list[tuple[float, Status]] = []
        self._limits: list[tuple[float, Limits]] = []
        self._metrics: list[tuple[float, dict[str, float]]] = []
        asked: tuple[tuple[Callable[[], Any], list[Any], float, int], ...] = (
            (lambda: status(fleet), self._statuses, _STATUS_EACH_S, _STATUS_AT_ONCE),
            (lambda: limits(fleet, region), self._limits, _DOORS_EACH_S, 1),
            (lambda: metrics(fleet, region), self._metrics, _DOORS_EACH_S, 1),
        )
        self._threads = [threading.Thread(target=self._ask, args=each) for each in asked]

    def __enter__(self) -> Watcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def status_s(self, since_s: float, until_s: float, holds: Callable[[Status], bool]) -> float | None:
        """From how long after ``since_s`` on every ``status`` asked before ``until_s`` was right; none: never."""
        return from_when_s(self._statuses, since_s, until_s, holds)

    def limits_s(self, since_s: float, until_s: float, holds: Callable[[Limits], bool]) -> float | None:
        """The same of what ``/readyz`` lacks; a door that does not answer has none."""
        return from_when_s(self._limits, since_s, until_s, holds)

    def metrics_s(self, since_s: float, until_s: float, holds: Callable[[dict[str, float]], bool]) -> float | None:
        """The same of the numbers of the region's agent."""
        return from_when_s(self._metrics, since_s, until_s, holds)

    def _ask(self, ask: Callable[[], Any], into: list[Any], each_s: float, at_once: int) -> None:
        def look() -> None:
            asked_s = time.time()
            into.append((asked_s, ask()))

        with ThreadPoolExecutor(at_once) as pool:
            looks = [pool.submit(look)]
            while not self._stop.wait(each_s):
                looks.append(pool.submit(look))
        for each in looks:
            each.result()


def from_when_s(
    looks: list[tuple[float, Look]], since_s: float, until_s: float, holds: Callable[[Look], bool]
) -> float | None:
    """Return from how long after ``since_s`` on all looks hold, of those asked before ``until_s``; none if none do."""
    found: float | None = None
    for asked_s, look in sorted(looks, key=lambda each: each[0]):
        if since_s <= asked_s < until_s:
            found = (asked_s - since_s if found is None else found) if holds(look) else None
    return found
