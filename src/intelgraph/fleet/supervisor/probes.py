"""Asks a part whether it does its work. Answers with why not, in bounded time, and raises nothing.

That a port or a socket accepts proves nothing: the system accepts for a process that is stopped. So each part is asked
something that it must answer itself, and its processes are looked at: one that is stopped is found at the next look.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import psutil

from intelgraph.fleet.composition.parts import Part, Probe
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.postgres import server as postgres
from intelgraph.fleet.postgres.server import server_of

_TIMEOUT_S = 1.5
_LIVES_AFTER_S = 0.5
_SILENT = "it runs and does not answer"


async def why_not_ready(fleet: Fleet, part: Part, *, pid: int, uptime_s: float) -> str | None:
    """Why the running process of ``part`` does not do its work; none if it does."""
    stopped = stopped_process(pid)
    if stopped is not None:
        return f"process {stopped} is stopped (SIGSTOP, or a debugger)"
    if part.probe is Probe.LIVES:
        return None if uptime_s >= _LIVES_AFTER_S else "it has just been started"
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            answers = await _answers(fleet, part)
    except (OSError, TimeoutError, ValueError):
        return _SILENT
    return None if answers else _SILENT


def stopped_process(pid: int) -> int | None:
    """The first of a process and its children that is stopped where it is; none if none is."""
    return next((each for each in (pid, *_children(pid)) if _is_stopped(each)), None)


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False


def _children(pid: int) -> list[int]:
    """The processes that it started, where the system lists them cheaply."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except (OSError, ValueError):
        return []


async def _answers(fleet: Fleet, part: Part) -> bool:
    match part.probe:
        case Probe.POSTGRES:
            return part.region is not None and await postgres.answers(server_of(fleet, part.region))
        case Probe.CONTROLLED:
            return await _answers_line(str(part.private_sockets[0]), part.question)
        case Probe.ADMIN:
            return await _answers_http(*await asyncio.open_unix_connection(str(part.private_sockets[0])), part)
        case _:
            streams = await asyncio.open_connection("127.0.0.1", part.ports[0])
            if part.probe is Probe.LISTENS:
                streams[1].close()
                return True
            return await _answers_http(*streams, part)


async def _answers_line(path: str, question: bytes) -> bool:
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 24)
    try:
        writer.write(question + b"\n")
        return (await reader.readline()).endswith(b"\n")
    finally:
        writer.close()


async def _answers_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, part: Part) -> bool:
    try:
        request = f"GET {part.probe_path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        status = (await reader.readline()).split()
        return len(status) >= 2 and status[1] == b"200"
    finally:
        with contextlib.suppress(OSError):
            writer.close()
