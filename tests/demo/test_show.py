"""The demo plays in a fleet of its own: one that somebody uses is neither written to nor stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from intelgraph.demo.show import show
from intelgraph.demo.stage import Stage
from intelgraph.model.errors import IntelGraphError
from tests.operations.fleets import answering, located

from .test_stage import ACTOR, Seen


def refused(topology: Path | None) -> str:
    seen = Seen()
    with pytest.raises(IntelGraphError) as caught:
        show(Stage(audience=seen, topology=topology, actor=ACTOR), leave=True)
    assert caught.value.denied.code == "not_for_the_demo"
    assert seen.lines == [], "nothing is typed"
    return caught.value.denied.reason


def test_a_fleet_that_runs_is_left_alone() -> None:
    with located() as location:

        async def body() -> None:
            async with answering(location.founded(None)) as supervisor:
                assert "runs already" in await asyncio.to_thread(refused, location.file.path)
                assert not supervisor.status().stopping

        asyncio.run(body())


def test_a_fleet_of_other_regions_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "intelgraph.toml"
    file.write_text('zones = ["us"]\n[[region]]\nname = "virginia"\nzone = "us"\n', encoding="utf-8")
    assert "virginia" in refused(file)
