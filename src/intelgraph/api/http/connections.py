"""All connections of one worker: how many there may be, what their answers share, and how they end when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from intelgraph.api.http.connection import Connection
from intelgraph.api.http.heads import Heads
from intelgraph.api.http.policy import HttpPolicy
from intelgraph.api.http.request import Request, RequestIds
from intelgraph.api.http.response import Header

_SWEEP_S = 1.0
_ON_ITS_WAY_S = 0.02
"""A request that was sent before this end stops is answered, not reset."""

Serve = Callable[[Connection, Request], Coroutine[Any, Any, None]]


class Connections:
    """All connections of one worker, and what their answers share. ``serve`` answers one request.

    ``on_sweep`` hears every second how many connections there are, and how many were refused since the last time.
    """

    def __init__(
        self,
        serve: Serve,
        every: list[Header],
        *,
        policy: HttpPolicy,
        on_sweep: Callable[[int, int], None] = lambda _open, _refused: None,
    ) -> None:
        self.serve = serve
        self.policy = policy
        self.stopping = False
        self.last_answers = False
        """The worker is about to stop: an answer from now on is its connection's last."""
        self.open: set[Connection] = set()
        """Also those whose client has gone while an answer was made."""
        self.loop = asyncio.get_running_loop()
        self.heads = Heads(every)
        self.ids = RequestIds()
        self._refused = 0
        self._on_sweep = on_sweep
        self._sweep()

    def make(self) -> Connection:
        """Make the protocol of a connection that was accepted."""
        return Connection(self)

    def admit(self, connection: Connection) -> bool:
        """Count a connection in, unless it is one too many."""
        if len(self.open) >= self.policy.connections_max or self.stopping:
            self._refused += 1
            return False
        self.open.add(connection)
        return True

    async def stop(self, within_s: float) -> None:
        """End the connections: idle ones now, the others once their answers are taken, all after ``within_s``."""
        self.stopping = self.last_answers = True
        await asyncio.sleep(_ON_ITS_WAY_S)
        for connection in list(self.open):
            connection.end_when_idle()
        tasks = [connection.task for connection in self.open if connection.task is not None]
        until = self.loop.time() + within_s
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)
        while self.loop.time() < until and any(connection.owes for connection in self.open):  # noqa: ASYNC110
            await asyncio.sleep(_ON_ITS_WAY_S)
        for connection in list(self.open):
            connection.abort()

    def _sweep(self) -> None:
        self.heads.stamp()
        now = self.loop.time()
        for connection in list(self.open):
            connection.look(now)
        self._on_sweep(len(self.open), self._refused)
        self._refused = 0
        self.loop.call_later(_SWEEP_S, self._sweep)
