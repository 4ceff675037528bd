"""Real databases against the model: generated histories of two and of three regions, and bugs planted to be found."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from bench.scratch import Scratch

from .planted import PLANTED, Planted
from .regions import Cluster, cluster, server
from .state_machine import Histories

TWO = ("us-east", "eu-west")
THREE = ("us-east", "eu-west", "us-west")
HISTORIES, HISTORIES_OF_A_PROOF = 20, 250
HISTORIES_TO_FIND_A_BUG = 400
STEPS = 32


def machine(regions: Cluster, steps: frozenset[str] | None) -> type[Histories]:
    """The state machine on some regions, of which only some steps are taken by themselves."""
    rules = {name: member.hypothesis_stateful_rule for name, member in vars(Histories).items()
             if hasattr(member, "hypothesis_stateful_rule")}  # fmt: skip
    assert steps is None or steps <= rules.keys()
    left_out = {} if steps is None else {name: found.function for name, found in rules.items() if name not in steps}
    return type("Run", (Histories,), {"cluster": regions, **left_out})


def run(
    regions: Cluster,
    *,
    histories: int,
    steps: frozenset[str] | None = None,
    chance: bool = False,
    quiet: bool = False,
) -> None:
    """Generate histories, the same ones each time unless left to ``chance``; raises at the first that differs."""
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
    run_state_machine_as_test(machine(regions, steps), settings=chosen)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Scratch]:
    with server() as running:
        yield running


@pytest.mark.postgres
@pytest.mark.timeout(900)
@pytest.mark.parametrize("names", [TWO, THREE], ids=["two regions", "three regions"])
@pytest.mark.parametrize("histories", [HISTORIES, pytest.param(HISTORIES_OF_A_PROOF, marks=pytest.mark.prove)])
def test_every_region_concludes_what_the_model_concludes(
    scratch: Scratch, names: tuple[str, ...], histories: int
) -> None:
    with cluster(scratch, names) as regions:
        run(regions, histories=histories)
        assert regions.histories >= histories


@pytest.mark.prove
@pytest.mark.postgres
@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(scratch: Scratch, bug: Planted) -> None:
    with cluster(scratch, THREE, bug.schema) as regions:
        with pytest.raises((AssertionError, asyncpg.PostgresError, Flaky)) as found:
            run(regions, histories=HISTORIES_TO_FIND_A_BUG, steps=bug.steps, quiet=True)
        print(f"{bug.name}: found in history {regions.histories}: {found.value!r:.200}")


@pytest.mark.prove
@pytest.mark.postgres
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("names", [TWO, THREE], ids=["two regions", "three regions"])
def test_histories_left_to_chance_find_nothing(scratch: Scratch, names: tuple[str, ...]) -> None:
    with cluster(scratch, names) as regions:
        run(regions, histories=3 * HISTORIES_OF_A_PROOF, chance=True)
