"""Runs a fleet: takes over what still runs, starts the rest in order, keeps all of it running, answers questions.

Guarantees: parts run in sessions of their own, so the supervisor's death harms none of them; the next supervisor takes
over exactly those processes that are what the plan asks for, and ends those of another plan; no process that is not
the fleet's own is ever signalled. Stopping the supervisor in an orderly way stops the fleet.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable

import msgspec

from intelgraph.connection import DRIVER_ERRORS
from intelgraph.fleet.composition.parts import LINKS, SCHEMA, all_parts, mark
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.ports import holder, is_free
from intelgraph.fleet.postgres import provision
from intelgraph.fleet.supervisor.log_files import rotate
from intelgraph.fleet.supervisor.notes import Note, Notes, may_adopt, plan_digest, read_notes, write_notes
from intelgraph.fleet.supervisor.process import adopt, end_leftovers, survey, the_part_among
from intelgraph.fleet.supervisor.status import Failed, FleetStatus, PartStatus, Phase, Request
from intelgraph.fleet.supervisor.stopping import stop_part, stop_parts
from intelgraph.fleet.supervisor.tending import Tended
from intelgraph.model.errors import IntelGraphError, PermanentError, refuse
from intelgraph.runtime.stop_signals import on_stop_signal

_STEP_RETRY_S = 0.5
_ROTATE_EVERY_S = 10.0


def _note(line: str) -> None:
    """Write a line of the supervisor's own log, where there is room: nothing that runs may end for want of it."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")


def unknown_part(wanted: str, known: list[str]) -> str:
    """Say that there is no such part or region, and what may be meant: a bare kind names its part of every region."""
    meant = [name for name in known if name.endswith(f"/{wanted}")]
    hint = f"one of them is meant: {', '.join(meant)}" if meant else f"known are {', '.join(known)}"
    return f"there is no part or region {wanted!r}: {hint}"


