"""Relays bytes over a WAN link, each direction delayed or cut by itself.

Guarantees: bytes of a connection arrive in order and none is invented or dropped while both ends live; a delay does
not limit throughput (bytes wait in a queue with the time they are due); what waits is bounded, then the sender is made
to wait. A cut behaves as a lost route does: established connections fall silent, new ones open and hear nothing, and
what was on its way arrives after healing if both ends are still there.

What the directions do is `settings`; listening, control and persistence are `listener`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from typing import cast

from intelgraph.fleet.wan.settings import Cut, Direction

_WAITING_BYTES_MAX = 16 * 1024 * 1024
_WAITING_BYTES_MAX_CUT = 256 * 1024
_DIAL_TIMEOUT_S = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Way:
    """One direction of a link: what it does now, what passes through it, and how much has passed."""

    def __init__(self) -> None:
        self.now = Direction()
        self.bytes_passed = 0
        self.pipes: set[Pipe] = set()

    def become(self, direction: Direction) -> None:
        """Obey new settings at once, on connections that are open too."""
        self.now = direction
        for pipe in list(self.pipes):
            if direction.cut is Cut.RESET:
                pipe.connection.reset()
            else:
                pipe.pump()


class Pipe:
    """One direction of one connection: a queue of (due time, bytes), ``None`` for the end of the stream."""

    def __init__(self, way: Way, connection: Connection) -> None:
        self.way = way
        self.connection = connection
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.ended = False
        self._queue: deque[tuple[float, bytes | None]] = deque()
        self._waiting_bytes = 0
        self._last_due_s = 0.0
        self._sink_full = False
        self._source_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        way.pipes.add(self)

    def feed(self, data: bytes | None) -> None:
        """Take bytes from the source, or ``None`` when it has no more."""
        delay_s = self.way.now.delay_ms / 1000.0
        due_s = max(self._loop.time() + delay_s, self._last_due_s)
        self._last_due_s = due_s
        self._queue.append((due_s, data))
        self._waiting_bytes += len(data) if data else 0
        self.pump()

    def sink_is_full(self, full: bool) -> None:
        """The sink's own buffer has filled or drained."""
        self._sink_full = full
        if not full:
            self.pump()

    def pump(self) -> None:
        """Pass on what is due, then say whether the source may send more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        cut = self.way.now.cut is not Cut.NONE
        while self._queue and self.sink is not None and not cut and not self._sink_full:
            due_s, data = self._queue[0]
            if due_s > self._loop.time():
                self._timer = self._loop.call_at(due_s, self.pump)
                break
            self._queue.popleft()
            self._pass_on(data)
        limit = _WAITING_BYTES_MAX_CUT if cut else _WAITING_BYTES_MAX
        self._hold_source(self._waiting_bytes > limit)

    def discard(self) -> None:
        """Nobody is left to pass anything to."""
        self.ended = True
        self._queue.clear()
        self._waiting_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.way.pipes.discard(self)

    def _pass_on(self, data: bytes | None) -> None:
        sink = self.sink
        if sink is None or sink.is_closing():
            return
        if data is not None:
            self._waiting_bytes -= len(data)
            self.way.bytes_passed += len(data)
            sink.write(data)
            return
        self.ended = True
        self.way.pipes.discard(self)
        with contextlib.suppress(OSError, RuntimeError):
            sink.write_eof()
        self.connection.an_end_was_passed_on()

    def _hold_source(self, hold: bool) -> None:
        if self.source is None or hold == self._source_paused or self.source.is_closing():
            return
        self._source_paused = hold
        if hold:
            self.source.pause_reading()
        else:
            self.source.resume_reading()


class End(asyncio.Protocol):
    """One end of a connection: feeds ``outgoing`` and is the sink of ``incoming``."""

    def __init__(self, connection: Connection, outgoing: Pipe, incoming: Pipe) -> None:
        self._connection = connection
        self._outgoing = outgoing
        self._incoming = incoming

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # a stream's; uvloop's are not of that class
        channel = transport.get_extra_info("socket")
        if channel is not None:
            channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._outgoing.source = transport
        self._incoming.sink = transport
        if self._connection.is_refused:
            self._connection.reset()
        else:
            self._incoming.pump()

    def data_received(self, data: bytes) -> None:
        self._outgoing.feed(data)

    def eof_received(self) -> bool:
        self._outgoing.feed(None)
        return True

    def pause_writing(self) -> None:
        self._incoming.sink_is_full(True)

    def resume_writing(self) -> None:
        self._incoming.sink_is_full(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._incoming.discard()
        self._outgoing.source = None
        if not self._outgoing.ended:
            self._outgoing.feed(None)
        self._connection.an_end_was_lost()


class Connection:
    """A client at one region, dialled through to a server at another once both directions let it through."""

    def __init__(self, there: Way, back: Way, target_port: int) -> None:
        self._there_way, self._back_way = there, back
        self._target_port = target_port
        self.there = Pipe(there, self)
        self.back = Pipe(back, self)
        self._dialling: asyncio.Task[None] | None = None

    @property
    def is_refused(self) -> bool:
        """Whether a direction refuses connections now."""
        return Cut.RESET in (self._there_way.now.cut, self._back_way.now.cut)

    def client(self) -> End:
        """The protocol of the accepted side."""
        if not self.is_refused:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
        return End(self, outgoing=self.there, incoming=self.back)

    def reset(self) -> None:
        """End both sides at once, without what is still waiting."""
        if self._dialling is not None:
            self._dialling.cancel()
        for transport in (self.there.source, self.back.source, self.there.sink, self.back.sink):
            if transport is None or transport.is_closing():
                continue
            channel = transport.get_extra_info("socket")
            if channel is not None:
                with contextlib.suppress(OSError):
                    channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        self.there.discard()
        self.back.discard()

    def an_end_was_passed_on(self) -> None:
        """A direction is over; when both are, or the side it came from is gone, nothing keeps the sides open."""
        if self.there.ended and (self.back.ended or self.there.source is None):
            self._close(self.there.sink, self.back.sink)
        elif self.back.ended and self.back.source is None:
            self._close(self.back.sink, None)

    def an_end_was_lost(self) -> None:
        """A side has gone: what it sent is still delivered, then the other side is closed."""
        if self.there.source is None and self.there.sink is None:  # the client left before anyone was dialled
            if self._dialling is not None:
                self._dialling.cancel()
            self.there.discard()
            self.back.discard()
            return
        self.an_end_was_passed_on()

    def _close(self, *transports: asyncio.Transport | None) -> None:
        for transport in transports:
            if transport is not None and not transport.is_closing():
                transport.close()

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        # A connection is a round trip: it opens only while both directions let bytes through.
        while Cut.SILENT in (self._there_way.now.cut, self._back_way.now.cut):  # noqa: ASYNC110 - rare, and simple
            await asyncio.sleep(0.05)
        round_trip_s = (self._there_way.now.delay_ms + self._back_way.now.delay_ms) / 1000.0
        if round_trip_s:
            await asyncio.sleep(round_trip_s)
        try:
            await asyncio.wait_for(
                loop.create_connection(
                    lambda: End(self, outgoing=self.back, incoming=self.there), "127.0.0.1", self._target_port
                ),
                _DIAL_TIMEOUT_S,
            )
        except (OSError, TimeoutError):
            self.reset()
