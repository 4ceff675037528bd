"""Keeps background loops alive: a loop that fails is reported and started again after a pause.

A failure is reported when its kind changes, and again after ``REPEAT_S`` while the kind stays the same: a log says
that something is still wrong, and is not filled by a database that is away for an hour. A loop that never returns
calls ``works`` after each round; the first such call after a failure is reported as a recovery.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

REPEAT_S = 60.0
"""How long a failure of one kind is not reported again."""

Loop = Callable[[], Awaitable[None]]


def ignore_recovery(_loop: str) -> None:
    """Report no recovery."""


@dataclass(frozen=True, kw_only=True)
class _Reported:
    kind: str
    at_s: float


class Loops:
    """The loops of one process.

    ``on_failure(loop, error)`` and ``on_recovery(loop)`` report; ``kind`` says which failures are the same one.
    """

    def __init__(
        self,
        *,
        retry_s: float,
        on_failure: Callable[[str, Exception], None],
        on_recovery: Callable[[str], None] = ignore_recovery,
        kind: Callable[[Exception], str] = lambda error: type(error).__name__,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retry_s = retry_s
        self._on_failure = on_failure
        self._on_recovery = on_recovery
        self._kind = kind
        self._clock = clock
        self._reported: dict[str, _Reported] = {}

    async def keep(self, name: str, loop: Loop) -> NoReturn:
        """Run ``loop`` until cancelled; it is started again ``retry_s`` after it returned or raised."""
        while True:
            try:
                await loop()
                self.works(name)
            except Exception as error:
                self._report(name, error)
            await asyncio.sleep(self._retry_s)

    def works(self, name: str) -> None:
        """Say that a round of the loop went well."""
        if self._reported.pop(name, None) is not None:
            self._on_recovery(name)

    def _report(self, name: str, error: Exception) -> None:
        kind, now_s = self._kind(error), self._clock()
        last = self._reported.get(name)
        if last is None or last.kind != kind or now_s - last.at_s >= REPEAT_S:
            self._reported[name] = _Reported(kind=kind, at_s=now_s)
            self._on_failure(name, error)
