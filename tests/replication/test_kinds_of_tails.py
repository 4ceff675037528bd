"""What a lost home wrote and nobody had, when it comes back: which rows go in by themselves, and what that leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from intelgraph.control.agent.controller import salvaging

from .lone import Lone, entity, opening, relation, touched, upsert, write
from .test_long_tails import Home

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


async def come_back(region: Lone, *rows: Any, before: tuple[Any, ...] = ()) -> None:
    """The next home has opened epoch 2 and knows ``before``; ``rows`` of epoch 1 come late."""
    stream = await region.stream()
    await region.apply(opening(1), on=stream)
    for row in before:
        await region.apply(await touched(region, row), on=stream)
    await region.settle("us-east", 1 + len(before))
    assert (await region.open(2))["status"] == "ok"
    await region.append(2, upsert("z", name="of the next home"))
    for row in rows:
        await region.apply(await touched(region, row), on=stream)


def gone(object_id: str, kind: str = "entity", revision: int = 2) -> Any:
    return {"kind": kind, "id": object_id, "deleted": True, "revision": revision}


async def dangling(region: Lone) -> list[str]:
    found: list[str] = await region.ask(
        """
        select coalesce(array_agg(r.id order by r.id), '{}') from ig.relationship r where not r.deleted and exists (
            select from unnest(array[r.source, r.target]) x where not exists (
                select from ig.entity e where e.tenant = r.tenant and e.id = x and not e.deleted))
        """
    )
    return found


async def left(region: Lone) -> dict[int, str]:
    """The rows that nobody has decided about, with their classes."""
    told = await region.ask("select ig.salvage('p', null, 1000)")
    return {row["position"]: row["class"] for row in told["rows"]}


def test_a_step_of_a_removal_has_no_key_and_goes_in_as_any_row_does(alone: Tell) -> None:
    """A large removal is written in steps; only its last row has the request's key."""

    async def story(region: Lone) -> None:
        known = write(2, entity("a"), entity("b"), relation("r", "a", "b"), relation("s", "b", "a"))
        steps = [write(3 + n, gone(each, "relationship"), key_hash=None) for n, each in enumerate("rs")]
        await come_back(region, *steps, write(5, gone("a")), before=(known,))
        async with Home(region) as home:
            assert await home.people() == 0
            assert not [each for each in home.agent.told if not each.startswith("salvaged")]
        assert await left(region) == {}
        assert await region.ask("select count(*) from ig.relationship where deleted") == 2

    alone(story)


