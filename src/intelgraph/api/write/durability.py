"""What must hold between a commit and the word "ok", as the API sees it.

Two ports: a ``RemoteWaiter`` says whether the placement's standby has flushed a write, a ``LeaseCheck`` whether this
region may still acknowledge it. Either of them saying no makes the answer ``unknown``, never ``ok`` and never an
error: the write is in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Placement


class RemoteWaiter(Protocol):
    """Waits until a standby has flushed what this region's database wrote up to a position."""

    async def wait(self, standby: str, position: str, timeout_s: float) -> bool:
        """Say whether ``standby`` flushed, within ``timeout_s``, everything up to ``position`` (``16/B374D848``)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Granted:
    """A write may be appended in this epoch, after ``delay_s``; whether it may be acknowledged is asked again then."""

    epoch: int
    delay_s: float = 0.0
    """The standby falls behind: each write waits a little, so that it can catch up."""


class LeaseCheck(Protocol):
    """The region's right to acknowledge, on the monotonic clock of this process."""

    def grant_for(self, placement: Placement) -> Granted | Denied:
        """Say whether a write of ``placement`` may be appended now, or why it must be held."""
        ...

    def may_acknowledge(self, placement: str, epoch: int) -> bool:
        """Say whether a write of ``placement`` that has committed in ``epoch`` may be acknowledged now."""
        ...

    def over_for_s(self, placement: str) -> float | None:
        """Return for how long others may have been acknowledging writes of ``placement``; ``None``: it is not known."""
        ...

    def remains_s(self) -> float:
        """Return for how much longer it lasts if nothing is heard."""
        ...

    def silent_s(self) -> float:
        """Return for how long whoever grants has not answered."""
        ...

    def limits(self) -> Mapping[str, str]:
        """Return what the region serves less well than it should, as its agent knows, by name; never a tenant's."""
        ...

    def is_passed_over(self) -> bool:
        """Whether clients that may as well go elsewhere should: writes fail here, or cannot be handed on."""
        ...


class Unleased:
    """No leases: a region whose settings name no agent. The open epoch decides, and the directory must be current."""

    def __init__(self, why_directory_old: Callable[[], str | None]) -> None:
        self._why_directory_old = why_directory_old

    def grant_for(self, placement: Placement) -> Granted | Denied:
        """Yes, unless the placement may have moved unseen."""
        why = self._why_directory_old()
        if why is not None:
            return Denied(code="directory_unreadable", reason=f"the write is held: {why}")
        return Granted(epoch=placement.epoch)

    def may_acknowledge(self, placement: str, epoch: int) -> bool:
        """Always."""
        return True

    def over_for_s(self, placement: str) -> float | None:
        """Not at all: the open epoch alone decides."""
        return 0.0

    def remains_s(self) -> float:
        """Without end."""
        return float("inf")

    def silent_s(self) -> float:
        """Nobody has to answer."""
        return 0.0

    def limits(self) -> Mapping[str, str]:
        """None are known."""
        return {}

    def is_passed_over(self) -> bool:
        """Nobody says so."""
        return False
