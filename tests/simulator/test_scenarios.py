"""What happens in seven losses, to be read: the files in `transcripts/` are what the simulator tells of them.

A change of the decisions changes them: read the difference, then write them anew with
``INTELGRAPH_WRITE_SCENARIOS=1 pytest tests/simulator/test_scenarios.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from intelgraph.simulator.running import condensed, transcript
from intelgraph.simulator.schedule import run

from .scenarios import SCENARIOS

FILES = Path(__file__).with_name("transcripts")


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_goes_as_it_is_written(name: str) -> None:
    told: list[str] = []
    outcome = run(SCENARIOS[name], told=told)
    text = f"{name.replace('-', ' ').capitalize()}\n\n{transcript(SCENARIOS[name], condensed(told), outcome)}"
    file = FILES / f"{name}.txt"
    if os.environ.get("INTELGRAPH_WRITE_SCENARIOS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert outcome.promise is None
    assert text == file.read_text(encoding="utf-8")
