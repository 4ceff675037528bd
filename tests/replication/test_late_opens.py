"""A region that hears of a placement late: whether it knows that rows may have passed it by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .lone import HERE, Lone, opening

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]
PEERS = ["us-east", "us-west"]


async def _gap(region: Lone) -> str | None:
    gap: str | None = await region.ask("select gap from ig.placement where id = 'p'")
    return gap


async def _mark(region: Lone, origin: str, number: int) -> None:
    body = {"life": 1, "reads": 1, "number": number, "token_ns": None, "settled": []}
    await region.signal(origin, "mark", body)


@pytest.mark.parametrize(
    ("lost_from", "hours_ago", "regions", "gap"),
    [
        ("us-west", 0, PEERS, True),
        ("us-west", 0.9, PEERS, True),
        ("us-east", 0, PEERS, False),  # whose open it is: what it sent before is about something else
        ("us-west", 2, PEERS, False),
        ("us-west", 0, PEERS[:1], False),  # which is none of the placement's
        (None, 0, PEERS, False),
    ],
)
def test_what_another_region_lost_before_the_first_open_is_a_gap(
    alone: Tell, lost_from: str | None, hours_ago: float, regions: list[str], gap: bool
) -> None:
    async def story(region: Lone) -> None:
        await region.main.execute("insert into ig.peer (name) select unnest($1::text[]) on conflict do nothing", PEERS)
        for origin in PEERS:
            await _mark(region, origin, 1)
            await _mark(region, origin, 3 if origin == lost_from else 2)
        await region.main.execute(
            "update ig.peer set missed_at = missed_at - make_interval(secs => $1)", hours_ago * 3600.0
        )
        await region.apply(opening(1, regions=[*regions, HERE]))
        assert (await _gap(region) is not None) is gap

    alone(story)


def test_what_a_region_lost_before_an_open_that_brings_it_in_is_a_gap(alone: Tell) -> None:
    """It may have opened a later epoch meanwhile, and that row may be among the lost ones."""

    async def story(region: Lone) -> None:
        await region.main.execute("insert into ig.peer (name) select unnest($1::text[]) on conflict do nothing", PEERS)
        await region.apply(opening(1, regions=["us-east", HERE]))
        for number in (1, 3):
            await _mark(region, "us-west", number)
        assert await _gap(region) is None, "it had nothing to do with the placement"
        cut = [("us-east", 1, "{[1,2)}")]
        await region.apply(opening(2, epoch=2, regions=[*PEERS, HERE], cut=cut))
        assert await _gap(region) is not None
        await region.main.execute("update ig.placement set gap = null")
        await region.apply(opening(3, epoch=3, regions=[*PEERS, HERE], cut=[("us-east", 1, "{[1,3)}")]))
        assert await _gap(region) is None, "an open that brings nobody in says nothing new"

    alone(story)


def test_a_second_loss_counts_from_when_it_was(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.main.execute("insert into ig.peer (name) select unnest($1::text[]) on conflict do nothing", PEERS)
        for number in (1, 3):
            await _mark(region, "us-west", number)
        await region.main.execute("update ig.peer set missed_at = missed_at - make_interval(hours => 2)")
        await _mark(region, "us-west", 5)
        await region.apply(opening(1, regions=[*PEERS, HERE]))
        assert await _gap(region) is not None

    alone(story)
