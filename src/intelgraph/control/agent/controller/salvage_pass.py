"""How far the policy has gone through one placement's rows beyond a cut, and whether it has to go on. Pure.

A *pass* goes through the rows page by page, oldest first. One that decided something is followed by another: an
adoption changes the classes of others. One that decided nothing, but passed over deletions that wait for others, is
followed by one in which they do not wait. Else it has counted what waits for people, and no further is due until what
was seen when it began has changed. What becomes of a page is not said here (``control.agent.controller.salvaging``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from intelgraph.changelog.salvage_policy import NOTHING_RESERVED, Reserved

Seen = tuple[int, str]
"""What a look says of a placement's rows beyond a cut: its epoch and their tail. It is compared, nothing else."""

SHORTER_MAX = 4
"""A page of 200 objects that is quartered so often is of one row."""


@dataclass(frozen=True, kw_only=True)
class SalvagePass:
    """Where one placement stands."""

    settled: Seen | None = None
    """What was seen when a pass began that decided nothing."""
    began: Seen | None = None
    """What was seen when the pass under way began."""
    after: str | None = None
    """Behind which row the pass under way goes on; none between two passes."""
    waits: bool = True
    """Whether deletions wait in this pass, or in the next one between two, for what may still need what they delete."""
    reserved: Reserved = NOTHING_RESERVED
    """What those of the pass under way that wait keep the rows after them from."""
    passed_over: bool = False
    decided: bool = False
    counted: int = 0
    people: int = 0
    """How many rows wait for a person, as far as is known: of a pass under way, and of the one before."""
    shorter: int = 0
    """How often a page took too long: so much less is in the next ones, and in the next pass once less so."""

    def is_due(self, seen: Seen) -> bool:
        """Whether a page is to be looked at now."""
        return self.after is not None or self.settled != seen

    def turned(
        self,
        seen: Seen,
        *,
        after: str | None,
        decided: bool,
        people: int,
        passed_over: bool = False,
        reserved: Reserved = NOTHING_RESERVED,
    ) -> SalvagePass:
        """Take one page into account: ``after`` which row there are more, and what became of those in it."""
        first = self.after is None
        began = seen if first else self.began
        decided = decided or (not first and self.decided)
        passed_over = passed_over or (not first and self.passed_over)
        counted = people + (0 if first else self.counted)
        if after is not None:
            most = max(self.people, counted)
            return replace(
                self,
                began=began,
                after=after,
                decided=decided,
                passed_over=passed_over,
                reserved=reserved,
                counted=counted,
                people=most,
            )
        insists = self.waits and passed_over and not decided
        return SalvagePass(
            settled=None if decided or insists else began,
            waits=not insists,
            people=counted,
            shorter=max(0, self.shorter - 1),
        )

    def timed_out(self) -> SalvagePass:
        """Try the same page again with less in it."""
        return replace(self, shorter=min(self.shorter + 1, SHORTER_MAX))

    def interrupted(self) -> SalvagePass:
        """Begin anew when nothing stands in the way any more: what waits may be other rows by then."""
        return SalvagePass(people=self.people)
