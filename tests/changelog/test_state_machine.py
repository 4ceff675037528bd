"""Real databases against the model: generated histories of two and of three regions, and bugs planted to be found."""

from __future__ import annotations

import os
from collections.abc import Iterator

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from intelgraph.fleet.scratch import Scratch

from .planted import PLANTED, Planted
from .regions import Cluster, cluster, server
from .state_machine import Histories

TWO = ("us-east", "eu-west")
THREE = ("us-east", "eu-west", "us-west")
HISTORIES = int(os.environ.get("IG_HISTORIES", "250"))
HISTORIES_TO_FIND_A_BUG = 400
STEPS = 40


def run(regions: Cluster, *, histories: int, chance: bool = False, quiet: bool = False) -> None:
    """Generate histories, the same ones each time unless left to ``chance``; raises at the first that differs."""

    class Run(Histories):
        cluster = regions

    chosen = settings(
        max_examples=histories,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=not chance,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
        print_blob=False,
        verbosity=Verbosity.quiet if quiet else Verbosity.normal,
    )
    run_state_machine_as_test(Run, settings=chosen)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Scratch]:
    with server() as running:
        yield running


@pytest.mark.postgres
@pytest.mark.parametrize("names", [TWO, THREE], ids=["two regions", "three regions"])
def test_every_region_concludes_what_the_model_concludes(scratch: Scratch, names: tuple[str, ...]) -> None:
    with cluster(scratch, names) as regions:
        run(regions, histories=HISTORIES)
        assert regions.histories >= HISTORIES


@pytest.mark.postgres
@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(scratch: Scratch, bug: Planted) -> None:
    with cluster(scratch, THREE, bug.schema) as regions:
        with pytest.raises((AssertionError, asyncpg.PostgresError, Flaky)):
            run(regions, histories=HISTORIES_TO_FIND_A_BUG, quiet=True)
        print(f"{bug.name}: found in history {regions.histories}")


@pytest.mark.prove
@pytest.mark.postgres
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("names", [TWO, THREE], ids=["two regions", "three regions"])
def test_histories_left_to_chance_find_nothing(scratch: Scratch, names: tuple[str, ...]) -> None:
    with cluster(scratch, names) as regions:
        run(regions, histories=10 * HISTORIES, chance=True)
