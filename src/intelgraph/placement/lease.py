"""Leases: how long a region may acknowledge writes, and when others may believe that it no longer does.

Pure arithmetic on readings of monotonic clocks, each reading of one process only: nothing here compares two clocks.
The argument why the holder always stops first is in ``docs/control.md``. Sending heartbeats, reading the store and
the door's questions do not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LeasePolicy:
    """How leases are timed; the same in every region."""

    renew_s: float = 1.0
    """Between two renewals: four may fail before the lease is over."""
    lease_s: float = 5.0
    drift_s: float = 0.25
    """What two clocks may differ by over one lease, and what the holder gives up on its side too."""
    look_gap_max_s: float = 1.0
    """At most so much of the time between two looks counts as seen."""

    def __post_init__(self) -> None:
        if not 0 < self.renew_s < self.lease_s - 2 * self.drift_s or self.drift_s <= 0:
            raise ValueError(f"a lease of {self.lease_s} s cannot be renewed every {self.renew_s} s")

    @property
    def over_after_s(self) -> float:
        """For how long a counter must have stood still before others believe that the lease is over."""
        return self.lease_s + self.drift_s


def granted_until(began_s: float, policy: LeasePolicy) -> float:
    """Until when the holder may acknowledge, after a renewal that began at ``began_s`` on its own clock."""
    return began_s + policy.lease_s - policy.drift_s


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A region's lease as one vantage point has seen it: its counter, the store's version of it, and stillness."""

    counter: int
    version: int
    still_s: float
    """For how long, counted in looks, the counter has not moved."""
    looked_s: float
    """When it was last looked at, on the watcher's clock."""


def look(before: Watched | None, *, counter: int, version: int, now_s: float, policy: LeasePolicy) -> Watched:
    """Take one successful look at the store into account; ``version`` is the key's version there."""
    if before is None or before.version != version or before.counter != counter:
        return Watched(counter=counter, version=version, still_s=0.0, looked_s=now_s)
    passed_s = min(max(now_s - before.looked_s, 0.0), policy.look_gap_max_s)
    return Watched(counter=counter, version=version, still_s=before.still_s + passed_s, looked_s=now_s)


def is_over(watched: Watched | None, policy: LeasePolicy) -> bool:
    """Say whether the holder has certainly stopped acknowledging; a lease never seen is not known to be over."""
    return watched is not None and watched.still_s >= policy.over_after_s
