"""Asks a part whether it is ready. Answers yes or no within two seconds and raises nothing."""

from __future__ import annotations

import asyncio
import contextlib

from intelgraph.fleet import postgres
from intelgraph.fleet.parts import Part, Probe
from intelgraph.fleet.places import Fleet

_TIMEOUT_S = 2.0
_LIVES_AFTER_S = 0.5


async def is_ready(fleet: Fleet, part: Part, *, uptime_s: float) -> bool:
    """Whether the running process of ``part`` does its work."""
    if part.probe is Probe.LIVES:
        return uptime_s >= _LIVES_AFTER_S
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            if part.probe is Probe.POSTGRES:
                return part.region is not None and await postgres.answers(fleet.server(part.region))
            if part.probe is Probe.CONTROLLED:
                return await _accepts_unix(str(part.private_sockets[0]))
            return await _answers_http(part)
    except (OSError, TimeoutError, ValueError):
        return False


async def _accepts_unix(path: str) -> bool:
    _, writer = await asyncio.open_unix_connection(path)
    writer.close()
    return True


async def _answers_http(part: Part) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", part.ports[0])
    try:
        if part.probe is Probe.LISTENS:
            return True
        request = f"GET {part.probe_path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        status = (await reader.readline()).split()
        return len(status) >= 2 and status[1] == b"200"
    finally:
        with contextlib.suppress(OSError):
            writer.close()
