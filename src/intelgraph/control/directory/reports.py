"""Reports: what one vantage point (a region's agent, or the witness) tells the others that it sees, in ``reports/V``.

A report is believed for as long as it is young *here*: ages are measured from when its version changed on the
reader's own clock, never from anything it says about time. Nothing of a tenant is ever in it. What is done with what
is seen does not belong here (``placement.failover``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from intelgraph.model.errors import Denied, refuse
from intelgraph.placement.view import Copy
from intelgraph.placement.write_path import WritePath

REPORTS = "reports/"
WITNESS = "witness"


class LeaseSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One region's lease as the vantage point watches it; ``reached``: did the region itself answer when asked."""

    counter: int
    version: int
    still_s: float
    reached: bool = False


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is particular to one placement in a database: little, since it is told every second for each of them."""

    epoch: int
    hold: str | None = None
    gap: str | None = None
    whole: bool = False
    closed: bool = False
    gathered: dict[str, int] = {}
    """Per stream, up to where the survivors' rows are here, where that is beyond what has settled."""
    behind_s: float | None = None

    def copy(self, of: Holding) -> Copy:
        """Put together what decisions look at, with what the whole database has in common."""
        return Copy(
            schema=of.schema,
            epoch=self.epoch,
            hold=self.hold,
            gap=self.gap,
            whole=self.whole,
            closed=self.closed,
            settled={**of.settled, **self.gathered} if self.gathered else of.settled,
            behind_s=self.behind_s,
            waits_for=of.waits_for,
            waits_s=of.waits_s,
        )


class Holding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a vantage point's database holds: of all its placements together, and of each."""

    schema: str
    settled: dict[str, int] = {}
    """Per stream (``origin/life``), up to which position nothing is missing."""
    placements: dict[str, Held] = {}
    waits_for: str | None = None
    """Which transaction its log waits for, if one is old; and for how long it has been open."""
    waits_s: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a vantage point sees. ``number`` rises with each report, so that a repeated one is a new version too.

    ``holding``: what its own database holds; none at the witness, and while the database does not answer.
    """

    vantage: str
    number: int
    leases: dict[str, LeaseSeen]
    holding: Holding | None = None
    writes: WritePath | None = None
    """Whether writes get through in the vantage point's own region, as it probes them; none at the witness."""
    findings: list[Denied] = []
    wall_s: float = 0.0
    """The vantage point's wall clock (Unix), to be compared by people; nothing is timed by it."""

    def copy(self, placement: str) -> Copy | None:
        """Return what the vantage point holds of one placement; none if it tells nothing of it."""
        held = None if self.holding is None else self.holding.placements.get(placement)
        return None if held is None or self.holding is None else held.copy(self.holding)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What observation adds to the next report of its own vantage point."""

    reached: Mapping[str, bool] = field(default_factory=dict)
    holding: Holding | None = None
    writes: WritePath | None = None
    findings: Sequence[Denied] = ()
    wall_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A report as it was read here: at which version of its key, and when that version was first read."""

    report: Report
    version: int
    first_s: float


def encode_report(report: Report) -> bytes:
    """Encode a report as the control store keeps it."""
    return msgspec.json.encode(report)


def report_from(key: str, value: bytes) -> Report:
    """Read a report; refuses anything else with ``bad_report``."""
    try:
        return msgspec.json.decode(value, type=Report)
    except (msgspec.DecodeError, ValueError) as error:
        raise refuse("bad_report", f"the control store's entry {key} is not a report: {error}") from error
