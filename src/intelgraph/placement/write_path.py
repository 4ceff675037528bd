"""Does a region's write path work? Judged from probes that go the way a client's write goes. Pure.

A probe begins as clients do: by a new connection to the region's edge, through the edge to an API process, through a
new login to the database, to a commit. What it says of one moment is little: a machine that is busy misses one now and
then. So a failure is *said* after two in a row, acted upon after as long as a lease lasts, and believed to be over
after ``well_after_s`` without another. Time is counted in the agent's own looks: what it did not live through does not
count, so that an agent that gets no processor does not take its own hunger for a broken region.

Sending probes does not belong here (``control.agent.observer.write_prober``), nor what follows from it
(``placement.handover``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from intelgraph.model.errors import Denied


@dataclass(frozen=True, kw_only=True)
class WritePathPolicy:
    """How a write path is probed and judged; the same in every region."""

    probe_s: float = 1.0
    """Between the beginnings of two probes."""
    answer_s: float = 1.5
    """A probe that has no answer for so long, counted in looks, has failed. Clients wait longer."""
    look_s: float = 0.1
    said_after: int = 2
    """So many failures in a row, and none of them older than a success, are said."""
    start_s: float = 10.0
    """So long a region that has just been started may take until the first probe gets through."""
    well_after_s: float = 2.0
    """For how long no probe may fail before what was said is taken back."""
    gap_s_max: float = 2.0
    """At most so much of the time between two results counts."""

    def __post_init__(self) -> None:
        if min(self.probe_s, self.answer_s, self.look_s, self.gap_s_max) <= 0 or self.said_after < 1:
            raise ValueError("a write path is probed again and again, and a failure is seen at least once")


@dataclass(frozen=True, kw_only=True)
class WritePath:
    """What a region's agent knows of its own write path."""

    failed: int = 0
    """How many probes in a row have failed; 0: the last one got through."""
    failing_s: float = 0.0
    """For how long, counted in looks, none has got through."""
    steady_s: float = 0.0
    """For how long none has failed."""
    is_known: bool = False
    """Whether any probe has got through since the agent was started."""
    is_broken: bool = False
    """Whether it is said that writes fail here."""
    why: Denied | None = None
    """What the last probe met that failed, while it is said."""


UNPROBED = WritePath(steady_s=3_600.0, is_known=True)
"""Of a region whose settings name no edge: there is nothing to probe, and its lease stands on its database alone."""


@dataclass(frozen=True, kw_only=True)
class Probed:
    """The result of one probe. ``waited_s``: how long its answer took, counted in looks."""

    why: Denied | None
    waited_s: float


def judge(before: WritePath | None, probed: Probed, *, passed_s: float, policy: WritePathPolicy) -> WritePath:
    """Take the result of a probe into account, ``passed_s`` after the one before."""
    before = before or WritePath()
    passed_s = min(max(passed_s, 0.0), policy.gap_s_max)
    if probed.why is None:
        steady_s = before.steady_s + passed_s if before.failed == 0 else 0.0
        is_broken = before.is_broken and steady_s < policy.well_after_s
        return WritePath(steady_s=steady_s, is_known=True, is_broken=is_broken, why=before.why if is_broken else None)
    failed = before.failed + 1
    failing_s = before.failing_s + passed_s if before.failed else probed.waited_s
    starts = not before.is_known and failing_s < policy.start_s
    is_broken = before.is_broken or (failed >= policy.said_after and not starts)
    return WritePath(
        failed=failed,
        failing_s=failing_s,
        is_known=before.is_known,
        is_broken=is_broken,
        why=probed.why if is_broken else None,
    )


def overtaken(before: WritePath | None) -> WritePath:
    """Take into account that a probe failed which a later one overtook: the path works, and not always."""
    return replace(before or WritePath(), steady_s=0.0)
