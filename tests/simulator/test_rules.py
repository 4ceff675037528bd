"""Rules of docs/control.md that chance rarely needs: each is left out in schedules made for it, and is missed.

Each story is told under many seeds, which differ in latencies only: with the rule every promise holds in all of them,
without it some are broken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from intelgraph.control.simulator.agent import Agent
from intelgraph.control.simulator.clients import Habit
from intelgraph.control.simulator.door import Doors
from intelgraph.control.simulator.faults import Fault
from intelgraph.control.simulator.network import ABSENT, Versioned
from intelgraph.control.simulator.operators import Order
from intelgraph.control.simulator.promises import NO_LOSS
from intelgraph.control.simulator.region import Region
from intelgraph.control.simulator.schedule import Schedule, run
from intelgraph.control.simulator.world import Parts, Setting
from intelgraph.model.placement import Declared, Durability, Placement
from intelgraph.placement import resuming
from intelgraph.placement.plan import CATCH_UP
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import Copy, View
from intelgraph.plans.step import DoIt, Wait

US, EU, WEST = "us-east", "eu-west", "us-west"
SEEDS = range(24)


class BelievesItIsWhole(Agent):
    """Takes over by its name alone: it does not ask whether it has heard of the epoch and holds what it stands on."""

    def view(self, region: Region, name: str, keys: Mapping[str, Versioned], copies: Mapping[str, Copy]) -> View | None:
        view = super().view(region, name, keys, copies)
        if view is None:
            return None
        own = replace(view.copies[view.here], whole=True, epoch=max(view.placement.epoch, 1))
        return replace(view, copies={**view.copies, view.here: own})


class GrantsWhatIsNotOpen(Agent):
    """A placement whose home it is may be written, whether or not its plan has finished."""

    def granted(self, region: Region, keys: Mapping[str, Versioned]) -> dict[str, int]:
        epochs = super().granted(region, keys)
        for name in region.holds:
            placement = keys.get(f"placements/{name}", ABSENT).value
            if placement is not None and placement.home == region.name:
                epochs[name] = placement.epoch
        return epochs


class MovesBeforeItHasCaughtUp(Agent):
    """The target of a planned move does not wait for the source's last position."""

    def next_step(self, view: View) -> resuming.Step:
        step = super().next_step(view)
        current = None if view.plan is None else view.plan.current
        waits = isinstance(step, Wait) and current is not None and current.executor == view.here
        if waits and current is not None and current.type is CATCH_UP:
            return DoIt(action=current, plan=view.plan)
        return step


class NeverBehind(Agent):
    """A region that takes over does not ask how far it was behind."""

    def view(self, region: Region, name: str, keys: Mapping[str, Versioned], copies: Mapping[str, Copy]) -> View | None:
        view = super().view(region, name, keys, copies)
        if view is None:
            return None
        return replace(view, copies={who: replace(copy, behind_s=0.0) for who, copy in view.copies.items()})


class TakesMeasurementsForNew(Doors):
    """How far the standby was behind when the agent measured it last is taken for how far it is behind now."""

    def measured(self, region: Region, standby: str) -> tuple[float | None, float]:
        return super().measured(region, standby)[0], 0.0


THREE = (US, EU, WEST)
REMOTE = Placement(id="p", home=US, standby=EU, regions=THREE, epoch=1, durability=Durability.REMOTE)
AT_HOME = Placement(
    id="p",
    home=US,
    standby=EU,
    regions=THREE,
    epoch=1,
    durability=Durability.HOME,
    declared=Declared(home=US, durability=Durability.HOME, rpo_s_max=2.0),
)


@dataclass(frozen=True, kw_only=True)
class Rule:
    parts: Parts
    faults: tuple[Fault, ...]
    orders: tuple[Order, ...] = ()
    promises: tuple[str, ...]
    placement: Placement = REMOTE

    def told_under(self, seed: int) -> Schedule:
        return Schedule(
            seed=seed,
            setting=Setting(regions=THREE, placements=(self.placement,), policy=Policy()),
            faults=self.faults,
            orders=self.orders,
            clients=(Habit(patient=True, pause_s=0.3, reads=0.1),) * 3,
        )


RULES = {
    "a standby that was named a moment ago lacks what was acknowledged before": Rule(
        parts=Parts(agent=BelievesItIsWhole),
        faults=(
            Fault(at_s=5.0, kind="slow", region=US, other=WEST, amount=1.4, for_s=30.0),
            Fault(at_s=11.9, kind="cut-one-way", region=US, other=WEST, for_s=30.0),
            Fault(at_s=11.0, kind="crash-at", region=US, action="open restand", for_s=20.0),
            Fault(at_s=12.6, kind="crash", region=EU, for_s=20.0),
        ),
        orders=(Order(at_s=12.0, verb="drain", placement="p", region=EU, for_s=25.0),),
        promises=(NO_LOSS,),
    ),
    "an epoch is granted only when the store says that it is open": Rule(
        parts=Parts(agent=GrantsWhatIsNotOpen),
        faults=(
            Fault(at_s=10.0, kind="crash", region=US, for_s=13.0),
            Fault(at_s=10.5, kind="agent-dies-between", region=EU, amount=9.0),
            Fault(at_s=16.15, kind="agent-dies-between", region=EU, amount=1.0),
            Fault(at_s=17.6, kind="crash", region=EU, for_s=25.0),
            Fault(at_s=17.6, kind="crash", region=WEST, for_s=20.0),
        ),
        promises=(NO_LOSS,),
    ),
    "a planned move waits until its target has everything, home writes too": Rule(
        parts=Parts(agent=MovesBeforeItHasCaughtUp),
        faults=(
            Fault(at_s=8.0, kind="cut-one-way", region=US, other=EU, for_s=30.0),
            Fault(at_s=40.0, kind="pause", region=WEST, for_s=1.0),
        ),
        orders=(Order(at_s=9.0, verb="switchover", placement="p", region=EU),),
        placement=AT_HOME,
        promises=(NO_LOSS,),
    ),
    "who takes over is not behind by more than the RPO, however few writes that are": Rule(
        parts=Parts(agent=NeverBehind),
        faults=(
            Fault(at_s=8.0, kind="cut-one-way", region=US, other=EU, for_s=36.0),
            Fault(at_s=8.0, kind="cut-one-way", region=US, other=WEST, for_s=36.0),
            Fault(at_s=25.0, kind="crash", region=US, for_s=18.0),
        ),
        placement=AT_HOME,
        promises=(NO_LOSS,),
    ),
    "what the agent measured ages until it measures again": Rule(
        parts=Parts(doors=TakesMeasurementsForNew),
        faults=(
            Fault(at_s=10.0, kind="cut-one-way", region=US, other=EU, for_s=30.0),
            Fault(at_s=10.0, kind="cut-one-way", region=US, other=WEST, for_s=30.0),
            Fault(at_s=10.1, kind="agent-dies", region=US, amount=30.0),
        ),
        placement=AT_HOME,
        promises=(NO_LOSS,),
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_left_out_is_missed(name: str) -> None:
    rule = RULES[name]
    for seed in SEEDS:
        assert run(rule.told_under(seed)).promise is None
    broken = {run(rule.told_under(seed), parts=rule.parts).promise for seed in SEEDS} - {None}
    assert broken and broken <= set(rule.promises), broken
