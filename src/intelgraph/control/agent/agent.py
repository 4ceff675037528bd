"""The agent: one process a region, and one at the witness. It keeps its region's lease, looks at the others', and acts.

Its tasks run side by side, so that none can delay another: *renew* (a region's: ``control.agent.leases.keeper``),
*grant* (answers the region's doors: ``control.agent.leases.grants``), *look* and *publish*
(``control.agent.leases.watching``), *follow* (wakes the others when a placement, a plan or a region's key changes), and
the loops of its **hook**: it observes, decides, records and acts. Nothing is kept in memory that a process in its place
could not find again.

The hook is how deciding and acting are plugged in:

- ``Hook.loops(agent)`` is asked once, at the start. Each loop it names is run for as long as the agent lives; one that
  raises or returns is told in the log and started again after ``RETRY_S``. A loop waits with ``agent.changed(…)`` and
  must never block the event loop (work that computes for more than some milliseconds goes to a thread), for then the
  lease would not be renewed.
- ``Hook.seen()`` is asked before each report; ``Hook.bounds()``, ``limits()`` and ``is_passed_over()`` for each answer
  to a door, ``Hook.gives_up()`` before each renewal. All answer at once, from memory.

What an agent lends to its hook is the public part of ``Agent``: ``here``, ``region`` (its settings; none at the
witness), ``store``, ``policy``, ``clock``, ``log``, ``watching`` (leases, holders, reports, sightings), ``grant``,
``renew_now()``, ``changes`` and ``changed()``. How a home is chosen does not belong here (``placement.failover``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from intelgraph.control.agent.leases import clock_quorum
from intelgraph.control.agent.leases.grants import Bound
from intelgraph.control.agent.leases.keeper import Grant, LeaseKeeper
from intelgraph.control.agent.leases.steady import Clock
from intelgraph.control.agent.leases.watching import Watching
from intelgraph.control.directory.placements import PLACEMENTS
from intelgraph.control.directory.regions import REGIONS
from intelgraph.control.directory.reports import Seen
from intelgraph.control.store.keys import LEASES, PLANS
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.errors import Denied, IntelGraphError, TransientError
from intelgraph.placement.lease import LeasePolicy, Watched, is_over
from intelgraph.runtime.json_log import JsonLog
from intelgraph.runtime.loops import Loop, Loops
from intelgraph.settings import RegionConfig

RETRY_S = 0.25
PUBLISH_S = 1.0
SUSPECT_LOOK_S = 0.1
"""Between two looks while a lease stands still: every second until the others see it is a second without writes."""
SUSPECT_S_MAX = 30.0
RENEW_APART_S = 0.05
"""At least so long between two renewals that were asked for."""

ServeGrants = Callable[["Agent"], Awaitable[None]]


class Log(Protocol):
    """Where what an agent does is told."""

    def __call__(self, event: str, **facts: object) -> None:
        """Tell one event; facts are names and numbers, never a tenant's."""
        ...


class Hook(Protocol):
    """Observing, deciding and acting, as an agent runs them. See this module's text."""

    def loops(self, agent: Agent) -> Mapping[str, Loop]:
        """Name the loops to run; the agent's parts are ready to be used, and nothing has been seen yet."""
        ...

    def seen(self) -> Seen:
        """Return what observation adds to the next report: who was reached, what the own database holds."""
        ...

    def bounds(self) -> Mapping[str, Bound]:
        """Return what limits writes although the lease lasts, by placement."""
        ...

    def limits(self) -> Mapping[str, str]:
        """Return what the region serves less well than it should, by name; never a tenant's or a placement's."""
        ...

    def is_passed_over(self) -> bool:
        """Say whether clients that may as well go to another region should."""
        ...

    def gives_up(self) -> Denied | None:
        """Say why the lease is not renewed although it could be: somebody else can use what it covers."""
        ...


class OnlyLooks:
    """A hook that adds nothing to keeping the lease and looking at the others': no loop, no limit, no decision."""

    def loops(self, agent: Agent) -> Mapping[str, Loop]:
        """None."""
        return {}

    def seen(self) -> Seen:
        """Nothing."""
        return Seen()

    def bounds(self) -> Mapping[str, Bound]:
        """None."""
        return {}

    def limits(self) -> Mapping[str, str]:
        """None are known."""
        return {}

    def is_passed_over(self) -> bool:
        """No."""
        return False

    def gives_up(self) -> Denied | None:
        """Never."""
        return None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What an agent is made of. ``keeper`` and ``region`` are a region's; the witness has neither."""

    here: str
    region: RegionConfig | None
    store: ControlStore
    policy: LeasePolicy
    clock: Clock
    watching: Watching
    keeper: LeaseKeeper | None
    look_s: float
    serve_grants: ServeGrants | None = None
    """Answers the region's doors for as long as the agent lives (``control.agent.leases.grants``)."""
    suspect_look_s: float = SUSPECT_LOOK_S
    wall: Clock = time.time
    """The wall clock (Unix seconds): nothing is timed by it."""
    log: Log = field(default_factory=lambda: JsonLog("agent"))


