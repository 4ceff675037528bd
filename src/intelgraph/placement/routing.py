"""Where does a write go? A pure decision over the placement, this region, and whether the request has come a hop.

Only the home writes. Another allowed region forwards, once: a request that has hopped and does not find the home here
is refused with ``fenced`` rather than passed on, since two regions that disagree about the home would pass it between
them for ever. Whether the region may see the tenant at all was decided before (``residency``).
"""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Placement


@dataclass(frozen=True, kw_only=True)
class WriteHere:
    """This region is the home: append in ``epoch``."""

    epoch: int


@dataclass(frozen=True, kw_only=True)
class ForwardTo:
    """Another region is the home: send the request there, one hop."""

    home: str


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Nobody can take the write now; ``denied`` says why, and to come back."""

    denied: Denied


def route_write(*, region: str, placement: Placement, hopped: bool) -> WriteHere | ForwardTo | Hold:
    """Decide where a write of ``placement`` that has arrived in ``region`` goes."""
    if placement.home == region:
        return WriteHere(epoch=placement.epoch)
    if not hopped:
        return ForwardTo(home=placement.home)
    return Hold(
        denied=Denied(
            code="fenced",
            reason=f"the write is held: it was forwarded to {region}, but the home is {placement.home} "
            f"in epoch {placement.epoch}; a write is forwarded once at most",
            facts={"region": region, "home": placement.home, "epoch": placement.epoch},
        )
    )
