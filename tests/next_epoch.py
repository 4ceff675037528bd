"""A placement's next epoch, as tests that have no agent raise it."""

from __future__ import annotations

from intelgraph.model.placement import Placement
from intelgraph.placement.membership import rearranged


def moved(placement: Placement, home: str) -> Placement:
    """The placement with ``home`` writing; the old home is the standby if the new one was it."""
    following = rearranged(placement, home=home, standby=None, regions=None)
    assert isinstance(following, Placement), following
    return following
