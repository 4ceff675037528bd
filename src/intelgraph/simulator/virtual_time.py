"""Virtual time: event loops that jump to the next timer, so that production's coroutines run unchanged, and the same
for the same seed.

One ``Universe`` has the true time, one queue and one source of chance. Every process of a schedule has a loop of its
own, on the clock of its ``Site``: that may run fast or slow, be paused (nothing of it runs, and what was due meanwhile
runs when it goes on), or be killed (nothing of it ever runs again, not even a ``finally``). No threads, no real I/O, no
real clock. What the processes do does not belong here.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from inspect import CORO_CREATED, getcoroutinestate
from random import Random
from typing import Any

TIMER_S = 1e-6
"""So much later than it was asked for a timer is due at least: whoever waits for a clock to pass a time gets there."""


class Site:
    """Where processes run: one machine, one clock, one fate."""

    __slots__ = ("booted_s", "loops", "name", "offset_s", "paused", "rate", "stalled", "universe", "up", "wall_s")

    def __init__(self, universe: Universe, name: str, *, rate: float = 1.0, offset_s: float = 0.0) -> None:
        self.universe = universe
        self.name = name
        self.rate = rate
        self.offset_s = offset_s
        self.wall_s = 0.0
        """How far its wall clock is off. Nothing may depend on it."""
        self.booted_s = 0.0
        self.up = True
        self.paused = False
        self.stalled: list[Handle] = []
        self.loops: list[SiteLoop] = []

    def clock(self) -> float:
        """Read the monotonic clock."""
        return self.universe.now * self.rate + self.offset_s

    def token_clock(self) -> float:
        """Read the clock that begins anew when the machine is started."""
        return (self.universe.now - self.booted_s) * self.rate

    def wall(self) -> float:
        """Read the wall clock."""
        return 1.7e9 + self.universe.now + self.wall_s

    @property
    def works(self) -> bool:
        """Whether anything runs there now."""
        return self.up and not self.paused

    def process(self, group: str) -> SiteLoop:
        """Begin a process; ``group`` names what is killed together."""
        make: Any = SiteLoop  # what an event loop has for I/O is left out
        loop: SiteLoop = make(self, group)
        self.loops.append(loop)
        return loop

    def kill(self, group: str | None = None) -> None:
        """End the processes of a group, or all of the site."""
        for loop in self.loops:
            if group is None or loop.group == group:
                loop.dead = True
                self.universe.dead.append(loop)
        self.loops = [loop for loop in self.loops if not loop.dead]

    def go_on(self) -> None:
        """Let a paused site go on: first whatever was due meanwhile."""
        self.paused = False
        self._resume()

    def starve(self, group: str) -> None:
        """Give the processes of a group no processor time; everything else on the machine runs."""
        for loop in self.loops:
            if loop.group == group:
                loop.starved = True

    def feed(self, group: str) -> None:
        """Let the processes of a group go on: first whatever was due meanwhile."""
        for loop in self.loops:
            if loop.group == group:
                loop.starved = False
        self._resume()

    def runs(self, group: str) -> bool:
        """Whether a process of the group runs here now."""
        return self.works and any(loop.group == group and not loop.starved for loop in self.loops)

    def _resume(self) -> None:
        """Call what was due; what belongs to a process that is still starved waits again."""
        stalled, self.stalled = self.stalled, []
        self.universe.ready.extend(stalled)


class Handle:
    """Something to be called."""

    __slots__ = ("args", "callback", "gone", "loop", "when_s")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], loop: SiteLoop, when_s: float) -> None:
        self.callback = callback
        self.args = args
        self.loop = loop
        self.when_s = when_s
        self.gone = False

    def cancel(self) -> None:
        """Have it not be called."""
        self.gone = True

    def cancelled(self) -> bool:
        """Whether it is not to be called."""
        return self.gone

    def when(self) -> float:
        """When it is due, on its loop's clock."""
        return self.when_s


