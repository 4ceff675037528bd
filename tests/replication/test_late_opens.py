"""A region that hears of a placement late: whether it knows that rows may have passed it by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .lone import HERE, Lone, opening

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]
PEERS = ["us-east", "us-west"]


async def _mark(region: Lone, origin: str, number: int) -> None:
    body = {"life": 1, "reads": 1, "number": number, "token_ns": None, "settled": []}
    await region.signal(origin, "mark", body)


@pytest.mark.parametrize(
    ("lost_from", "hours_ago", "gap"),
    [
        ("us-west", 0, True),
        ("us-east", 0, False),  # whose open it is: what it sent before is about something else
        ("us-west", 2, False),
        (None, 0, False),
    ],
)
def test_what_another_region_lost_before_the_first_open_is_a_gap(
    alone: Tell, lost_from: str | None, hours_ago: int, gap: bool
) -> None:
    async def story(region: Lone) -> None:
        await region.main.execute("insert into ig.peer (name) select unnest($1::text[]) on conflict do nothing", PEERS)
        for origin in PEERS:
            await _mark(region, origin, 1)
            await _mark(region, origin, 3 if origin == lost_from else 2)
        await region.main.execute("update ig.peer set missed_at = missed_at - make_interval(hours => $1)", hours_ago)
        await region.apply(opening(1, regions=[*PEERS, HERE]))
        found = await region.ask("select gap from ig.placement where id = 'p'")
        assert (found is not None) is gap, found

    alone(story)
