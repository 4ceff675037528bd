"""The tenant's feed: nothing appears below a cursor that was given out, and nothing that counts is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.replication.lone import HERE, Json, Lone, entity, opening, touched, upsert, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


async def told(region: Lone, after: str | None = None) -> list[str]:
    """The bookmarks that are given out after a cursor."""
    answer = await region.changes(after)
    assert answer["status"] == "ok", answer
    return [change["bookmark"] for change in answer["changes"]]


def test_rows_of_an_older_epoch_that_are_on_their_way_are_waited_for(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(write(2, entity("a")))
        await region.settle("us-east", 2)
        assert await told(region) == ["us-east/1/1/2"]
        # eu-central holds us-east's rows up to 4 and opens the next epoch; rows 3 and 4 have not come here yet.
        cut = [("us-east", 1, "{[1,5)}")]
        await region.apply(opening(1, 2, origin="eu-central", cut=cut))
        await region.apply(write(2, entity("b"), origin="eu-central", epoch=2))
        await region.settle("eu-central", 2)
        assert await told(region) == ["us-east/1/1/2"]
        await region.apply(write(3, entity("c")))
        await region.settle("us-east", 4)
        assert await told(region) == ["us-east/1/1/2", "us-east/1/1/3", "eu-central/1/2/2"]

    alone(story)


def test_positions_held_beyond_a_settled_prefix_are_counted_one_by_one(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(write(2, entity("a")))
        await region.settle("us-east", 2)
        cut = [("us-east", 1, "{[1,3),[5,6),[7,8)}")]
        await region.apply(opening(1, 2, origin="eu-central", cut=cut))
        await region.apply(write(2, entity("b"), origin="eu-central", epoch=2))
        await region.settle("eu-central", 2)
        await region.apply(write(5, entity("e")))
        assert await told(region) == ["us-east/1/1/2"]
        await region.apply(write(7, entity("f")))
        assert await told(region) == ["us-east/1/1/2", "us-east/1/1/5", "us-east/1/1/7", "eu-central/1/2/2"]

    alone(story)


def test_what_a_dead_region_never_settled_is_waited_for_until_it_is_compared(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(opening(1, 2, origin="eu-central", cut=[("us-east", 1, "{[1,4)}")]))
        await region.apply(write(2, entity("b"), origin="eu-central", epoch=2))
        await region.settle("eu-central", 2)
        await region.apply(write(3, entity("a")))
        assert await told(region) == []
        await region.ask("select ig.note_whole('p', 2)")
        assert await told(region) == ["us-east/1/1/3", "eu-central/1/2/2"]

    alone(story)


async def with_a_tail(region: Lone) -> tuple[Json, str]:
    """We are home in epoch 2; us-east's row 3 is beyond the cut. Returns it, and a bookmark of ours."""
    await region.apply(opening(1))
    await region.apply(await touched(region, write(2, entity("a", name="old"))))
    await region.settle("us-east", 2)
    assert (await region.open(2))["status"] == "ok"
    kept = await region.append(2, upsert("b"))
    tail = await touched(region, write(3, entity("a", name="tail", revision=2), entity("c", name="tail")))
    await region.apply(tail)
    for _ in range(3):
        await region.ask("select ig.settle()")
    return tail, kept["bookmark"]


def test_an_adopted_row_is_told_where_its_adoption_stands(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        _tail, bookmark = await with_a_tail(region)
        assert await told(region) == ["us-east/1/1/2", bookmark]
        rows = [{"origin": "us-east", "life": 1, "position": 3}]
        adopted = await region.ask("select ig.adopt('p', $1, 'why not')", rows)
        assert adopted["status"] == "ok"
        for _ in range(3):
            await region.ask("select ig.settle()")
        assert await told(region, bookmark) == [adopted["bookmark"]]
        objects = (await region.changes(bookmark))["changes"][0]["objects"]
        assert {(item["id"], item["name"]) for item in objects} == {("a", "tail"), ("c", "tail")}
        assert await told(region) == ["us-east/1/1/2", bookmark, adopted["bookmark"]]

    alone(story)


def test_an_adopted_row_never_tells_a_form_that_a_later_epoch_has_replaced(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        _tail, _bookmark = await with_a_tail(region)
        newer = await region.append(2, upsert("a", name="newest"))
        rows = [{"origin": "us-east", "life": 1, "position": 3}]
        await region.ask("select ig.adopt('p', $1, 'why not')", rows)
        for _ in range(3):
            await region.ask("select ig.settle()")
        change = (await region.changes(newer["bookmark"]))["changes"][-1]
        assert {(item["id"], item["name"]) for item in change["objects"]} == {("a", "newest"), ("c", "tail")}

    alone(story)


def test_the_feed_goes_on_across_what_was_compacted(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        first = await region.append(1, upsert("a", name="1"))
        await region.append(1, upsert("a", name="2"), upsert("b", name="2"))
        last = await region.append(1, upsert("c", name="3"))
        await region.ask("select setval('ig.position', 4095)")
        for _ in range(3):
            await region.ask("select ig.settle()")
        assert (await region.ask("select ig.compact('p', $1, 1, 4095)", HERE))["rows"] == 3
        later = await region.append(1, upsert("d"))
        for _ in range(3):
            await region.ask("select ig.settle()")
        changes = (await region.changes(first["bookmark"]))["changes"]
        assert [[item["id"] for item in change["objects"]] for change in changes] == [["a", "b"], ["c"], ["d"]]
        assert [change["bookmark"] for change in changes][1:] == [last["bookmark"], later["bookmark"]]
        assert len(await told(region)) == 3
        assert (await region.changes(None, 1))["next"] == changes[0]["bookmark"]

    alone(story)
