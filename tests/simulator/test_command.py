"""`intelgraph simulate`: what it prints, and how it ends."""

from __future__ import annotations

import json

from click.testing import CliRunner

from intelgraph.cli.simulate import command, told
from intelgraph.simulator.running import simulate

from .planted.mistakes import BY_NAME
from .test_planted import SEEDS

SEED = SEEDS.get("a lease check left out after the commit", 0)


def test_it_counts_and_shows_what_was_done_under_which_fault() -> None:
    result = CliRunner().invoke(command, ["--schedules", "4", "--seed", "7"])
    assert result.exit_code == 0, result.output
    assert "4 schedules in" in result.output
    assert "0 violations" in result.output


def test_its_json_says_what_the_schedules_were_worth() -> None:
    result = CliRunner().invoke(command, ["--schedules", "4", "--json"])
    said = json.loads(result.stdout)
    assert (said["schedules"], said["violations"]) == (4, [])
    assert said["virtual_seconds_min"] >= 32 and said["faults_min"] >= 3 and said["operations_min"] >= 100


def test_a_seed_is_told_to_a_person() -> None:
    result = CliRunner().invoke(command, ["--replay", "17"])
    assert result.exit_code == 0
    assert result.output.startswith("seed 17: ")
    assert "everything is healed" in result.output
    assert result.output.rstrip().endswith("every promise held")


def test_a_broken_promise_is_shown_with_its_seed() -> None:
    with BY_NAME["a lease check left out after the commit"].plant():
        found = simulate(range(SEED, SEED + 1), processes=1)
    seed, promise, what, _ = found.violations[0]
    assert f"seed {seed}, at " in told(found) and f"{promise}: {what}" in told(found)
    assert f"{len(found.violations)} violations" in told(found)
