"""The world of one history in which regions close and reopen: what each has closed, beside the rows that all hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from intelgraph.changelog.model.append import Answer, Computed, Refused, Request, append, fence

from .regions import hashed
from .wire import FENCES
from .world import World


@dataclass(kw_only=True)
class ClosingWorld(World):
    """``closed``: the epoch in which a region has last ended writing, and the last position that it told."""

    closed: dict[str, tuple[int, int]] = field(default_factory=dict)

    def expect(self, region: str, request: Request) -> Answer:
        """What the model says a region answers to a write."""
        known = replace(request, key=hashed(request.key).hex(), request=hashed(request.request).hex())
        answer = append(self.holdings[region], self.writer(region), known, self._closed_epoch(region))
        return self._unless_gap(region, answer)

    def close(self, region: str, epoch: int) -> None:
        """End writing, or end it again: then the same position is told."""
        expected = self._fenced(region, epoch)
        answer = self.cluster.ask(region, "select ig.close($1, $2)", self.placement, epoch)
        again = isinstance(expected, Refused) and expected.code == "closing"
        assert not self.take(region)
        if expected is not None and not again:
            assert (answer["status"], answer.get("code")) == ("refused", expected.code)
            return
        assert answer["status"] == ("repeated" if again else "ok")
        life, position = map(int, answer["last_position"].split("/"))
        assert life == self.lives[region]
        own = [key.position for key in self.truth if key.writer == self.writer(region)]
        assert position >= max(own, default=0)
        if again:
            assert position == self.closed[region][1]
        self.closed[region] = (epoch, position)

    def reopen(self, region: str, epoch: int) -> None:
        """Undo that, if the epoch is still the one in force here."""
        again = self._closed_epoch(region) != epoch
        if not again:
            del self.closed[region]
        expected = self._fenced(region, epoch)
        answer = self.cluster.ask(region, "select ig.reopen($1, $2)", self.placement, epoch)
        if expected is None:
            assert answer["status"] == ("repeated" if again else "ok")
        else:
            assert (answer["status"], answer.get("code")) == ("refused", expected.code)

    def check_closed(self) -> None:
        """Nothing of a closed epoch comes after the position that was told, whatever its kind."""
        for region, (epoch, position) in self.closed.items():
            writer = self.writer(region)
            late = [
                row.identity
                for row in self.truth.values()
                if row.identity.writer == writer and row.epoch == epoch and row.identity.position > position
            ]
            assert not late

    def _closed_epoch(self, region: str) -> int | None:
        return self.closed[region][0] if region in self.closed else None

    def _fenced(self, region: str, epoch: int) -> Refused | None:
        found = fence(Computed(self.holdings[region]), self.writer(region), epoch, self._closed_epoch(region))
        refused = self._unless_gap(region, found) if found is not None else None
        if found is None and self.gaps[region] is not None:
            return Refused(code="gap")
        return refused if isinstance(refused, Refused) else None

    def _unless_gap(self, region: str, answer: Answer) -> Answer:
        if self.gaps[region] is not None and not (isinstance(answer, Refused) and answer.code in FENCES):
            return Refused(code="gap")
        return answer
