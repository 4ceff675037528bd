"""Looks, beside a fault, at what a fleet says of itself: dense enough to tell when it began to say something."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from tests.fleet_e2e.running import RunningFleet
from tests.fleet_e2e.truth import Status, limits, metrics, status

Look = TypeVar("Look")
_STATUS_EACH_S = 1.0
_DOORS_EACH_S = 0.2
_STATUS_AT_ONCE = 8
"""A look takes up to four seconds where a server hangs; the next one does not wait for it."""


@dataclass(frozen=True, kw_only=True)
class Doors:
    """What a region's ``/readyz`` lacks (none: nobody answered) and the numbers of its agent."""

    limits: dict[str, str] | None
    metrics: dict[str, float]


class Watcher:
    """Looks while its block runs. Each look is kept with the Unix time at which it began."""

    def __init__(self, fleet: RunningFleet, region: str) -> None:
        self._fleet, self._region = fleet, region
        self._stop = threading.Event()
        self._statuses: list[tuple[float, Status]] = []
        self._doors: list[tuple[float, Doors]] = []
        self._threads = [threading.Thread(target=each) for each in (self._ask_status, self._ask_doors)]

    def __enter__(self) -> Watcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def status_s(self, since_s: float, holds: Callable[[Status], bool]) -> float | None:
        """How long after ``since_s`` the first ``status`` was begun in which something holds; none if it never did."""
        return _first_s(self._statuses, since_s, holds)

    def doors_s(self, since_s: float, holds: Callable[[Doors], bool]) -> float | None:
        """The same of what the doors and the agent say."""
        return _first_s(self._doors, since_s, holds)

    def _ask_status(self) -> None:
        def ask() -> None:
            began_s = time.time()
            self._statuses.append((began_s, status(self._fleet)))

        with ThreadPoolExecutor(_STATUS_AT_ONCE) as pool:
            looks = [pool.submit(ask)]
            while not self._stop.wait(_STATUS_EACH_S):
                looks.append(pool.submit(ask))
        for look in looks:
            look.result()

    def _ask_doors(self) -> None:
        while not self._stop.wait(_DOORS_EACH_S):
            began_s = time.time()
            seen = Doors(limits=limits(self._fleet, self._region), metrics=metrics(self._fleet, self._region))
            self._doors.append((began_s, seen))


def _first_s(looks: list[tuple[float, Look]], since_s: float, holds: Callable[[Look], bool]) -> float | None:
    found = [began_s - since_s for began_s, look in looks if began_s >= since_s and holds(look)]
    return min(found, default=None)
