"""Seven losses as a person is told them. Each is a schedule of two regions, one placement and one patient client."""

from __future__ import annotations

from collections.abc import Mapping

from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.policy import Policy
from intelgraph.simulator.clients import Habit
from intelgraph.simulator.faults import Fault
from intelgraph.simulator.schedule import LONG, Schedule
from intelgraph.simulator.setting import Setting

US, EU = "us-east", "eu-west"


def story(*faults: Fault, durability: Durability = Durability.REMOTE) -> Schedule:
    placement = Placement(id="p", home=US, standby=EU, regions=(US, EU), epoch=1, durability=durability)
    return Schedule(
        seed=1,
        setting=Setting(regions=(US, EU), placements=(placement,), policy=Policy()),
        faults=faults,
        orders=(),
        clients=(Habit(patient=True, pause_s=0.8, reads=0.2),),
        phases=LONG,
    )


SCENARIOS: Mapping[str, Schedule] = {
    "the-home-crashes": story(Fault(at_s=10.0, kind="crash", region=US, for_s=20.0), durability=Durability.HOME),
    "the-home-is-paused-for-longer-than-its-lease": story(Fault(at_s=10.0, kind="pause", region=US, for_s=12.0)),
    "the-home-hears-nothing": story(Fault(at_s=10.0, kind="partition-in", region=US, for_s=15.0)),
    "the-standby-is-cut-off-one-way": story(Fault(at_s=10.0, kind="cut-one-way", region=US, other=EU, for_s=12.0)),
    "the-agent-dies-after-raising-the-epoch": story(
        Fault(at_s=10.0, kind="crash", region=US, for_s=25.0),
        Fault(at_s=10.5, kind="agent-dies-between", region=EU, amount=4.0),
    ),
    "the-home-takes-no-writes": story(
        Fault(at_s=10.0, kind="writes-fail", region=US, for_s=15.0), durability=Durability.HOME
    ),
    "neither-region-takes-writes": story(
        Fault(at_s=10.0, kind="writes-fail", region=US, for_s=15.0),
        Fault(at_s=9.0, kind="writes-fail", region=EU, for_s=20.0),
    ),
}
