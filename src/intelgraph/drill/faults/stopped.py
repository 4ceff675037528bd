"""Processes that are stopped where they are (SIGSTOP) and later go on: what a pause and a part that hangs share."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from intelgraph.drill.faults.processes import is_stopped, within
from intelgraph.fleet.supervisor.process import Identity, look
from intelgraph.model.errors import refuse

_STOPPED_WITHIN_S = 5.0
_STATE_S = 0.02

Find = Callable[[], list[Identity]]


def stop(find: Find, what: str) -> int:
    """Stop, parents first, until a look finds nothing that is not stopped: what was started meanwhile too."""
    until_s = time.monotonic() + _STOPPED_WITHIN_S
    while running := [each for each in find() if not is_stopped(each)]:
        if time.monotonic() >= until_s:
            commands = ", ".join(f"{each.pid} {each.command[:1]}" for each in running[:5])
            raise refuse("fault_not_injected", f"{what} is not stopped: {commands} still run")
        for each in running:
            _send(each, signal.SIGSTOP)
        time.sleep(_STATE_S)
    count = len(find())
    if not count:
        raise refuse("fault_not_injected", f"{what} is not stopped: it has no process")
    return count


def go_on(find: Find, what: str) -> int:
    """Let everything go on, children first: the last to wake are those that answer others."""

    def stopped() -> list[Identity]:
        return [each for each in find() if is_stopped(each)]

    found = find()
    for each in reversed(found):
        _send(each, signal.SIGCONT)
    if not within(_STOPPED_WITHIN_S, lambda: not stopped()):
        raise refuse("fault_not_healed", f"{len(stopped())} processes of {what} are still stopped")
    return len(found)


def _send(identity: Identity, number: signal.Signals) -> None:
    """Signal that process and no other that has got its number since."""
    now = look(identity.pid)
    if now is not None and now.birth == identity.birth:
        with suppress(ProcessLookupError):
            os.kill(identity.pid, number)
