"""The agent's answers to the doors of its region: the grant, over a Unix socket that only this account may use.

One line of JSON each way. ``{"after": GENERATION}`` is answered as soon as there is another grant than that one, at the
latest after ``LONG_POLL_S``. ``remains_s`` counts from when the question came in, so whatever delays the answer only
shortens what the door may use of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from intelgraph.control.agent.leases.keeper import Grant
from intelgraph.control.agent.leases.steady import Clock
from intelgraph.model.errors import Denied

LONG_POLL_S = 2.0
LINE_BYTES_MAX = 16 * 1024 * 1024


class GrantAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A door's question; ``after``: the generation that it has, empty for none. ``wait``: for another than that."""

    after: str = ""
    wait: bool = True


class Bound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What limits a placement's writes although its lease lasts, as its standby stands.

    ``oldest_s``: how old the oldest write may be that the standby lacked when the agent answered; none: not known.
    ``refused_*``: its writes are refused, and why.
    """

    rpo_s_max: float
    oldest_s: float | None = None
    refused_code: str = ""
    refused_reason: str = ""


class GrantAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's answer; ``why``: what keeps the lease from being renewed now, if anything does.

    ``waited_s``: how long the answer was held back. ``bounds``: of the placements whose writes are limited.
    """

    generation: str
    remains_s: float
    epochs: dict[str, int]
    why: str | None
    waited_s: float = 0.0
    bounds: dict[str, Bound] = {}
    limits: dict[str, str] = {}
    """What the region serves less well than it should, by name: of its regions and codes, never a tenant's name."""
    passed_over: bool = False
    """Clients that may as well go to another region should."""
    clock_ahead_s: float | None = None
    """How far the region's wall clock is ahead of what most say; none: that cannot be told (``clock_quorum``)."""


class Granting(Protocol):
    """What the server needs of an agent."""

    clock: Clock
    grant: Grant | None
    not_renewed: Denied | None

    def bounds(self) -> Mapping[str, Bound]:
        """Return what limits writes now, by placement."""
        ...

    def limits(self) -> Mapping[str, str]:
        """Return what the region serves less well than it should, by name."""
        ...

    def is_passed_over(self) -> bool:
        """Say whether clients that may as well go to another region should."""
        ...

    def clock_ahead_s(self) -> float | None:
        """Return how far the wall clock here is ahead of what most say, if that can be told."""
        ...

    async def next_grant(self, after: str | None, timeout_s: float) -> None:
        """Return when there is another grant than ``after`` names, or after ``timeout_s``."""
        ...


async def serve_grants(agent: Granting, path: Path) -> None:
    """Answer doors until cancelled."""
    _remove(path)
    talking: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_converse(agent, reader, writer))
        talking.add(task)
        task.add_done_callback(talking.discard)

    before = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(begin, path=path, limit=LINE_BYTES_MAX)
    finally:
        os.umask(before)
    try:
        async with server:
            await server.serve_forever()
    finally:
        for task in talking:
            task.cancel()
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _converse(agent: Granting, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            received_s = agent.clock()
            asked = msgspec.json.decode(line, type=GrantAsked)
            writer.write(msgspec.json.encode(await answer(agent, asked, received_s)) + b"\n")
            await writer.drain()
    except (OSError, ValueError, msgspec.DecodeError):
        return  # the door is gone, or is none
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def answer(agent: Granting, asked: GrantAsked, received_s: float) -> GrantAnswer:
    """Answer one question that came in at ``received_s``, when there is another grant, or after ``LONG_POLL_S``."""
    if asked.wait:
        await agent.next_grant(asked.after, LONG_POLL_S)
    return _answer(agent, received_s)


def _answer(agent: Granting, received_s: float) -> GrantAnswer:
    why = agent.not_renewed.reason if agent.not_renewed is not None else None
    grant = agent.grant
    now_s = agent.clock()
    told = GrantAnswer(
        generation="",
        remains_s=0.0,
        epochs={},
        why=why,
        limits=dict(agent.limits()),
        passed_over=agent.is_passed_over(),
        clock_ahead_s=agent.clock_ahead_s(),
    )
    if grant is None:
        return told
    return msgspec.structs.replace(
        told,
        generation=grant.generation,
        remains_s=grant.until_s - received_s,
        epochs=dict(grant.epochs),
        waited_s=now_s - received_s,
        bounds=dict(agent.bounds()),
    )
