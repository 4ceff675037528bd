"""Parts of a running fleet: ending one in an orderly way and starting it again, losing one on purpose, ending the loss.

``part`` is a part's name, or a region's for every part of it. Who asks is recorded before the supervisor is asked.
"""

from __future__ import annotations

import asyncio
import time

from intelgraph.fleet.composition.parts import Kind
from intelgraph.fleet.supervisor.serving import why_not_ready
from intelgraph.fleet.supervisor.status import FleetStatus, PartStatus, Phase, Request
from intelgraph.fleet.supervisor.supervision import ask_async
from intelgraph.model.errors import PermanentError, refuse
from intelgraph.operations.fleet.location import FleetOperator
from intelgraph.operations.record import record

READY_WITHIN_S = 30.0
_POLL_S = 0.1


async def restart_part(operator: FleetOperator, part: str, *, timeout_s: float = READY_WITHIN_S) -> list[PartStatus]:
    """Restart and wait until each API of it says that it can serve; ``not_ready`` with its reasons if it does not."""
    record(operator, "restart", part=part)
    status = await _restarted(operator, part, timeout_s)
    if status is None:
        raise refuse("not_supervised", f"{part} is not restarted: no supervisor runs; `intelgraph up` starts one")
    restarted = _of(status, part)
    await _until_serving([each for each in restarted if each.kind == Kind.API.value], timeout_s)
    return restarted


async def stop_part(operator: FleetOperator, part: str, *, for_s: float | None = None) -> list[PartStatus]:
    """Kill at once, as a loss would; nothing of it is started until ``start_part``, or until ``for_s`` are over."""
    record(operator, "fault stop", part=part, for_s=for_s)
    return await _ask(operator, Request(do="hold", part=part, for_s=for_s))


async def start_part(operator: FleetOperator, part: str) -> list[PartStatus]:
    """Let it be started again."""
    record(operator, "fault start", part=part)
    return await _ask(operator, Request(do="release", part=part))


async def _restarted(operator: FleetOperator, part: str, timeout_s: float) -> FleetStatus | None:
    """Ask for it; the supervisor answers when all of it is ready, and goes on when nobody waits for that any more."""
    try:
        return await ask_async(operator.fleet, Request(do="restart", part=part), within_s=timeout_s)
    except PermanentError as error:
        if error.denied.code != "supervisor_silent":
            raise
    status = await ask_async(operator.fleet, Request(do="status"))
    waiting = [] if status is None else [each for each in _of(status, part) if each.phase is not Phase.READY]
    if waiting:
        phases = ((f"{each.name} is {each.phase.value}", each.reason) for each in waiting)
        told = "; ".join(f"{phase} ({reason})" if reason else phase for phase, reason in phases)
        raise refuse(
            "not_ready", f"{part} is not ready after {timeout_s:g} s: {told}; it goes on trying", part=waiting[0].name
        )
    return status


async def _ask(operator: FleetOperator, request: Request) -> list[PartStatus]:
    status = await ask_async(operator.fleet, request)
    if status is None:
        raise refuse("not_supervised", "the fault is refused: no supervisor runs; `intelgraph up` starts one")
    return _of(status, str(request.part))


def _of(status: FleetStatus, part: str) -> list[PartStatus]:
    return [each for each in status.parts if part in (each.name, each.region)]


async def _until_serving(apis: list[PartStatus], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    for api in apis:
        while (why := await asyncio.to_thread(why_not_ready, api.ports[0])) is not None:
            if time.monotonic() >= deadline_s:
                raise refuse(
                    "not_ready",
                    f"{api.name} is restarted and cannot serve after {timeout_s:g} s: {why}; it goes on trying",
                    part=api.name,
                )
            await asyncio.sleep(_POLL_S)
