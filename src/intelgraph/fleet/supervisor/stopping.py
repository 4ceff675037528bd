"""Ends parts: asked first, then told, then killed, each within a bound, and nothing of theirs is left."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping

from intelgraph.fleet.composition.parts import Kind
from intelgraph.fleet.supervisor.process import Running, end_leftovers
from intelgraph.fleet.supervisor.stop_order import kind_of, patience_s, stop_levels

TOLD_S = 3.0
KILLED_S = 5.0
_LEFT_S = 0.5


async def stop_part(name: str, running: Running) -> None:
    """End one part's process; what it started and left is the caller's to end."""
    is_postgres = kind_of(name) is Kind.POSTGRES
    gentle = signal.SIGINT if is_postgres else signal.SIGTERM
    harder = signal.SIGQUIT if is_postgres else signal.SIGKILL
    for number, bound_s in ((gentle, patience_s(name)), (harder, TOLD_S), (signal.SIGKILL, KILLED_S)):
        running.send(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(running.wait(), bound_s)
            break


async def stop_parts(marks: Mapping[str, str], running: Mapping[str, Running]) -> None:
    """End the parts that ``marks`` names in the reverse of the order in which they depend on each other."""
    for level in stop_levels(marks):
        await asyncio.gather(*(stop_part(name, running[name]) for name in level if name in running))
        await end_leftovers(*(marks[name] for name in level), patience_s=_LEFT_S)
