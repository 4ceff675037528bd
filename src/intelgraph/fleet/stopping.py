"""Ends parts: asked first, then told, then killed, each within a bound, and nothing of theirs is left."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping, Sequence

from intelgraph.fleet.parts import Kind, Part, stop_levels
from intelgraph.fleet.process import Running, end_leftovers, marked

_TOLD_S = 3.0
_KILLED_S = 5.0


async def stop_part(part: Part, running: Running, *, mark: str) -> None:
    """End one part and whatever it started."""
    gentle = signal.SIGINT if part.kind is Kind.POSTGRES else signal.SIGTERM
    harder = signal.SIGQUIT if part.kind is Kind.POSTGRES else signal.SIGKILL
    for number, patience_s in ((gentle, part.stop_s), (harder, _TOLD_S), (signal.SIGKILL, _KILLED_S)):
        running.send(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(running.wait(), patience_s)
            break
    await end_leftovers(mark, patience_s=0.5)


async def stop_parts(parts: Sequence[Part], running: Mapping[str, Running], marks: Mapping[str, str]) -> None:
    """End parts in the reverse of the order in which they depend on each other."""
    for level in stop_levels(parts):
        await asyncio.gather(
            *(stop_part(part, running[part.name], mark=marks[part.name]) for part in level if part.name in running)
        )
    for part in parts:
        if marked(marks[part.name]):
            await end_leftovers(marks[part.name], patience_s=0.0)