class Supervisor:
    """The one supervisor of a fleet; the caller holds the fleet's lock."""

    def __init__(self, fleet: Fleet, *, on_change: Callable[[], None] = lambda: None) -> None:
        self._fleet = fleet
        self._plan = plan_digest(fleet)
        self._on_change = on_change
        self._tended = {
            part.name: Tended(fleet=fleet, part=part, needs=self._needs(part.needs), changed=self._changed)
            for part in all_parts(fleet)
        }
        self._steps: dict[str, PartStatus] = {}
        self._done: dict[str, asyncio.Event] = {}
        self._stopping = asyncio.Event()
        self._adopted = 0
        self._releasing: dict[str, asyncio.TimerHandle] = {}

    async def run(self) -> None:
        """Start or take over the fleet, and keep it until asked to stop; then stop it."""
        loop = asyncio.get_running_loop()
        on_stop_signal(self._stopping.set)
        with contextlib.suppress(ValueError):
            loop.add_signal_handler(signal.SIGHUP, lambda: None)
        await self._take_over()
        if self._adopted == 0:  # else the others are worth supervising, and status tells who holds the port
            await self._refuse_taken_ports()
        control = await self._listen()
        tasks = [asyncio.ensure_future(tended.tend()) for tended in self._tended.values()]
        tasks += [asyncio.ensure_future(self._work(*step)) for step in self._all_steps()]
        tasks.append(asyncio.ensure_future(self._rotate_logs()))
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()  # a task never ends by itself: this raises what is wrong with the supervisor
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._stop_everything()
        control.close()
        self._fleet.supervisor_socket.unlink(missing_ok=True)

    def status(self) -> FleetStatus:
        """The fleet as it is now."""
        parts = [tended.status() for tended in self._tended.values()]
        steps = list(self._steps.values())
        ready = all(part.phase is Phase.READY for part in parts) and all(step.phase is Phase.DONE for step in steps)
        return FleetStatus(
            supervisor_pid=os.getpid(),
            plan=self._plan,
            ready=ready and bool(steps),
            stopping=self._stopping.is_set(),
            adopted=self._adopted,
            parts=parts,
            steps=steps,
        )

    async def _take_over(self) -> None:
        """Adopt what the plan asks for; end what is ours and is something else."""
        notes = read_notes(self._fleet)
        marks = {name: mark(self._fleet, name) for name in self._tended.keys() | notes.parts.keys()}
        found = await asyncio.to_thread(survey, marks.values())
        for tended in self._tended.values():
            part = tended.part
            note = may_adopt(notes, plan=self._plan, part=part)
            running = adopt(note.identity) if note else None
            if running is None and notes.plan == self._plan:
                # It was started and the supervisor died before writing that down: the mark tells.
                unnoted = the_part_among(found[marks[part.name]], part.command)
                running = adopt(unnoted) if unnoted else None
            if running is not None:
                tended.running = running
                tended.started_unix_s = note.started_unix_s if note else time.time()
                tended.restarts = note.restarts if note else 0
                tended.phase = Phase.STARTING
                self._adopted += 1
                del marks[part.name]
                continue
            former = notes.parts.get(part.name)
            stale = adopt(former.identity) if former else None
            if stale is not None:
                await stop_part(part.name, stale)
        await end_leftovers(*marks.values(), patience_s=0.0)
        self._write_notes()

    async def _refuse_taken_ports(self) -> None:
        taken: list[str] = []
        for tended in self._tended.values():
            if tended.running is None:
                for port in tended.part.ports:
                    if not is_free(port):
                        who = await asyncio.to_thread(holder, port)
                        taken.append(f"port {port} of {tended.part.name} is held by {who or 'another program'}")
        if taken:
            raise refuse(
                "port_taken",
                f"the fleet cannot start: {'; '.join(taken)}. End that program, or choose other ports in the topology "
                'file (ports = "free" finds free ones)',
                taken=taken,
            )

    def _all_steps(self) -> list[tuple[str, tuple[str, ...], Callable[[], Awaitable[None]]]]:
        regions = [region.name for region in self._fleet.topology.regions]
        schemas = tuple(f"{region}/{SCHEMA}" for region in regions)
        relays = tuple(f"wan:{link.name}" for link in self._fleet.topology.links)
        steps: list[tuple[str, tuple[str, ...], Callable[[], Awaitable[None]]]] = []
        for region in regions:
            install = self._step_of(provision.install_region, region)
            connect = self._step_of(provision.link_region, region)
            steps.append((f"{region}/{SCHEMA}", (f"{region}/postgres",), install))
            steps.append((f"{region}/{LINKS}", (*schemas, *relays), connect))
        return steps

    def _step_of(self, work: Callable[[Fleet, str], Awaitable[None]], region: str) -> Callable[[], Awaitable[None]]:
        return lambda: work(self._fleet, region)

    async def _work(self, name: str, needs: tuple[str, ...], work: Callable[[], Awaitable[None]]) -> None:
        """Do one step until it succeeds or is refused; then stay, for a task of the supervisor never ends by itself."""
        region, _, kind = name.partition("/")

        def tell(phase: Phase, reason: str | None = None) -> None:
            step = PartStatus(name=name, kind=kind, region=region, phase=phase, reason=reason)
            if self._steps.get(name) != step:
                self._steps[name] = step
                self._tell()

        tell(Phase.WAITING)
        await self._needs(needs)()
        tell(Phase.STARTING)
        while True:
            try:
                await work()
                break
            except PermanentError as error:
                tell(Phase.REFUSED, str(error))
                await asyncio.Event().wait()
            except (*DRIVER_ERRORS, IntelGraphError) as error:
                tell(Phase.BACKING_OFF, f"{type(error).__name__}: {error}")
                await asyncio.sleep(_STEP_RETRY_S)
        tell(Phase.DONE)
        self._event(name).set()
        await asyncio.Event().wait()

    def _needs(self, names: tuple[str, ...]) -> Callable[[], Awaitable[None]]:
        async def wait() -> None:
            for name in names:
                await self._event(name).wait()

        return wait

    def _event(self, name: str) -> asyncio.Event:
        if name in self._tended:
            return self._tended[name].ready
        return self._done.setdefault(name, asyncio.Event())

    def _changed(self) -> None:
        self._write_notes()
        self._tell()

    def _tell(self) -> None:
        """Tell of a change. Who is told may have nowhere to show it: a full disk, a terminal that was closed."""
        with contextlib.suppress(Exception):
            self._on_change()

    def _write_notes(self) -> None:
        parts: dict[str, Note] = {}
        for name, tended in self._tended.items():
            if tended.running is not None:
                identity = tended.running.identity
                parts[name] = Note(
                    pid=identity.pid,
                    birth=identity.birth,
                    command=list(identity.command),
                    started_unix_s=tended.started_unix_s,
                    restarts=tended.restarts,
                )
        self._keep_notes(parts)

    def _keep_notes(self, parts: dict[str, Note]) -> None:
        try:
            write_notes(self._fleet, Notes(plan=self._plan, parts=parts))
        except OSError as error:  # a full disk must not end the one that keeps everything running
            _note(f"the notes for the next supervisor are not written: {error}")

    async def _rotate_logs(self) -> None:
        own = self._fleet.common_logs / "supervisor.log"
        while True:
            for path in [own, *(tended.part.log for tended in self._tended.values())]:
                rotate(path)
            await asyncio.sleep(_ROTATE_EVERY_S)

    async def _stop_everything(self) -> None:
        running = {name: tended.running for name, tended in self._tended.items() if tended.running is not None}
        await stop_parts({name: mark(self._fleet, name) for name in self._tended}, running)
        for link in self._fleet.topology.links:
            # What was asked of a link at run time ends with the fleet: a forgotten cut would puzzle the next user.
            (self._fleet.common / "wan" / f"{link.name}.kept.json").unlink(missing_ok=True)
        self._keep_notes({})

    async def _listen(self) -> asyncio.Server:
        self._fleet.supervisor_socket.unlink(missing_ok=True)
        previous = os.umask(0o077)
        try:
            return await asyncio.start_unix_server(self._serve, str(self._fleet.supervisor_socket))
        finally:
            os.umask(previous)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> FleetStatus | Failed:
        try:
            request = msgspec.json.decode(line, type=Request)
        except msgspec.DecodeError as error:
            return Failed(code="bad_request", reason=f"the request is refused: {error}")
        if request.do == "stop":
            self._stopping.set()
        elif request.do != "status":
            chosen = [
                tended for tended in self._tended.values() if request.part in (tended.part.name, tended.part.region)
            ]
            if not chosen:
                return Failed(code="unknown_part", reason=unknown_part(str(request.part), list(self._tended)))
            held = [tended.part.name for tended in chosen if tended.is_held]
            if request.do == "restart" and held:
                names = f"{', '.join(held)} {'is' if len(held) == 1 else 'are'} held down"
                way_out = f"`intelgraph fault start {request.part}` starts what is held"
                return Failed(code="held_down", reason=f"{request.part} is not restarted: {names}; {way_out}")
            _note(f"{request.do} of {request.part} was asked for")
            await self._do_to(chosen, request)
        return self.status()

    async def _do_to(self, chosen: list[Tended], request: Request) -> None:
        if request.do in ("hold", "release"):
            self._forget_to_release(chosen)
        if request.do == "hold":
            for tended in chosen:
                tended.hold()
            if request.for_s is not None:  # before anything is waited for: who asks meanwhile has the last word
                later = asyncio.get_running_loop().call_later
                self._releasing |= {each.part.name: later(request.for_s, each.release) for each in chosen}
            await end_leftovers(*(mark(self._fleet, tended.part.name) for tended in chosen), patience_s=0.0)
        elif request.do == "release":
            for tended in chosen:
                tended.release()
        else:
            for tended in chosen:
                await tended.restart()

    def _forget_to_release(self, chosen: list[Tended]) -> None:
        """The end of an earlier hold must not end a later one."""
        for tended in chosen:
            timer = self._releasing.pop(tended.part.name, None)
            if timer is not None:
                timer.cancel()
