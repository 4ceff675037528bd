"""Bringing a fleet up: a supervisor is started in the background, or this process is one, until all is ready.

Who asks is recorded when the fleet's directories are there (the record is in them) and before any process is started.
A fleet that runs already is only waited for: nothing is done, and nothing is recorded.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from intelgraph.fleet.composition.region_files import prepare_servers, write_files
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import ControlKind
from intelgraph.fleet.supervisor.notes import plan_digest
from intelgraph.fleet.supervisor.status import FleetStatus, PartStatus, Phase, Request
from intelgraph.fleet.supervisor.supervision import ask, ask_async, log_path, spawn, the_only_one, told_refusal
from intelgraph.fleet.supervisor.supervisor import Supervisor
from intelgraph.model.actor import Actor
from intelgraph.model.errors import IntelGraphError, refuse
from intelgraph.operations.fleet.location import FleetLocation, FleetOperator
from intelgraph.operations.operator import OnStep, Step, StepKind, no_step
from intelgraph.operations.record import record

TIMEOUT_S = 90.0
_POLL_S = 0.1

OnStatus = Callable[[FleetStatus], None]


@dataclass(frozen=True, kw_only=True)
class BroughtUp:
    """A fleet that is ready. ``already``: it was before, and nothing was done."""

    fleet: Fleet
    status: FleetStatus
    already: bool


def no_status(_status: FleetStatus) -> None:
    """For whoever wants to hear of no status."""


async def bring_up(
    location: FleetLocation,
    actor: Actor,
    *,
    control: ControlKind | None = None,
    timeout_s: float = TIMEOUT_S,
    on_step: OnStep = no_step,
    on_status: OnStatus = no_status,
) -> BroughtUp:
    """Start a fleet, or take over what still runs of it, and wait until all of it is ready.

    ``on_step`` is told when a supervisor has been started: from then on the fleet starts, whatever becomes of this.
    ``on_status`` is told each answer of the supervisor. ``not_ready`` after ``timeout_s``; the fleet goes on trying.
    """
    fleet = location.founded(control)
    running = await ask_async(fleet, Request(do="status"))
    if running is not None:
        _refuse_another_plan(fleet, running)
        status = running if running.ready else await _until_ready(fleet, None, timeout_s, on_status)
        return BroughtUp(fleet=fleet, status=status, already=running.ready)
    _record(fleet, actor, foreground=False)
    supervisor = spawn(fleet, topology=location.file.path, start=location.start)
    on_step(Step(kind=StepKind.BEGUN, about=str(fleet.state), text="the fleet starts in the background"))
    status = await _until_ready(fleet, supervisor, timeout_s, on_status)
    return BroughtUp(fleet=fleet, status=status, already=False)


def stay_up(
    location: FleetLocation, actor: Actor, *, control: ControlKind | None = None, on_status: OnStatus = no_status
) -> None:
    """Supervise a fleet in this process until it is told to stop. ``already_up`` if a supervisor runs.

    Not asynchronous: it is the whole work of a process, and signals end it.
    """
    fleet = location.founded(control)
    running = ask(fleet, Request(do="status"))
    if running is not None:
        _refuse_another_plan(fleet, running)
        raise refuse(
            "already_up", f"the fleet in {fleet.state} runs in the background already (pid {running.supervisor_pid})"
        )
    with the_only_one(fleet):
        _record(fleet, actor, foreground=True)
        prepare_servers(fleet)
        write_files(fleet)
        asyncio.run(_supervise(fleet, on_status))


def not_ready(status: FleetStatus) -> list[PartStatus]:
    """The parts and steps that are not ready."""
    waiting = [step for step in status.steps if step.phase is not Phase.DONE]
    return waiting + [part for part in status.parts if part.phase is not Phase.READY]


def _record(fleet: Fleet, actor: Actor, *, foreground: bool) -> None:
    regions = [region.name for region in fleet.topology.regions]
    kind = fleet.topology.control.kind.value
    record(FleetOperator(fleet=fleet, actor=actor), "up", regions=regions, control=kind, foreground=foreground)


def _refuse_another_plan(fleet: Fleet, status: FleetStatus) -> None:
    if status.stopping:
        raise refuse("stopping", f"the fleet in {fleet.state} is being stopped; try again when `down` has returned")
    if status.plan != plan_digest(fleet):
        raise refuse(
            "topology_changed",
            f"the fleet in {fleet.state} runs another topology than the file now says: `intelgraph down` first",
        )


async def _until_ready(
    fleet: Fleet, supervisor: subprocess.Popen[bytes] | None, timeout_s: float, on_status: OnStatus
) -> FleetStatus:
    deadline_s = time.monotonic() + timeout_s
    last: FleetStatus | None = None
    while time.monotonic() < deadline_s:
        status = await ask_async(fleet, Request(do="status"))
        if status is not None:
            last = status
            on_status(status)
            if status.ready:
                return status
            _stop_at_refusal(status)
        elif supervisor is None or supervisor.poll() is not None:
            code, reason = told_refusal(fleet)
            if code != "already_supervised" or supervisor is None:
                raise refuse(code, reason)
            if _nobody_supervises(fleet):  # else another `up` was faster: its supervisor will answer
                raise refuse(
                    "not_started",
                    f"the fleet in {fleet.state} is not started: it was just being stopped, or another `up` has "
                    "failed; `intelgraph up` again starts it",
                )
        await asyncio.sleep(_POLL_S)
    if last is None:
        raise refuse("not_ready", f"the supervisor has not answered for {timeout_s:g} s; its log is {log_path(fleet)}")
    waiting = [part.name for part in not_ready(last)]
    raise refuse(
        "not_ready",
        f"not all is ready after {timeout_s:g} s: {', '.join(waiting)}; "
        "the fleet goes on trying; `intelgraph status` and `intelgraph logs` tell more",
        parts=waiting,
    )


def _nobody_supervises(fleet: Fleet) -> bool:
    try:
        with the_only_one(fleet):
            return True
    except FileNotFoundError:  # it was deleted
        return True
    except IntelGraphError:
        return False


def _stop_at_refusal(status: FleetStatus) -> None:
    refused = [step for step in status.steps if step.phase is Phase.REFUSED]
    if refused:
        told = "; ".join(sorted(step.reason or step.name for step in refused))
        raise refuse("cannot_be_ready", told, parts=[step.name for step in refused])


async def _supervise(fleet: Fleet, on_status: OnStatus) -> None:
    supervisor = Supervisor(fleet, on_change=lambda: on_status(supervisor.status()))
    await supervisor.run()
