"""Ends parts: asked first, then told, then killed, each within a bound, and nothing of theirs is left."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping, Sequence

from intelgraph.fleet.parts import Kind, Part, stop_levels
from intelgraph.fleet.process import Running, end_leftovers

_TOLD_S = 3.0
_KILLED_S = 5.0
_LEFT_S = 0.5


async def stop_part(part: Part, running: Running) -> None:
    """End one part's process; what it started and left is the caller's to end."""
    gentle = signal.SIGINT if part.kind is Kind.POSTGRES else signal.SIGTERM
    harder = signal.SIGQUIT if part.kind is Kind.POSTGRES else signal.SIGKILL
    for number, patience_s in ((gentle, part.stop_s), (harder, _TOLD_S), (signal.SIGKILL, _KILLED_S)):
        running.send(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(running.wait(), patience_s)
            break


async def stop_parts(parts: Sequence[Part], running: Mapping[str, Running], marks: Mapping[str, str]) -> None:
    """End parts in the reverse of the order in which they depend on each other."""
    for level in stop_levels(parts):
        await asyncio.gather(*(stop_part(part, running[part.name]) for part in level if part.name in running))
        await end_leftovers(*(marks[part.name] for part in level), patience_s=_LEFT_S)
