"""An API worker's log: one JSON object a line on standard output.

RESIDENCY: a line holds the request's id, its route's template, status, code and duration. No payload, no id, no path,
no query, no tenant, not even a hash of one: a refused request may belong to a tenant whose data must not be here.

Lines are gathered and written at most ``FLUSH_S`` later in one piece, so that logging costs a request microseconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import traceback
from typing import BinaryIO

import orjson
from cachetools import FIFOCache

FLUSH_S = 0.2
_PENDING_BYTES_MAX = 65_536
_SAME_KEPT_MAX = 1_000


class Log:
    """Gathers lines and writes them. ``facts`` are the members that every line has."""

    def __init__(self, *, facts: dict[str, str | int], sink: BinaryIO | None = None) -> None:
        self._facts = facts
        self._sink = sink
        self._pending: list[bytes] = []
        self._size = 0
        self._flushing: asyncio.TimerHandle | None = None
        self._second = -1
        self._stamp = ""
        """The text of ``_second``: it is the same for every line of it."""
        self._same: FIFOCache[tuple[str, str, int, str | None], bytes] = FIFOCache(_SAME_KEPT_MAX)
        """The members that every line about answers of a kind has."""

    def write(self, event: str, **members: object) -> None:
        """Add one line."""
        told = {"at": self._now(), "event": event, **self._facts, **members}
        self._add(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))

    def request(self, answer: tuple[str, str, int, str | None], id_: bytes, seconds: float) -> None:
        """Add the line of an answered request: its method, route, status and code, its id and how long it took."""
        try:
            same = self._same[answer]
        except KeyError:
            method, route, status, code = answer
            told = {"event": "request", **self._facts, "method": method, "route": route, "status": status, "code": code}
            same = self._same[answer] = orjson.dumps(told)[1:-1]
        at = self._now().encode()
        self._add(b'{"at":"%b",%b,"request_id":"%b","ms":%.2f}\n' % (at, same, id_, seconds * 1000))

    def _now(self) -> str:
        at = time.time()
        second = int(at)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((at - second) * 1e6):06d}Z"

    def _add(self, line: bytes) -> None:
        self._pending.append(line)
        self._size += len(line)
        if self._size >= _PENDING_BYTES_MAX:
            self.flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def failure(self, event: str, error: BaseException, **members: object) -> None:
        """Add one line about a failure of ours: its type and its place, never its message, which may quote data."""
        frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        self.write(event, error=type(error).__name__, frames=frames[-8:], **members)

    def flush(self) -> None:
        """Write what was gathered."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if not self._pending:
            return
        text = b"".join(self._pending)
        self._pending, self._size = [], 0
        if self._sink is not None:
            self._sink.write(text)
            return
        try:
            os.write(sys.stdout.fileno(), text)
        except OSError:
            # A full disk or a closed pipe must not fail requests.
            return
