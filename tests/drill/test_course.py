"""Who asked for a drill is recorded before anything of the fleet is touched, and what the drill does is recorded so."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from intelgraph.drill.course import Drill, DrillSettings, Told
from intelgraph.drill.dead_man import Whereabouts
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import default_topology
from intelgraph.model.actor import Channel
from intelgraph.model.errors import IntelGraphError
from intelgraph.operations.record import read_record
from intelgraph.settings import dump_region_config
from tests.operations.sites import EU, PERSON, US, region_config

PLACEMENT = "drill-remote"


def drill(state: Path, fault: str) -> Drill:
    """A drill of a fleet whose databases do not run."""
    for name in (US, EU):
        directory = state / "regions" / name
        directory.mkdir(parents=True)
        (directory / "region.json").write_bytes(dump_region_config(region_config(state, name)))
    return Drill(
        where=Whereabouts(topology=None, start=state),
        fleet=Fleet(topology=replace(default_topology(), fake_clocks=True), state=state, run=state, ports={}, id="x"),
        actor=PERSON,
        settings=DrillSettings(fault=fault, region=US),
        told=Told(step=lambda *_: None, say=lambda _: None),
    )


def test_a_drill_is_recorded_and_what_it_does_is_the_drills(tmp_path: Path) -> None:
    with pytest.raises(IntelGraphError) as refused:
        asyncio.run(drill(tmp_path, "clock").run())
    assert refused.value.denied.code == "home_unreachable"
    asked, made = read_record(tmp_path)
    assert (asked.operation, asked.actor) == ("drill run", PERSON)
    assert asked.facts == {"fault": "clock", "region": US, "for_s": 30.0}
    assert (made.operation, made.facts["placement"]) == ("placement create", PLACEMENT)
    assert (made.actor.subject, made.actor.channel) == (PERSON.subject, Channel.DRILL)
    assert made.actor.reason == "a drill: clock of us-east"


def test_a_drill_that_cannot_be_had_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(IntelGraphError) as refused:
        asyncio.run(drill(tmp_path, "disk-full").run())
    assert refused.value.denied.code == "fault_not_to_be_had"
    assert read_record(tmp_path) == []
