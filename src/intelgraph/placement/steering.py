"""Should clients that may as well go to another region do so? Pure; the region's ``/readyz`` tells the global edge.

The global edge sees a request's head and no tenant, so it chooses a region for everybody. A region is *passed over*
when it serves less than another would: its own writes fail, or it cannot hand writes on to homes that are alive, and
more placements have their home there than here. A region that is passed over goes on serving whoever comes, and
whoever has nowhere else to go: where all regions are passed over, none is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Placement
from intelgraph.placement.lease import Watched
from intelgraph.placement.policy import Policy
from intelgraph.placement.write_path import WritePath

UNREACHED_S = 3.0
"""By then the lease of a home that is gone has stood still for long enough to tell."""


def unreached_homes(
    here: str,
    placements: Iterable[Placement],
    *,
    leases: Mapping[str, Watched],
    unreached_s: Mapping[str, float],
    policy: Policy,
) -> dict[str, int]:
    """How many placements have their home in each region that is alive and has not answered this one for a while."""

    def is_cut_off(home: str) -> bool:
        lease = leases.get(home)
        alive = lease is not None and lease.still_s < policy.lease.lease_s / 2
        return home != here and alive and unreached_s.get(home, 0.0) >= UNREACHED_S

    found: dict[str, int] = {}
    for placement in placements:
        if here in placement.regions and is_cut_off(placement.home):
            found[placement.home] = found.get(placement.home, 0) + 1
    return found


def passed_over(path: WritePath | None, *, written_here: int, away: Mapping[str, int]) -> str | None:
    """Say why clients should go elsewhere; none if they are as well served here.

    ``written_here``: how many placements this region may acknowledge writes of; ``away``: see ``unreached_homes``.
    """
    if path is not None and path.is_broken:
        return path.why.reason if path.why is not None else "writes fail here"
    count = sum(away.values())
    if count <= written_here:
        return None
    return (
        f"writes cannot be handed on to {' and '.join(sorted(away))}, the home of more placements than are written here"
    )


def home_unreached(here: str, home: str, count: int, unreached_s: float) -> Denied:
    """The finding: writes that come in here for that home wait."""
    of = f"{count} placement{'' if count == 1 else 's'}"
    return Denied(
        code="home_unreached",
        reason=f"{here} has not reached {home}, the home of {of}, for {unreached_s:.0f} s, though {home} is alive: "
        f"writes of theirs that come in at {here} wait; look at the link between them (`intelgraph wan`)",
        facts={"about": home},
    )
