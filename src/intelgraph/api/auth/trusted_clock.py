"""The time of day by which a worker judges tokens: one that a step of the machine's wall clock does not move at once.

It goes on by the time since boot. The region's agent says with each grant how far the wall clock here is ahead of what
most observers say; what follows from that is believed at once if it is near, and after ``BELIEVED_AFTER_S`` if it
is not, so that a clock that was just set is not believed before it has been compared. Without a majority nothing
changes. Where there is no agent, the machine's wall clock is all there is.
"""

from __future__ import annotations

from collections.abc import Callable

NEAR_S = 2.0
BELIEVED_AFTER_S = 5.0


class TrustedClock:
    """One worker's time of day (Unix). ``compared``: whether somebody will compare the clock (``compare``)."""

    def __init__(self, *, wall: Callable[[], float], monotonic: Callable[[], float], compared: bool) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._compared = compared
        self._anchor_s = wall() - monotonic()
        self._doubted_since_s: float | None = None

    def now_s(self) -> float:
        """Return what time it is."""
        return self._anchor_s + self._monotonic() if self._compared else self._wall()

    def compare(self, ahead_s: float | None) -> None:
        """Take what the agent says of the machine's wall clock: how far it is ahead; none: it cannot be compared."""
        if ahead_s is None:
            self._doubted_since_s = None
            return
        now_s = self._monotonic()
        anchor_s = self._wall() - ahead_s - now_s
        if abs(anchor_s - self._anchor_s) > NEAR_S:
            if self._doubted_since_s is None:
                self._doubted_since_s = now_s
            if now_s - self._doubted_since_s < BELIEVED_AFTER_S:
                return
        self._anchor_s, self._doubted_since_s = anchor_s, None
