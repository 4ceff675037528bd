"""Closing a placement before it moves: real databases, over generated histories, against the same model of the fence.

A small machine of its own: writes, closes, reopens, opens and decisions in two regions, in any epoch whatever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bench.scratch import Scratch
from intelgraph.changelog.model.append import Request
from intelgraph.changelog.model.log import Class, Kind, classify
from tests.cases import cases

from .closing import ClosingWorld
from .comparison import compare
from .planted import Planted
from .regions import Cluster, cluster, server

TWO = ("us-east", "eu-west")
EPOCHS_MAX = 6
where = st.integers(0, 1)
off = st.sampled_from((-1, 0, 0, 0, 0, 1))


class Closings(RuleBasedStateMachine):
    """Histories over the regions of ``cluster``, which a subclass sets."""

    cluster: Cluster

    def __init__(self) -> None:
        super().__init__()
        self.world = ClosingWorld(cluster=self.cluster, names=TWO, number=self.cluster.begin())
        self.steps = 0

    @initialize()
    def first(self) -> None:
        self.world.open(TWO[0], TWO, force=False)
        self.world.deliver_everything()

    @rule(at=where, by=off, again=st.booleans())
    def write(self, at: int, by: int, again: bool) -> None:
        self.steps += 1
        entity = {"op": "upsert_entity", "entity": {"id": f"e{self.steps % 3}", "type": "t", "name": str(self.steps)}}
        request = Request(
            epoch=max(1, self.world.believed(TWO[at]) + by),
            tenant=self.world.tenant(0),
            key="again" if again else f"k{self.steps}",
            request="same" if again else str(self.steps),
            operations=(entity,),
        )
        self.world.append(TWO[at], request)

    @rule(at=where, by=off)
    def close(self, at: int, by: int) -> None:
        self.world.close(TWO[at], max(1, self.world.believed(TWO[at]) + by))

    @rule(at=where, by=off)
    def reopen(self, at: int, by: int) -> None:
        self.world.reopen(TWO[at], max(1, self.world.believed(TWO[at]) + by))

    @rule(at=where, heard=st.booleans())
    def open(self, at: int, heard: bool) -> None:
        if heard:
            self.world.deliver_everything()
        if self.world.epoch < EPOCHS_MAX and self.world.may_open(TWO[at]):
            self.world.open(TWO[at], TWO, force=False)

    @rule(at=where, kind=st.sampled_from((Kind.ADOPT, Kind.REJECT)))
    def decide(self, at: int, kind: Kind) -> None:
        classes = classify(self.world.holdings[TWO[at]].read)
        chosen = sorted(key for key, found in classes.items() if found is Class.ADOPTABLE)
        if chosen:
            self.world.decide(TWO[at], kind, chosen)

    @rule()
    def carry(self) -> None:
        self.world.deliver_everything()

    @rule(at=where)
    def live_again(self, at: int) -> None:
        if self.steps > 5:
            self.world.new_life(TWO[at])

    @invariant()
    def nothing_comes_after_the_close(self) -> None:
        self.world.check_closed()

    def teardown(self) -> None:
        self.world.deliver_everything()
        for name in TWO:
            compare(self.world, name)


PLANTED = (
    Planted(
        name="the fence does not look at what was closed",
        law="closing: nothing of the epoch comes after it",
        changes=(("060_append.sql", "elsif p.closed = p_epoch then", "elsif false then"),),
    ),
    Planted(
        name="the short way past the fence does not look at what was closed",
        law="closing: nothing of the epoch comes after it",
        changes=(("060_append.sql", "c.placement = p_placement and c.epoch = p_epoch);", "false);"),),
    ),
    Planted(
        name="a placement that was closed stays so in later epochs",
        law="closing: undone by any later epoch",
        changes=(("060_append.sql", "elsif p.closed = p_epoch then", "elsif p.closed <= p_epoch then"),),
    ),
    Planted(
        name="closing again tells the position of now",
        law="closing: asked again, it answers the same",
        changes=(("075_closing.sql", "        closed := already;", "        select p_placement, p_epoch, life, last_value + 1 into closed from ig.region, ig.position;"),),  # noqa: E501
    ),
)  # fmt: skip


def run(regions: Cluster, histories: int) -> None:
    chosen = settings(
        max_examples=histories,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    machine: Any = type("Run", (Closings,), {"cluster": regions})
    run_state_machine_as_test(machine, settings=chosen)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Scratch]:
    with server() as running:
        yield running


@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_nothing_of_a_closed_epoch_is_written_until_it_is_reopened_or_over(scratch: Scratch) -> None:
    with cluster(scratch, TWO) as regions:
        run(regions, cases(120))


@pytest.mark.postgres
@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_of_closing_is_found(scratch: Scratch, bug: Planted) -> None:
    with cluster(scratch, TWO, bug.schema) as regions, pytest.raises((AssertionError, Flaky)):
        run(regions, cases(120))
