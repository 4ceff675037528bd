"""Thousands of losses, and no promise broken. What a schedule is worth is asserted as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from intelgraph.simulator.faults import ACTIONS, FAULTS
from intelgraph.simulator.running import simulate, table
from intelgraph.simulator.schedule import run, schedule

SCHEDULES, SCHEDULES_OF_A_PROOF = 1_500, 10_000
UNCOVERED = {"clock-step", "sent-again", "slot-lost", "lost-for-good", "agent-dies", "store-down"}
"""Faults of an instant, and a store that is down: no action is done while they last."""
NEEDED = {"raise failover", "open failover", "raise restand", "open restand"}
"""What must have been done under every other fault; the table says more."""


@pytest.mark.alone
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("schedules", [SCHEDULES, pytest.param(SCHEDULES_OF_A_PROOF, marks=pytest.mark.prove)])
def test_no_promise_is_broken(schedules: int) -> None:
    summary = simulate(range(schedules))
    print(f"{summary.schedules} schedules in {summary.took_s:.0f} s\n{table(summary)}")
    assert not summary.violations, summary.violations[:5]
    assert summary.schedules == schedules
    assert summary.seconds_min >= 32
    assert summary.faults_min >= 3
    assert summary.operations_min >= 80
    for fault in FAULTS.keys() - UNCOVERED:
        done = {action for action, kind in summary.coverage if kind == fault}
        assert done >= NEEDED, (fault, sorted(NEEDED - done))
    assert {action for action, _ in summary.coverage} >= set(ACTIONS)


def test_a_seed_always_means_the_same() -> None:
    told: list[list[str]] = [[], []]
    outcomes = [run(schedule(17), told=lines) for lines in told]
    assert told[0] == told[1]
    assert outcomes[0] == outcomes[1]


def test_seeds_differ() -> None:
    assert schedule(1) != schedule(2)


def test_wall_clocks_are_never_compared() -> None:
    """The simulator's parts know no wall clock but the one that faults step."""
    package = Path(__file__).parents[2] / "src/intelgraph/placement"
    texts = [path.read_text(encoding="utf-8") for path in package.glob("*.py")]
    assert not [text for text in texts if "import time" in text or "datetime" in text]
