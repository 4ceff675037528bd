"""What must hold between a commit and the word "ok", as the door sees it.

Two ports: a ``RemoteWaiter`` says whether the placement's standby has flushed a write, a ``LeaseCheck`` whether this
region may still acknowledge it. Either of them saying no makes the answer ``unknown``, never ``ok`` and never an
error: the write is in the log.
"""

from __future__ import annotations

from typing import Protocol


class RemoteWaiter(Protocol):
    """Waits until a standby has flushed what this region's database wrote up to a position."""

    async def wait(self, standby: str, position: str, timeout_s: float) -> bool:
        """Say whether ``standby`` flushed, within ``timeout_s``, everything up to ``position`` (``16/B374D848``)."""
        ...


class LeaseCheck(Protocol):
    """The region's right to acknowledge, on the monotonic clock of this process."""

    def may_acknowledge(self, placement: str) -> bool:
        """Say whether a write of ``placement`` that has committed may be acknowledged now."""
        ...


class Unleased:
    """No leases yet: whoever holds the open epoch may acknowledge."""

    def may_acknowledge(self, placement: str) -> bool:
        """Always."""
        return True
