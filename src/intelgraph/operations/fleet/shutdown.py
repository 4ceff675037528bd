"""Bringing a fleet down: every part is stopped, with or without its supervisor; on demand its state is deleted.

Who asks is recorded before anything is stopped. The record is the fleet's own: a fleet that is deleted takes it along,
and no line of it stays anywhere else. It is deleted last (``wipe``), so a deletion that was refused, or did not end, is
told by the line that stands there. Where no fleet was ever brought up nothing is done, and nothing is recorded.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from intelgraph.fleet.layout.places import Fleet, check_may_be_wiped
from intelgraph.fleet.supervisor.status import Request
from intelgraph.fleet.supervisor.supervision import ask_async, log_path, stop_without_supervisor, the_only_one
from intelgraph.fleet.supervisor.supervision import wipe as delete_state
from intelgraph.model.actor import Actor
from intelgraph.model.errors import IntelGraphError, refuse
from intelgraph.operations.fleet.location import FleetLocation, FleetOperator
from intelgraph.operations.record import record

TIMEOUT_S = 60.0
_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class BroughtDown:
    """A fleet that does not run. ``stopped``: how many parts did; ``wiped``: whether ``state`` is deleted."""

    state: Path
    stopped: int
    wiped: bool


def state_to_wipe(location: FleetLocation) -> Path | None:
    """The state directory that a wipe would delete, none where there is none; refused if it is not this fleet's."""
    state = location.recorded().state
    if not state.exists():
        return None
    check_may_be_wiped(location.file, start=location.start)
    return state


async def bring_down(
    location: FleetLocation, actor: Actor, *, wipe: bool = False, timeout_s: float = TIMEOUT_S
) -> BroughtDown:
    """Stop a fleet within ``timeout_s``; ``wipe``: delete its data, logs, keys and its operators' record too."""
    fleet = location.recorded()
    wipe = wipe and state_to_wipe(location) is not None
    stopped = 0
    if fleet.id:
        record(FleetOperator(fleet=fleet, actor=actor), "down", wipe=wipe)
        stopped = await _stop(fleet, timeout_s, wipe=wipe)
    return BroughtDown(state=fleet.state, stopped=stopped, wiped=wipe)


async def _stop(fleet: Fleet, timeout_s: float, *, wipe: bool) -> int:
    """Stop it, and delete it while nobody else can start it."""
    deadline_s = time.monotonic() + timeout_s
    status = await ask_async(fleet, Request(do="stop"))
    count = sum(1 for part in status.parts if part.pid) if status else 0
    while time.monotonic() < deadline_s:
        try:
            with the_only_one(fleet):
                count += await stop_without_supervisor(fleet)
                if wipe:
                    await asyncio.to_thread(delete_state, fleet)
                return count
        except IntelGraphError as error:
            if error.denied.code != "already_supervised":
                raise
            await ask_async(fleet, Request(do="stop"))  # it may not have listened yet the first time
        await asyncio.sleep(_POLL_S)
    raise refuse(
        "not_stopped", f"the fleet has not stopped within {timeout_s:g} s; the supervisor's log is {log_path(fleet)}"
    )
