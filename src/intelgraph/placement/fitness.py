"""Is a region fit to take part in a placement? The questions that failover, switchover and standby share.

Each answers with nothing, or with ``(code, fact, limit)`` for a sentence. Unknown is never fit.
"""

from __future__ import annotations

from typing import NamedTuple

from intelgraph.placement.lease import is_over
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import Copy, View


class Unfit(NamedTuple):
    """Why not: a code, the fact and the limit."""

    code: str
    fact: str
    limit: str


def vantage_points(view: View, region: str, policy: Policy) -> int:
    """Count who, ``here`` included, saw ``region``'s lease stand still in its present version until it was over."""
    lease = view.leases.get(region)
    if lease is None:
        return 0
    others = (seen.get(region) for name, seen in view.sightings.items() if name not in (region, view.here))
    seen_by = sum(
        one is not None and one.lease_version == lease.version and one.still_s >= policy.lease.over_after_s
        for one in others
    )
    return seen_by + is_over(lease, policy.lease)


def is_leased(view: View, region: str, policy: Policy) -> bool:
    """Say whether the region's lease is known, and not known to be over."""
    return region in view.leases and not is_over(view.leases[region], policy.lease)


def is_renewed(view: View, region: str, policy: Policy) -> bool:
    """Say whether the region's lease is known and renewed as it should be.

    A home whose own is not begins nothing: its database takes no commits (a full disk) or its agent reaches nobody, so
    it could not carry out a plan, and one that it had recorded would keep the standby from taking over.
    """
    lease = view.leases.get(region)
    return lease is not None and lease.still_s < policy.lease.lease_s / 2


def unfit(view: View, region: str, policy: Policy) -> Unfit | None:
    """Say why ``region`` may not be home or standby of the placement, whatever rows it holds."""
    allowed = view.placement.regions
    if region not in allowed:
        return Unfit(
            "region_not_allowed", f"{view.placement.id} may not live there", f"it may live in {', '.join(allowed)} only"
        )
    if region in view.drained:
        return Unfit("drained", "it is drained", "a drained region takes nothing over until it is resumed")
    if not is_leased(view, region, policy):
        return Unfit("not_leased", "it has no lease now", "only a region whose agent and database work takes part")
    return unfit_schema(view, region) or unfit_copy(view.copies.get(region))


def unfit_schema(view: View, region: str) -> Unfit | None:
    """Say why the region's schema keeps it from taking part: another than the home's, or unknown."""
    home, there = view.schemas.get(view.placement.home), view.schemas.get(region)
    if there is None or home is None:
        return Unfit(
            "schema_unknown",
            f"the schema of {region if there is None else view.placement.home} is not known",
            "both must be of one schema version",
        )
    if there != home:
        return Unfit(
            "schema_differs",
            f"its schema is {there[:12]}, that of {view.placement.home} is {home[:12]}",
            "both must be of one schema version",
        )
    return None


def unfit_copy(copy: Copy | None) -> Unfit | None:
    """Say why what a region holds cannot be relied on."""
    if copy is None:
        return Unfit("copy_unknown", "what it holds is not known", "it must have been reported lately")
    if copy.epoch < 1:
        return Unfit("unknown_placement", "no epoch of the placement has arrived there", "it must hold the placement")
    if copy.hold is not None:
        return Unfit("held", f"it is held: {copy.hold}", "a held region shows nothing and opens nothing")
    if copy.gap is not None:
        return Unfit("gap", f"rows may be missing there: {copy.gap}", "a region with a gap takes nothing over")
    return None


def unfit_writes(view: View, region: str) -> Unfit | None:
    """Say why ``region`` may not become the home now: writes do not get through there, or nobody knows."""
    path = view.writes.get(region)
    if path is None or not (path.is_known or path.is_broken):
        return Unfit("writes_unknown", "whether writes get through there is not known", "its agent must have probed it")
    if path.is_broken:
        fact = path.why.reason if path.why is not None else "writes fail there"
        return Unfit("writes_fail", fact, "a home's own writes get through")
    return None


def caught_up(view: View, region: str, policy: Policy) -> Unfit | None:
    """Say why ``region`` may not be named standby now: unfit, of an older epoch, or too far behind the home."""
    why = unfit(view, region, policy)
    if why is not None:
        return why
    copy = view.copies[region]
    if copy.epoch < view.placement.epoch or not copy.whole:
        return Unfit(
            "not_whole", f"it lacks rows that epoch {view.placement.epoch} stands on", "a standby holds them all"
        )
    return unfit_lag(copy, policy.caught_up_s_max)


def unfit_lag(copy: Copy, bound_s: float) -> Unfit | None:
    """Say why how far a copy is behind keeps it out: unknown, or beyond the bound."""
    if copy.behind_s is None:
        return Unfit("lag_unknown", "how far it is behind is not known", f"the bound is {bound_s:g} s")
    if copy.behind_s > bound_s:
        return Unfit("too_far_behind", f"it is {copy.behind_s:.0f} s behind", f"the bound is {bound_s:g} s")
    return None