def test_what_a_later_row_has_deleted_is_not_brought_back_by_the_row_that_made_it(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        rows = (
            write(2, entity("a")),
            write(3, entity("c"), relation("r", "c", "a")),
            write(4, gone("r", "relationship"), entity("z", revision=2)),
            write(5, gone("c")),
        )
        await come_back(region, *rows)
        for position in (2, 5):
            name = [{"origin": "us-east", "life": 1, "position": position}]
            assert (await region.ask("select ig.adopt('p', $1, 'by hand')", name))["status"] == "ok"
        assert await left(region) == {3: "conflict", 4: "conflict"}

    alone(story)


def test_a_deletion_at_the_other_end_of_what_dangles_already_is_for_people_too(alone: Tell) -> None:
    """Somebody adopted the deletion of one end by hand; the relationship would lose the other one as well."""

    async def story(region: Lone) -> None:
        known = write(2, entity("a"), entity("b"), relation("r", "a", "b"))
        await come_back(region, write(3, gone("a")), write(4, gone("b")), before=(known,))
        assert await left(region) == {3: "conflict", 4: "conflict"}
        name = [{"origin": "us-east", "life": 1, "position": 3}]
        assert (await region.ask("select ig.adopt('p', $1, 'by hand')", name))["status"] == "ok"
        assert await dangling(region) == ["r"]
        assert await left(region) == {4: "conflict"}

    alone(story)


def test_a_tail_that_nothing_stands_against_goes_in_whole(alone: Tell) -> None:
    """Made, related, deleted with its relationship: the deletion waits for what was related before it."""

    async def story(region: Lone) -> None:
        tail = (
            write(3, entity("a")),
            write(4, relation("r", "a", "b")),
            write(5, gone("r", "relationship"), gone("a")),
        )
        await come_back(region, *tail, before=(write(2, entity("b")),))
        async with Home(region) as home:
            assert await home.people() == 0
        assert await left(region) == {} and await dangling(region) == []

    alone(story)


@pytest.mark.parametrize("objects_max", [4, 200])
def test_a_deletion_on_a_later_page_waits_as_one_on_the_same_page_does(
    alone: Tell, monkeypatch: pytest.MonkeyPatch, objects_max: int
) -> None:
    monkeypatch.setattr(salvaging, "PAGE_OBJECTS_MAX", objects_max)

    async def story(region: Lone) -> None:
        tail = (
            write(3, entity("a")),
            write(4, relation("r", "a", "b"), entity("w")),
            write(5, *[entity(f"f{number}") for number in range(objects_max)]),
            write(6, gone("r", "relationship"), gone("a")),
        )
        await come_back(region, *tail, before=(write(2, entity("b")),))
        async with Home(region) as home:
            assert await home.people() == 0
        assert await left(region) == {} and await dangling(region) == []
        alive = "select array_agg(id order by id) from ig.entity where not deleted and id !~ '^f'"
        assert await region.ask(alive) == ["b", "w", "z"]

    alone(story)


def test_a_deletion_goes_in_when_nothing_else_can_be_decided_on_any_page(
    alone: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would wait for is for people; each page is of one object."""
    monkeypatch.setattr(salvaging, "PAGE_OBJECTS_MAX", 1)

    async def story(region: Lone) -> None:
        known = write(2, entity("a"), entity("b"))
        tail = write(3, entity("z"), relation("r", "a", "b")), write(4, entity("x")), write(5, gone("a"))
        await come_back(region, *tail, before=(known,))
        async with Home(region) as home:
            assert await home.people() == 1
        assert await left(region) == {3: "conflict"} and await dangling(region) == []
        alive = "select array_agg(id order by id) from ig.entity where not deleted"
        assert await region.ask(alive) == ["b", "x", "z"]

    alone(story)


def test_what_a_deletion_that_waits_needs_is_not_deleted_before_it(alone: Tell) -> None:
    """The third waits for the second; the fourth deletes what the third relates."""

    async def story(region: Lone) -> None:
        tail = (
            write(3, entity("a")),
            write(4, relation("r", "a", "b")),
            write(5, gone("r", "relationship"), gone("a"), relation("s", "q", "b")),
            write(6, gone("s", "relationship"), gone("q")),
        )
        await come_back(region, *tail, before=(write(2, entity("b"), entity("q")),))
        async with Home(region) as home:
            assert await home.people() == 0
        assert await left(region) == {} and await dangling(region) == []
        assert await region.ask("select array_agg(id order by id) from ig.entity where not deleted") == ["b", "z"]

    alone(story)


def test_a_relationship_and_the_deletion_of_its_end_do_not_go_in_together(alone: Tell) -> None:
    """Both could, one by one: from two homes that were lost one after the other."""

    async def story(region: Lone) -> None:
        tail = write(3, relation("r", "a", "b")), write(4, gone("b"))
        await come_back(region, *tail, before=(write(2, entity("a"), entity("b")),))
        assert await left(region) == {3: "adoptable", 4: "adoptable"}
        async with Home(region) as home:
            assert await home.people() == 1
        assert await left(region) == {4: "conflict"} and await dangling(region) == []

    alone(story)


def erased(object_id: str) -> Any:
    return {"kind": "erased", "id": object_id}


def test_an_erasure_that_only_the_lost_home_had_leaves_nothing_at_its_id(alone: Tell) -> None:
    """It holds although its row does not count; what lived at the id is deleted by the home, in its own log."""

    async def story(region: Lone) -> None:
        known = write(2, entity("a"), entity("b"), relation("r", "a", "b"), relation("s", "b", "a"))
        tail = write(3, erased("b"), gone("r", "relationship")), write(4, gone("a"))
        await come_back(region, *tail, before=(known,))
        assert await region.ask("select array_agg(id order by id) from ig.entity where not deleted") == ["a", "z"]
        async with Home(region) as home:
            assert await home.people() == 1
        assert await left(region) == {3: "illegal"} and await dangling(region) == []
        assert await region.ask("select count(*) from ig.relationship where not deleted") == 0
        assert await region.ask("select array_agg(id) from ig.entity where not deleted") == ["z"]

    alone(story)


def test_what_the_next_home_related_to_an_id_that_is_erased_goes_in_steps(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await come_back(region, before=(write(2, entity("a"), entity("b")),))
        count = 1_500
        for start in range(0, count, 500):
            relate = [
                {
                    "op": "upsert_relationship",
                    "relationship": {"id": f"r{n}", "type": "uses", "source": "a", "target": "b"},
                }
                for n in range(start, start + 500)
            ]
            assert (await region.append(2, *relate))["status"] == "ok"
        await region.apply(await touched(region, write(3, erased("b"))))
        async with Home(region) as home:
            assert await home.people() == 1
        assert await dangling(region) == []
        assert await region.ask("select count(*) from ig.relationship where deleted") == count
        steps = """
            select array_agg(jsonb_array_length(body -> 'objects') order by position)
            from ig.change where kind = 'write' and epoch = 2 and key_hash is null
        """
        assert await region.ask(steps) == [1_000, 500]

    alone(story)