class Pause:
    """What a task of the models awaits to go on after some seconds: as ``asyncio.sleep``, in one step, not in three.

    It is as much of a future as a task needs that awaits it: when its timer is due it steps the task itself.
    """

    __slots__ = ("_asyncio_future_blocking", "_error", "_handle", "_loop", "_wake")

    def __init__(self, for_s: float) -> None:
        self._asyncio_future_blocking = False
        self._error: BaseException | None = None
        self._wake: Callable[[Any], object] | None = None
        self._loop: Any = asyncio.get_running_loop()
        self._handle: Any = self._loop.call_later(for_s, self._over)

    def __await__(self) -> Generator[Any, None, None]:
        self._asyncio_future_blocking = True
        yield self

    def get_loop(self) -> Any:
        """Return the loop of the task that waits."""
        return self._loop

    def add_done_callback(self, wake: Callable[[Any], object], *, context: Any = None) -> None:
        """Note what steps the task."""
        self._wake = wake

    def result(self) -> None:
        """Return nothing, or raise what ended it early."""
        if self._error is not None:
            raise self._error

    def cancel(self, msg: Any = None) -> bool:
        """End it early: its task was cancelled."""
        if self._wake is None:
            return False
        self._handle.cancel()
        self._error = asyncio.CancelledError()
        self._loop.call_soon(self._over)
        return True

    def _over(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake(self)


class SiteLoop(asyncio.AbstractEventLoop):
    """The event loop of one process: as much of one as coroutines without I/O need."""

    def __init__(self, site: Site, group: str) -> None:
        self.site = site
        self.group = group
        self.dead = False
        self.starved = False
        """Whether it alone gets no processor time."""
        self.roots: list[asyncio.Task[Any]] = []
        self.coroutines: list[Coroutine[Any, Any, Any]] = []
        """Of every task, so that one that never began can be closed."""
        self._universe = site.universe

    def time(self) -> float:
        """Read the site's monotonic clock."""
        return self._universe.now * self.site.rate + self.site.offset_s

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Call it next, if the process still runs then. There are no contexts."""
        handle = Handle(callback, args, self, 0.0)
        self._universe.ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Call it after ``delay`` seconds of the site's clock."""
        universe, site = self._universe, self.site
        handle = Handle(callback, args, self, universe.now * site.rate + site.offset_s + delay)
        universe.number += 1
        due_s = universe.now + (delay / site.rate if delay > 0 else 0.0) + TIMER_S
        heapq.heappush(universe.timers, (due_s, universe.number, handle))
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Call it when the site's clock shows ``when``."""
        return self.call_later(when - self.time(), callback, *args)

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future of this process."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        """Start a coroutine in this process."""
        self.coroutines.append(coro)
        return asyncio.Task(coro, loop=self, name=name)

    def begin(self, start: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        """Have the process start a coroutine, if it still runs then: what another process asks for."""
        self.call_soon(lambda: self.create_task(start(*args)))

    def run(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start what a process is: it is ended with the schedule."""
        task = self.create_task(coro)
        self.roots.append(task)
        return task

    def get_debug(self) -> bool:
        """No."""
        return False

    def is_running(self) -> bool:
        """Yes, as long as the process lives."""
        return not self.dead

    def is_closed(self) -> bool:
        """No."""
        return False

    def call_exception_handler(self, context: Any) -> None:
        """Say nothing of tasks that ended with their process."""


class Universe:
    """True time, the queue of everything that happens, and chance."""

    def __init__(self, random: Random, *, told: list[str] | None = None) -> None:
        self.now = 0.0
        self.random = random
        self.told = told
        """The transcript; none is kept when many schedules are run."""
        self.ready: deque[Handle] = deque()
        self.timers: list[tuple[float, int, Handle]] = []
        self.number = 0
        self.events = 0
        self.stopped = False
        self.dead: list[SiteLoop] = []
        self._outside = Site(self, "outside").process("world")

    def say(self, who: str, what: str) -> None:
        """Add a line to the transcript."""
        if self.told is not None:
            self.told.append(f"{self.now:8.3f}  {who:<10} {what}")

    def after(self, delay_s: float, event: Callable[..., object], *args: Any) -> None:
        """Have something happen that belongs to no site: a fault, a message that is on its way."""
        self.number += 1
        heapq.heappush(self.timers, (self.now + delay_s, self.number, Handle(event, args, self._outside, 0.0)))

    def run_until(self, end_s: float) -> None:
        """Let everything happen that happens before ``end_s``, unless it is stopped."""
        ready, timers, pop = self.ready, self.timers, heapq.heappop
        running: SiteLoop | None = None
        events = 0
        try:
            while not self.stopped:
                if ready:
                    handle = ready.popleft()
                elif timers and timers[0][0] <= end_s:
                    due_s, _, handle = pop(timers)
                    if handle.gone:
                        continue
                    if due_s > self.now:
                        self.now = due_s
                else:
                    self.now = max(self.now, end_s)
                    break
                loop = handle.loop
                if handle.gone or loop.dead:
                    continue
                if loop.starved or loop.site.paused:
                    loop.site.stalled.append(handle)
                    continue
                if loop is not running:
                    running = loop
                    _set_running_loop(loop)
                events += 1
                handle.callback(*handle.args)
        finally:
            self.events += events
            _set_running_loop(None)

    def end(self, sites: list[Site]) -> None:
        """End every process, so that nothing is left of the schedule but what it has come to."""
        loops = [*self.dead, *(loop for site in sites for loop in site.loops)]
        self.timers.clear()
        self.ready.clear()
        for site in sites:
            site.paused = False
        for loop in loops:
            loop.dead = loop.starved = False
            for task in loop.roots:
                task.cancel()
        self.stopped = False
        self.run_until(self.now)
        for loop in loops:
            loop.roots.clear()
            for coro in loop.coroutines:
                if getcoroutinestate(coro) == CORO_CREATED:
                    coro.close()  # its process ended between the task's making and its first step
            loop.coroutines.clear()
        self.dead.clear()
