"""Keeps one part running: waits for what it needs, starts it, finds it ready, starts it again when it dies.

A part that runs and does not answer is shown as such and left alone: a drill may have paused it, and killing what is
merely slow makes outages. Only a process that has ended is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from intelgraph.fleet.composition.parts import Kind, Part, mark
from intelgraph.fleet.layout.binaries import server_account
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.ports import holder, is_free
from intelgraph.fleet.postgres.server import forget_another, noted_pid, server_of
from intelgraph.fleet.supervisor.probes import why_not_ready
from intelgraph.fleet.supervisor.process import Launch, Running, end_leftovers, look, start
from intelgraph.fleet.supervisor.restart import RestartPolicy, after_death
from intelgraph.fleet.supervisor.status import PartStatus, Phase
from intelgraph.fleet.supervisor.stopping import stop_part

_LOOK_STARTING_S = 0.05
_LOOK_READY_S = 1.5
_MISSED_MAX = 2
_POSTGRES_ORPHANS_S = 1.0
HELD_DOWN = "it was stopped on purpose; `intelgraph fault start` starts it"
_POLICY = RestartPolicy()


@dataclass(kw_only=True)
class Tended:
    """One part under care. ``needs`` waits until everything the part needs has once been ready."""

    fleet: Fleet
    part: Part
    needs: Callable[[], Awaitable[None]]
    changed: Callable[[], None]
    policy: RestartPolicy = _POLICY
    running: Running | None = None
    started_unix_s: float = 0.0
    restarts: int = 0
    phase: Phase = Phase.WAITING
    reason: str | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _streak: int = 0
    _asked_to_restart: bool = False
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._released.set()

    async def tend(self) -> None:
        """Run until cancelled; the process outlives the cancellation."""
        while True:
            if self.running is None:
                await self._may_start()
                await self._start()
            if self.running is not None:
                await self._watch(self.running)
            await self._recover()

    async def _may_start(self) -> None:
        """Wait for what it needs; who holds it down meanwhile is waited for as well."""
        while True:
            await self._released.wait()
            await self.needs()
            if not self.is_held:
                return

    async def restart(self) -> None:
        """End the process in an orderly way; ``tend`` starts it again at once. Returns when it is ready again."""
        running = self.running
        self.ready.clear()
        if running is not None:
            self._asked_to_restart = True
            self._become(Phase.STOPPING, "a restart was asked for")
            await stop_part(self.part.name, running)
        await self.ready.wait()

    @property
    def is_held(self) -> bool:
        """Whether the part is held down: it is not started until it is released."""
        return not self._released.is_set()

    def hold(self) -> None:
        """Keep the part from being started again; ending it is the caller's."""
        self.ready.clear()
        self._released.clear()

    def release(self) -> None:
        """Let the part be started again."""
        self._streak = 0
        if self.is_held and self.phase is Phase.HELD:
            self._become(Phase.STARTING, None)
        self._released.set()

    def status(self) -> PartStatus:
        """The part as it is now."""
        return PartStatus(
            name=self.part.name,
            kind=self.part.kind.value,
            region=self.part.region,
            phase=Phase.HELD if self.is_held else self.phase,
            pid=self.running.identity.pid if self.running else None,
            started_unix_s=self.started_unix_s if self.running else None,
            restarts=self.restarts,
            reason=HELD_DOWN if self.is_held else self.reason,
            ports=list(self.part.ports),
            log=str(self.part.log),
        )

    async def _start(self) -> None:
        taken = [port for port in self.part.ports if not is_free(port)]
        if taken:
            who = await asyncio.to_thread(holder, taken[0])
            self._become(Phase.BACKING_OFF, f"port {taken[0]} is held by {who or 'another program'}")
            return
        for path in self.part.private_sockets:
            path.unlink(missing_ok=True)
        if self.part.kind is Kind.POSTGRES:
            self._forget_another_postmaster()
        launch = Launch(
            command=self.part.command,
            directory=self.part.directory,
            log=self.part.log,
            environment=self.part.environment,
            mark=mark(self.fleet, self.part.name),
            account=server_account() if self.part.kind is Kind.POSTGRES else None,
        )
        try:
            self.running = start(launch)
        except OSError as error:
            self._become(Phase.BACKING_OFF, f"it cannot be started: {error}")
            return
        self.started_unix_s = time.time()
        self._become(Phase.STARTING, None)

    def _forget_another_postmaster(self) -> None:
        server = server_of(self.fleet, str(self.part.region))
        pid = noted_pid(server)
        seen = None if pid is None else look(pid)
        with contextlib.suppress(OSError):
            forget_another(server, None if seen is None else seen.command)

    async def _watch(self, running: Running) -> None:
        """Return once the process has ended, having told meanwhile whether it is ready."""
        ended = asyncio.ensure_future(running.wait())
        missed = 0
        try:
            while not ended.done():
                uptime_s = time.time() - self.started_unix_s
                pid = running.identity.pid
                asking = asyncio.ensure_future(why_not_ready(self.fleet, self.part, pid=pid, uptime_s=uptime_s))
                await asyncio.wait({ended, asking}, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    asking.cancel()
                    return
                why = asking.result()
                missed = 0 if why is None else missed + 1
                self._told(missed, why)
                pause_s = min(_LOOK_READY_S, _LOOK_READY_S if missed == 0 else _LOOK_STARTING_S * missed)
                await asyncio.wait({ended}, timeout=pause_s)
        finally:
            ended.cancel()

    def _told(self, missed: int, why: str | None) -> None:
        if self.phase is Phase.STOPPING:
            return
        if missed == 0:
            self._become(Phase.READY, None)
        elif self.phase is Phase.UNREADY or (self.phase is Phase.READY and missed >= _MISSED_MAX):
            self._become(Phase.UNREADY, why)

    async def _recover(self) -> None:
        """After a death or a failed start: clear away what it left, and wait as long as its history asks for."""
        asked, self._asked_to_restart = self._asked_to_restart, False
        uptime_s = time.time() - self.started_unix_s if self.running else 0.0
        if self.running is not None:
            code = self.running.exit_code
            self.running = None
            self._become(Phase.BACKING_OFF, "a restart was asked for" if asked else _ended(code))
            patience_s = _POSTGRES_ORPHANS_S if self.part.kind is Kind.POSTGRES else 0.0
            await end_leftovers(mark(self.fleet, self.part.name), patience_s=patience_s)
            self.restarts += 1
        if self.is_held:
            self._become(Phase.HELD, HELD_DOWN)
        elif not asked:
            backoff = after_death(self.policy, streak=self._streak, uptime_s=uptime_s, chance=random.random())  # noqa: S311
            self._streak = backoff.streak
            await asyncio.sleep(backoff.delay_s)

    def _become(self, phase: Phase, reason: str | None) -> None:
        if (phase, reason) == (self.phase, self.reason):
            return
        self.phase, self.reason = phase, reason
        if phase is Phase.READY:
            self.ready.set()
        self.changed()


def _ended(code: int | None) -> str:
    if code is None:
        return "it ended"
    if code < 0:
        try:
            return f"it was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"it was ended by signal {-code}"
    return f"it ended with exit code {code}"
