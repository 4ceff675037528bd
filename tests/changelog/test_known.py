"""The quick half of the model against the reference: after every arrival, in any order, both conclude the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from intelgraph.changelog.model.append import Computed, answer
from intelgraph.changelog.model.holding import Holding, arrive
from intelgraph.changelog.model.known import Known
from intelgraph.changelog.model.log import Row, Writer, accepted, in_force, outcomes, state

from .test_model import REGIONS, Story, entity, stories, write


def compare(known: Known, holding: Holding) -> None:
    assert known.rows == holding.rows
    assert list(known.standing) == in_force(holding.rows)
    assert known.accepted == accepted(holding.read)
    assert known.forms == state(holding.read)
    assert known.gone == holding.erased
    for (tenant, key), first in outcomes(holding.read).items():
        found = known.outcome(tenant, key)
        assert found is not None and found.identity == first


def feed(rows: list[Row], region: str) -> None:
    known, holding = Known(region), Holding(region=region)
    for row in rows:
        before, holding = holding, arrive(holding, row)
        assert known.arrive(row) == (before is not holding)
        compare(known, holding)


@given(stories(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_it_concludes_what_the_reference_does_whatever_the_order(story: Story, random: Any) -> None:
    shuffled = [*story.rows, *story.rows]
    random.shuffle(shuffled)
    feed(story.rows, "us-east")
    feed(shuffled, "eu-west")


@given(stories(), st.sampled_from(REGIONS))
@settings(deadline=None)
def test_it_answers_a_write_as_the_reference_does(story: Story, region: str) -> None:
    known = Known(region)
    for row in story.holdings[region].rows.values():
        known.arrive(row)
    for key in ("k", "new"):
        for epoch in range(1, story.epoch + 1):
            request = write(epoch, key, entity("a", "m"))
            expected = answer(Computed(story.holdings[region]), Writer(region, 1), request)
            assert answer(known, Writer(region, 1), request) == expected
