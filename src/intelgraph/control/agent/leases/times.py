"""How leases are timed in a fleet, from its settings: for its agents, and for commands that decide as they would."""

from __future__ import annotations

from intelgraph.placement.lease import LeasePolicy
from intelgraph.settings import LeaseTimes


def lease_policy(times: LeaseTimes) -> LeasePolicy:
    """Return how leases are timed, as arithmetic uses it; refuses times by which no lease could be kept."""
    return LeasePolicy(
        renew_s=times.renew_s,
        lease_s=times.lease_s,
        drift_s=times.drift_s,
        look_gap_max_s=times.look_gap_max_s,
    )
