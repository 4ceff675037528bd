"""What a region concludes from one round of comparisons with a peer: which placements to look at, when a gap may close.

Pure: the reports are read and the comparisons made by ``process`` and ``repair``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from intelgraph.changelog.comparison import Stream, settled_of


@dataclass(frozen=True, kw_only=True)
class Round:
    """What two regions report at the begin of one round of comparisons, and the round before it."""

    peer: str
    here: dict[str, Any]
    there: dict[str, Any]
    before: Round | None

    def alone(self) -> Round:
        """This round without those before it."""
        return replace(self, before=None)

    def shared(self, region: str) -> list[str]:
        """The placements that the peer says both regions serve; one unknown here is looked at in its second round."""
        return [
            placement
            for placement, facts in self.there["placements"].items()
            if {region, self.peer} <= set(facts["regions"])
            and (
                placement in self.here["placements"]
                or (self.before is not None and placement in self.before.there["placements"])
            )
        ]

    def stalled(self, stream: Stream) -> bool:
        """Whether nothing was settled of a stream here since the last round."""
        if self.before is None:
            return False
        return settled_of(self.here).get(stream) == settled_of(self.before.here).get(stream)

    def is_home(self, placement: str) -> bool:
        """Whether both regions say that the peer is the placement's home, in one epoch."""
        ours, theirs = self.here["placements"].get(placement), self.there["placements"][placement]
        return bool(ours) and ours["home"] == theirs["home"] == self.peer and ours["epoch"] == theirs["epoch"]

    @property
    def peer_stream(self) -> Stream:
        """The stream that the peer writes now."""
        return Stream(origin=self.peer, life=self.there["life"])

    @property
    def peer_position(self) -> int:
        """The last position the peer had given out."""
        position: int = self.there["position"]
        return position


@dataclass(kw_only=True)
class GapWatch:
    """When a gap may close: once a comparison reaches all that the home had written when the gap was first seen.

    Digests that agree up to an older position prove nothing about a loss that came after it.
    """

    _seen: dict[str, tuple[str, Stream, int]] = field(default_factory=dict)

    def may_close(self, placement: str, gap: str, *, home: Stream, reached: int, cut: Mapping[Stream, int]) -> bool:
        """Whether a comparison equal up to ``cut`` closes ``gap``; ``reached`` is the home's last position now."""
        known = self._seen.get(placement)
        if known is None or known[:2] != (gap, home):  # positions of another home's stream say nothing of this one's
            self._seen[placement] = known = (gap, home, reached)
        if cut.get(home, 0) < known[2]:
            return False
        del self._seen[placement]
        return True
