"""Virtual time: events in order, and processes that are generators, so that one can be stopped wherever it waits.

A process yields for how long it sleeps, or ``None`` to be woken by another. Its site (a region, the witness) can be
paused: then nothing of it runs, and what came meanwhile happens when it goes on; or it can be killed. Chance comes
from the one source of the schedule. What the processes do does not belong here.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from random import Random

Steps = Generator[float | None, None, None]


class Site:
    """Where processes run: one clock, one fate."""

    __slots__ = ("name", "offset_s", "paused", "processes", "rate", "stalled", "up", "wall_s")

    def __init__(self, name: str, *, rate: float = 1.0, offset_s: float = 0.0) -> None:
        self.name = name
        self.rate = rate
        self.offset_s = offset_s
        self.wall_s = 0.0
        """How far its wall clock is off. Nothing may depend on it."""
        self.up = True
        self.paused = False
        self.stalled: list[tuple[Process, int]] = []
        self.processes: list[Process] = []


class Process:
    """One thread of a site."""

    __slots__ = ("dead", "go_on", "group", "site", "token")

    def __init__(self, steps: Steps, site: Site, group: str) -> None:
        self.go_on = steps.__next__
        self.site = site
        self.group = group
        self.token = 0
        self.dead = False


class Engine:
    """The clock and the queue."""

    def __init__(self, random: Random, *, told: list[str] | None = None) -> None:
        self.now = 0.0
        self.random = random
        self.told = told
        """The transcript; none is kept when many schedules are run."""
        self._queue: list[tuple[float, int, Process | Callable[[], None], int]] = []
        self._number = 0
        self.events = 0
        self.current: Process | None = None
        """The process that runs now."""

    def clock(self, site: Site) -> float:
        """Read a site's monotonic clock."""
        return self.now * site.rate + site.offset_s

    def say(self, who: str, what: str) -> None:
        """Add a line to the transcript."""
        if self.told is not None:
            self.told.append(f"{self.now:8.3f}  {who:<10} {what}")

    def after(self, delay_s: float, event: Callable[[], None]) -> None:
        """Have something happen that belongs to no site: a fault, a message that is on its way."""
        self._number += 1
        heapq.heappush(self._queue, (self.now + delay_s, self._number, event, 0))

    def spawn(self, steps: Steps, site: Site, group: str, *, delay_s: float = 0.0) -> Process:
        """Start a process at a site; ``group`` names what is killed together."""
        process = Process(steps, site, group)
        site.processes.append(process)
        self.wake(process, delay_s)
        return process

    def wake(self, process: Process, delay_s: float = 0.0) -> None:
        """Have a process go on; what it waited for before no longer counts."""
        process.token += 1
        self._number += 1
        heapq.heappush(self._queue, (self.now + delay_s, self._number, process, process.token))

    def kill(self, site: Site, group: str | None = None) -> None:
        """End the processes of a group, or all of a site."""
        for process in site.processes:
            if group is None or process.group == group:
                process.dead = True
        site.processes = [process for process in site.processes if not process.dead]

    def resume(self, site: Site) -> None:
        """Let a paused site go on: first whatever was due meanwhile."""
        site.paused = False
        stalled, site.stalled = site.stalled, []
        for process, token in stalled:
            self._number += 1
            heapq.heappush(self._queue, (self.now, self._number, process, token))

    def run_until(self, end_s: float) -> None:
        """Let everything happen that happens before ``end_s``."""
        queue, pop, push = self._queue, heapq.heappop, heapq.heappush
        while queue and queue[0][0] <= end_s:
            self.now, _, due, token = pop(queue)
            self.events += 1
            if not isinstance(due, Process):
                due()
            elif not due.dead and token == due.token:
                if due.site.paused:
                    due.site.stalled.append((due, token))
                    continue
                self.current = due
                try:
                    delay_s = due.go_on()
                except StopIteration:
                    self._ended(due)
                    continue
                if delay_s is not None and not due.dead:
                    due.token += 1
                    self._number += 1
                    push(queue, (self.now + delay_s, self._number, due, due.token))
        self.now = end_s

    def _ended(self, process: Process) -> None:
        process.dead = True
        if len(process.site.processes) > 64:
            process.site.processes = [one for one in process.site.processes if not one.dead]
