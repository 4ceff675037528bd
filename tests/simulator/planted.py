"""Mistakes, each in one modelled part: what a simulation is worth is whether it finds them.

They are put in by `Parts`; nothing in the product can be switched to behave so.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from intelgraph.changelog.model.append import Answer, Refused, Request, work
from intelgraph.changelog.model.known import Known
from intelgraph.changelog.model.log import Form, Kind, ObjectKey, Row, undecided
from intelgraph.control.simulator.acting import Acting
from intelgraph.control.simulator.agent import Agent
from intelgraph.control.simulator.door import Doors
from intelgraph.control.simulator.engine import Process
from intelgraph.control.simulator.network import Versioned
from intelgraph.control.simulator.promises import (
    CERTAINTY,
    CONVERGENCE,
    DRAINED,
    DURABILITY,
    FAIL_CLOSED,
    NO_LOSS,
    ONE_WRITER,
    READ_YOUR_WRITES,
    SALVAGE,
)
from intelgraph.control.simulator.region import Held, Region
from intelgraph.control.simulator.world import Parts
from intelgraph.model.placement import StandbyLoss
from intelgraph.placement import resuming
from intelgraph.placement.plan import RAISE, Plan
from intelgraph.placement.view import Copy, View
from intelgraph.plans.step import DoIt


class NoFence(Doors):
    """`append` looks at neither the epoch nor a close."""

    def append(self, region: Region, held: Held, request: Request) -> Answer:
        said = super().append(region, held, request)
        passed_over = isinstance(said, Refused) and said.code in ("fenced", "not_home", "closing")
        return work(held.known, request) if passed_over else said


class NoWaiting(Doors):
    """A `remote` write is acknowledged without its standby."""

    def flushed(self, region: Region, standby: str, me: Process) -> Generator[float | None, None, bool]:
        return True
        yield


class NoSecondLook(Doors):
    """The grant is looked at before the append only."""

    def may_acknowledge(self, region: Region, placement: str, epoch: int) -> bool:
        return True


class RefusesForCertain(Doors):
    """What the home refuses now is called refused, whatever became of earlier attempts elsewhere."""

    @staticmethod
    def may_refuse(*, unanswered: bool) -> bool:
        return True


class LastArrivalWins(Known):
    """A row beyond the cut is applied like any other, and what it wrote over stays so until the next write."""

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.over: dict[ObjectKey, Form] = {}

    def arrive(self, row: Row) -> bool:
        new = super().arrive(row)
        if new and row.kind is Kind.WRITE:
            inert = row.identity not in self.accepted
            for item in row.objects:
                key = ObjectKey(str(row.tenant), item["kind"], item["id"])
                self.over.pop(key, None)
                if inert:
                    self.over[key] = Form(item, row.epoch, row.identity)
            self._forms.update(self.over)
        return new

    def compute(self) -> None:
        super().compute()
        self._forms.update(self.over)


class TailOverNewer(Region):
    def __init__(self, name: str, placements: list[str], **clock: Any) -> None:
        super().__init__(name, placements, **clock)
        for held in self.holds.values():
            held.known = LastArrivalWins(name)


class FromItsOwnNotes(Agent):
    """A new agent process goes on where the last one's notes stand, whatever the store says meanwhile."""

    def next_step(self, view: View) -> resuming.Step:
        noted: dict[tuple[str, str], Plan] = self.acting.__dict__.setdefault("noted", {})
        key = (view.here, view.placement.id)
        plan = noted.get(key)
        if plan is not None and plan.current is not None and self.term != self.acting.__dict__.get(("term", *key)):
            del noted[key]
            return DoIt(action=plan.current, plan=plan)
        step = super().next_step(view)
        if isinstance(step, DoIt) and step.plan is not None and step.action.type is RAISE:
            noted[key] = step.plan
            self.acting.__dict__["term", *key] = self.term
        return step


class WithoutComparing(Acting):
    def expected(self, versions: dict[str, int], plan: Plan) -> dict[str, int]:
        return {}


class StrictGoesOn(Doors):
    """A write of a strict placement whose standby does not confirm is acknowledged all the same."""

    def flushed(self, region: Region, standby: str, me: Process) -> Generator[float | None, None, bool]:
        confirmed = yield from super().flushed(region, standby, me)
        strict = any(
            after.standby == standby and after.wanted.on_standby_loss is StandbyLoss.STRICT
            for after in region.standbys.values()
        )
        return confirmed or strict


class AdoptsEverything(Acting):
    """Whatever lies beyond a cut is adopted."""

    def salvage(self, region: Region, placement: str) -> None:
        held = region.holds[placement]
        left = undecided(held.known.holding.read)
        if left and held.gap is None:
            self._decide(region, placement, Kind.ADOPT, frozenset(left))


class AdoptsNothing(Acting):
    """Whatever lies beyond a cut is left for people."""

    def salvage(self, region: Region, placement: str) -> None:
        return


class PassesOverDrains(Agent):
    """A region that is drained is as good as any other."""

    def view(self, region: Region, name: str, keys: Mapping[str, Versioned], copies: Mapping[str, Copy]) -> View | None:
        view = super().view(region, name, keys, copies)
        return None if view is None else replace(view, drained=frozenset())


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One mistake, and the promises that it breaks."""

    name: str
    parts: Parts
    promises: tuple[str, ...]


BUGS: Mapping[str, Planted] = {
    bug.name: bug
    for bug in (
        Planted(name="fence check removed", parts=Parts(doors=NoFence), promises=(ONE_WRITER, CONVERGENCE)),
        Planted(name="waiter not waiting", parts=Parts(doors=NoWaiting), promises=(NO_LOSS, DURABILITY)),
        Planted(
            name="tail over newer data", parts=Parts(region=TailOverNewer), promises=(CONVERGENCE, READ_YOUR_WRITES)
        ),
        Planted(
            name="plan resumed twice",
            parts=Parts(agent=FromItsOwnNotes, acting=WithoutComparing),
            promises=(ONE_WRITER,),
        ),
        Planted(
            name="no second look at the lease", parts=Parts(doors=NoSecondLook), promises=(FAIL_CLOSED, ONE_WRITER)
        ),
        Planted(name="refused for certain", parts=Parts(doors=RefusesForCertain), promises=(CERTAINTY,)),
        Planted(name="strict without its standby", parts=Parts(doors=StrictGoesOn), promises=(DURABILITY,)),
        Planted(name="conflicts adopted", parts=Parts(acting=AdoptsEverything), promises=(SALVAGE,)),
        Planted(name="adoptable rows left", parts=Parts(acting=AdoptsNothing), promises=(SALVAGE,)),
        Planted(name="drained regions named", parts=Parts(agent=PassesOverDrains), promises=(DRAINED,)),
    )
}
