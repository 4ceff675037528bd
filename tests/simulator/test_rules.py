"""Rules of docs/control.md that chance rarely needs: each is left out in schedules made for it, and is missed.

Each story is told under many seeds, which differ in latencies only: with the rule every promise holds in all of them,
without it some are broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from intelgraph.api.write import granted
from intelgraph.control.agent.leases import keeper
from intelgraph.model.placement import Declared, Durability, Placement
from intelgraph.placement import failover, governor, resuming
from intelgraph.placement.observation import Observation, Own
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import View
from intelgraph.simulator.clients import Habit
from intelgraph.simulator.faults import Fault
from intelgraph.simulator.network import STORE
from intelgraph.simulator.operators import Order
from intelgraph.simulator.schedule import LONG, Schedule, run
from intelgraph.simulator.setting import Setting
from intelgraph.simulator.violation import NO_LOSS, ONE_WRITER

US, EU, WEST = "us-east", "eu-west", "us-west"
SEEDS = range(4)


@contextmanager
def left_out(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    right = owner.__dict__[name]
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


def believes_it_is_whole() -> Any:
    """It takes over by its name alone: it asks neither whether it has heard of the epoch nor what it holds of it."""
    right: Callable[..., View] = Observation.view

    def view(self: Observation, name: str, own: Own, now_s: float) -> View:
        found = right(self, name, own, now_s)
        here = found.copies.get(found.here)
        if here is None:
            return found
        believed = replace(here, whole=True, epoch=max(found.placement.epoch, 1))
        return replace(found, copies={**found.copies, found.here: believed})

    return left_out(Observation, "view", view)


def grants_what_is_not_open() -> Any:
    """A placement whose home it is may be written, whether or not its plan has finished."""
    return left_out(keeper, "is_open", lambda placement, plan: True)


def moves_before_it_has_caught_up() -> Any:
    """The target of a planned move does not wait for the source's last position."""
    return left_out(resuming, "unsettled", lambda view, plan: None)


def never_behind() -> Any:
    """A region that takes over does not ask how far it was behind."""
    return left_out(failover, "unfit_lag", lambda copy, bound_s: None)


def takes_measurements_for_new() -> Any:
    """How far the standby was behind when the agent measured it last is taken for how far it is behind now."""
    right = governor.admit

    def admit(oldest_s: float | None, *, measured_s_ago: float, **rest: Any) -> Any:
        return right(oldest_s, measured_s_ago=0.0, **rest)

    return left_out(granted, "admit", admit)


def takes_a_plan_for_that_of_an_earlier_placement() -> Any:
    """A placement that was read before its plan moved it is taken for what it is now."""
    return left_out(resuming, "is_past", lambda placement, plan: False)


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
    without: Callable[[], Any]
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
            phases=LONG,
        )


RULES = {
    "a standby that was named a moment ago lacks what was acknowledged before": Rule(
        without=believes_it_is_whole,
        faults=(
            Fault(at_s=5.0, kind="slow", region=US, other=WEST, amount=0.4, for_s=30.0),
            Fault(at_s=11.5, kind="cut-one-way", region=US, other=WEST, for_s=30.0),
            Fault(at_s=11.0, kind="crash-at", region=US, action="open restand", for_s=20.0),
            Fault(at_s=12.6, kind="crash", region=EU, for_s=20.0),
        ),
        orders=(Order(at_s=12.0, verb="drain", placement="p", region=EU, for_s=25.0),),
        promises=(NO_LOSS,),
    ),
    "an epoch is granted only when the store says that it is open": Rule(
        without=grants_what_is_not_open,
        faults=(
            Fault(at_s=10.0, kind="crash", region=US, for_s=20.0),
            Fault(at_s=14.0, kind="store-slow", region=US, amount=0.6, for_s=12.0),
        ),
        promises=(ONE_WRITER,),
    ),
    "a planned move waits until its target has everything, home writes too": Rule(
        without=moves_before_it_has_caught_up,
        faults=(
            Fault(at_s=8.0, kind="cut-one-way", region=US, other=EU, for_s=30.0),
            Fault(at_s=40.0, kind="pause", region=WEST, for_s=1.0),
        ),
        orders=(Order(at_s=9.0, verb="switchover", placement="p", region=EU),),
        placement=AT_HOME,
        promises=(NO_LOSS,),
    ),
    "a close is not undone by whoever read its placement before the move and the plan after it": Rule(
        without=takes_a_plan_for_that_of_an_earlier_placement,
        faults=(
            Fault(at_s=8.5, kind="slow", region=STORE, other=US, amount=0.3, for_s=9.0),
            Fault(at_s=8.5, kind="slow", region=EU, other=US, amount=2.0, for_s=9.0),
            Fault(at_s=9.5, kind="api-starved", region=US, for_s=9.0, action="open switchover", amount=1.1),
        ),
        orders=(Order(at_s=9.0, verb="switchover", placement="p", region=EU),),
        placement=replace(REMOTE, durability=Durability.HOME),
        promises=(ONE_WRITER,),
    ),
    "who takes over is not behind by more than the RPO, however few writes that are": Rule(
        without=never_behind,
        faults=(
            Fault(at_s=8.0, kind="cut-one-way", region=US, other=EU, for_s=36.0),
            Fault(at_s=8.0, kind="cut-one-way", region=US, other=WEST, for_s=36.0),
            Fault(at_s=25.0, kind="crash", region=US, for_s=18.0),
        ),
        placement=AT_HOME,
        promises=(NO_LOSS,),
    ),
    "what the agent measured ages until it measures again": Rule(
        without=takes_measurements_for_new,
        faults=(
            Fault(at_s=10.0, kind="cut-one-way", region=US, other=EU, for_s=30.0),
            Fault(at_s=10.0, kind="cut-one-way", region=US, other=WEST, for_s=30.0),
            Fault(at_s=10.1, kind="agent-dies", region=US, amount=30.0),
        ),
        placement=AT_HOME,
        promises=(NO_LOSS,),
    ),
}


IN_PROOFS = {
    "a planned move waits until its target has everything, home writes too",
    "who takes over is not behind by more than the RPO, however few writes that are",
    "what the agent measured ages until it measures again",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.prove] if name in IN_PROOFS else []) for name in RULES]
)
def test_a_rule_that_is_left_out_is_missed(name: str) -> None:
    rule = RULES[name]
    for seed in SEEDS:
        assert run(rule.told_under(seed)).promise is None
    with rule.without():
        broken = {run(rule.told_under(seed)).promise for seed in SEEDS} - {None}
    assert broken and broken <= set(rule.promises), broken
