"""A clock that stands until a test sets it."""

from __future__ import annotations


class Clock:
    """Seconds since anything: ``now_s`` is what it shows."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s