class Agent:
    """The tasks of one agent process, and what they know."""

    def __init__(self, parts: Parts, hook: Hook) -> None:
        self._parts = parts
        self._hook = hook
        self._changed = asyncio.Condition()
        self._changes = 0
        self._granted = asyncio.Condition()
        self._renew = asyncio.Event()
        self._report = asyncio.Event()
        self._loops = Loops(
            retry_s=RETRY_S, on_failure=self._log_failure, on_recovery=self._log_recovery, kind=_kind_of
        )
        self.here = parts.here
        self.region = parts.region
        self.store = parts.store
        self.policy = parts.policy
        self.clock = parts.clock
        self.watching = parts.watching
        self.log = parts.log
        self.grant: Grant | None = None
        """The last grant, over or not."""
        self.not_renewed: Denied | None = None
        """Why the last renewal failed; none when it did not."""

    async def run(self) -> None:
        """Run every task until cancelled."""
        self.log("started", here=self.here)
        loops: dict[str, Loop] = {"look": self._look, "publish": self._publish}
        loops.update({f"follow {prefix}": partial(self._follow, prefix) for prefix in (PLACEMENTS, PLANS, REGIONS)})
        if self._parts.keeper is not None:
            loops["renew"] = self._renew_always
        if self._parts.serve_grants is not None:
            loops["grant"] = partial(self._parts.serve_grants, self)
        loops.update({f"hook {name}": loop for name, loop in self._hook.loops(self).items()})
        async with asyncio.TaskGroup() as group:
            for name, loop in loops.items():
                group.create_task(self._loops.keep(name, loop))

    def bounds(self) -> Mapping[str, Bound]:
        """Return what limits writes although the lease lasts, by placement."""
        return self._hook.bounds()

    def limits(self) -> Mapping[str, str]:
        """Return what the region serves less well than it should, by name."""
        return self._hook.limits()

    def is_passed_over(self) -> bool:
        """Say whether clients that may as well go to another region should."""
        return self._hook.is_passed_over()

    def report_now(self) -> None:
        """Have the next report written at once: what others act upon has changed."""
        self._report.set()

    def clock_ahead_s(self) -> float | None:
        """Return how far the wall clock here is ahead of what most vantage points say, if that can be told."""
        return clock_quorum.ahead_s(self.watching.clocks_apart_s(self._parts.wall()))

    def renew_now(self) -> None:
        """Have the lease renewed at once: what this region may acknowledge has changed."""
        self._renew.set()

    @property
    def changes(self) -> int:
        """How often something has changed so far: note it before looking, and give it to ``changed``."""
        return self._changes

    async def changed(self, timeout_s: float, *, since: int | None = None) -> None:
        """Return when a placement, a plan or a region's key has changed, or after ``timeout_s``.

        ``since``: what ``changes`` was before the caller looked, so that what changed meanwhile counts; by default
        only what changes after the call does.
        """
        before = self._changes if since is None else since
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self._changes != before)
        except TimeoutError:
            return

    async def next_grant(self, after: str | None, timeout_s: float) -> None:
        """Return when there is another grant than ``after`` names, or after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s), self._granted:
                await self._granted.wait_for(lambda: self.grant is not None and self.grant.generation != after)
        except TimeoutError:
            return

    def _log_failure(self, loop: str, error: Exception) -> None:
        reason = error.denied.reason if isinstance(error, IntelGraphError) else str(error)[:300]
        self.log("loop_interrupted", loop=loop, code=_kind_of(error), reason=reason)

    def _log_recovery(self, loop: str) -> None:
        self.log("loop_recovered", loop=loop)

    async def _renew_always(self) -> None:
        keeper = self._parts.keeper
        assert keeper is not None
        while True:
            began_s = self.clock()
            self._renew.clear()
            try:
                given_up = self._hook.gives_up()
                if given_up is not None:
                    await keeper.beat()  # what keeps the database from committing is the cause, and is said
                    raise TransientError(given_up, retry_after_s=self.policy.renew_s)
                grant = await keeper.renew()
            except IntelGraphError as error:
                self.not_renewed = error.denied
                raise
            self.not_renewed = None
            self._loops.works("renew")
            async with self._granted:
                self.grant = grant
                self._granted.notify_all()
            await asyncio.sleep(RENEW_APART_S)
            left_s = began_s + self.policy.renew_s - self.clock()
            if left_s > 0:
                await _set_within(self._renew, left_s)

    async def _look(self) -> None:
        """Look at the leases: often while one stands still; what is found over then is reported at once."""
        over: frozenset[str] = frozenset()
        while True:
            await self.watching.look()
            self._loops.works("look")
            now_over = frozenset(name for name, each in self.watching.leases.items() if is_over(each, self.policy))
            if now_over != over:
                over = now_over
                self._report.set()
                await self._wake(LEASES)
            look_s = self._parts.look_s
            suspects = is_any_suspect(self.watching.leases.values(), self.policy)
            await asyncio.sleep(min(look_s, self._parts.suspect_look_s) if suspects else look_s)

    async def _publish(self) -> None:
        while True:
            self._report.clear()
            await self.watching.publish(self._hook.seen())
            self._loops.works("publish")
            await _set_within(self._report, PUBLISH_S)

    async def _follow(self, prefix: str) -> None:
        """Wake whoever waits when what they decide on has changed. Every loop also looks without being woken."""
        revision = (await self.store.read()).revision
        await self._wake(prefix)  # something may have changed while nobody followed
        async for change in self.store.watch(prefix, since=revision):
            self._loops.works(f"follow {prefix}")
            if change.entries:
                await self._wake(prefix)

    async def _wake(self, prefix: str) -> None:
        if prefix in (PLACEMENTS, PLANS):
            self.renew_now()
        async with self._changed:
            self._changes += 1
            self._changed.notify_all()


def is_any_suspect(leases: Iterable[Watched], policy: LeasePolicy) -> bool:
    """Say whether a lease stands still that may be about to end, whichever others ended long ago."""
    return any(policy.lease_s / 2 < lease.still_s < SUSPECT_S_MAX for lease in leases)


async def _set_within(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return


def _kind_of(error: Exception) -> str:
    return error.denied.code if isinstance(error, IntelGraphError) else type(error).__name__
