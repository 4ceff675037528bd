"""The overview asks databases, control store and reports at once, and says in a few words what is not well."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from intelgraph.fleet.layout.places import Fleet, settle
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.fleet.supervisor.status import FleetStatus
from intelgraph.operations import overview
from intelgraph.operations.overview import Sources, ask_all, overview_of, read_overview
from intelgraph.operations.standing import FindingLine, Standing
from tests.machine import WAIT_S

STATUS = FleetStatus(supervisor_pid=7, plan="", ready=True, stopping=False, adopted=0, parts=[], steps=[])


def test_nobody_is_asked_behind_another(monkeypatch: pytest.MonkeyPatch) -> None:
    all_three = threading.Barrier(3)  # breaks where one is asked when another has answered
    standing = Standing(refusal="not asked")

    def answer(_fleet: Fleet) -> Any:
        all_three.wait(WAIT_S)
        return None

    async def answer_standing(_fleet: Fleet) -> Standing:
        await asyncio.to_thread(all_three.wait, WAIT_S)
        return standing

    monkeypatch.setattr(overview, "read_region_logs", answer)
    monkeypatch.setattr(overview, "read_control_status", answer)
    monkeypatch.setattr(overview, "_standing", answer_standing)
    nobody: Any = None
    assert asyncio.run(ask_all(nobody)).standing == standing


def fleet_at(directory: Path) -> Fleet:
    """A fleet that was settled and never started."""
    return settle(load_topology(None), start=directory)


def test_a_fleet_that_never_ran_is_shown_as_its_notes_have_it(tmp_path: Path) -> None:
    seen = asyncio.run(read_overview(fleet_at(tmp_path), quick=True))
    assert (seen.ready, seen.supervised, seen.supervisor_pid) == (False, False, None)
    assert {each.part.reason for each in seen.parts} == {"it does not run"}
    assert seen.wrong == ["not every part is ready"]


def test_what_is_found_wrong_is_not_well_although_every_part_is_ready(tmp_path: Path) -> None:
    finding = FindingLine(vantage="us-east", about="us-east", code="link_down", reason="it is down", counts=True)
    standing = Standing(silent=["witness"], findings=[finding])
    seen = overview_of(fleet_at(tmp_path), STATUS, [], Sources(standing=standing), supervised=True, pss_bytes=0)
    assert (seen.ready, seen.parts_ready) == (False, True)
    assert seen.wrong == ["no report from witness", "found: link_down"]
    well = overview_of(fleet_at(tmp_path), STATUS, [], Sources(standing=Standing()), supervised=True, pss_bytes=0)
    assert well.ready and well.wrong == []
