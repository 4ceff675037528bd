"""Who has nothing, or is behind what compaction keeps, is given the state and then the log, and misses no row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from intelgraph.changelog.install import begin_new_life
from intelgraph.settings import SubscriberPolicy
from tests.changelog.feed.subscribers import Mirror, hosting
from tests.replication.lone import HERE, Lone, entity, opening, touched, upsert, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


async def filled(region: Lone, count: int = 20) -> None:
    """Some entities, relationships between them, one deleted, one erased."""
    await region.open(1)
    for number in range(count):
        await region.append(1, upsert(f"e{number:02}"))
    for number in range(1, count):
        relationship = {"id": f"r{number:02}", "type": "uses", "source": "e00", "target": f"e{number:02}"}
        await region.append(1, {"op": "upsert_relationship", "relationship": relationship})
    await region.append(1, {"op": "delete_entity", "id": "e05"})
    await region.append(1, {"op": "erase", "ids": ["e06"]})


async def compact(region: Lone) -> None:
    """Compact all that was written until now."""
    await region.ask("select setval('ig.position', 4095)")
    for _ in range(3):
        await region.ask("select ig.settle()")
    answer = await region.ask("select ig.compact('p', $1, 1, 4095)", HERE)
    assert answer["status"] == "ok", answer


def test_a_new_subscriber_is_given_the_state_in_pages_and_then_what_changed_meanwhile(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await filled(region)
        await compact(region)
        mirror = Mirror()
        number = 0

        async def write_between_pages() -> None:
            # Before the page, behind it, of what it holds, and gone: each page is of another moment.
            nonlocal number
            number += 1
            await region.append(1, upsert(f"a{number}"), upsert(f"z{number}"), upsert("e01", name=f"n{number}"))
            await region.append(1, {"op": "delete_entity", "id": f"e{number + 6:02}"})

        mirror.state.before_page = write_between_pages
        async with hosting(region, mirror) as running:
            await running.mirrors(mirror)
            assert mirror.state.begun == 1
            assert max(len(page) for page in mirror.state.pages) == 7
            kinds = [each.kind for page in mirror.state.pages for each in page]
            assert kinds == sorted(kinds)
            assert (await running.status("mirror")).state == "following"
        assert ("t", "entity", "e06") not in mirror.state.objects
        assert mirror.state.objects["t", "entity", "e05"][2]["deleted"]

    alone(story)


def test_a_page_is_bounded_in_bytes(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        for number in range(6):
            await region.append(1, upsert(f"e{number}", name="x" * 2_000))
        mirror = Mirror()
        async with hosting(region, mirror, policy=SubscriberPolicy(bytes_max=4_000, look_s=0.02)) as running:
            await running.mirrors(mirror)
        assert [len(page) for page in mirror.state.pages] == [2, 2, 2]

    alone(story)


def test_one_that_is_behind_what_compaction_keeps_begins_anew_and_one_that_is_not_goes_on(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        behind, ahead = Mirror("behind"), Mirror("ahead")
        await region.open(1)
        async with hosting(region, behind, ahead) as running:
            await running.mirrors(behind)
            await running.mirrors(ahead)
            behind.is_broken = True
            for number in range(10):
                await region.append(1, upsert(f"e{number}"))
            await running.mirrors(ahead)
            await compact(region)
            behind.is_broken = False
            await region.append(1, upsert("later"))
            await running.mirrors(behind)
            await running.mirrors(ahead)
            assert (behind.state.begun, ahead.state.begun) == (2, 1)
        assert all(row.position >= 4096 for row in behind.rows if row.kind == "write")

    alone(story)


def test_one_that_says_that_it_has_nothing_begins_anew(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await filled(region)
        mirror = Mirror()
        async with hosting(region, mirror) as running:
            await running.mirrors(mirror)
        async with hosting(region, mirror) as running:
            await running.mirrors(mirror)
        assert mirror.state.begun == 1
        mirror.state.objects.clear()
        mirror.state.is_kept = False
        async with hosting(region, mirror) as running:
            await running.mirrors(mirror)
        assert mirror.state.begun == 2

    alone(story)


def test_an_interrupted_rebuild_goes_on_behind_the_last_page_that_was_taken(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await filled(region)
        mirror = Mirror()
        attempts = 0

        async def fail_once() -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 3:
                raise RuntimeError

        mirror.state.before_page = fail_once
        async with hosting(region, mirror) as running:
            await running.mirrors(mirror)
        assert mirror.state.begun == 1
        taken = [(each.kind, each.tenant, each.id) for page in mirror.state.pages for each in page]
        assert taken == sorted(set(taken))

    alone(story)


def test_rows_that_count_only_later_or_no_more_come_again(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(await touched(region, write(2, entity("a", name="old"))))
        await region.settle("us-east", 2)
        mirror = Mirror()
        async with hosting(region, mirror) as running:
            await running.mirrors(mirror)
            # A row that is cut off after it counted, one that is beyond the cut, and both adopted later.
            await region.apply(await touched(region, write(3, entity("a", name="tail", revision=2), entity("b"))))
            await running.mirrors(mirror)
            await region.apply(opening(1, 2, origin="eu-central", cut=[("us-east", 1, "{[1,3)}")]))
            await running.mirrors(mirror)
            assert mirror.state.objects["t", "entity", "a"][2]["name"] == "old"
            assert (await region.open(3))["status"] == "ok"
            await region.apply(await touched(region, write(4, entity("c"))))
            await running.mirrors(mirror)
            rows = [{"origin": "us-east", "life": 1, "position": position} for position in (3, 4)]
            assert (await region.ask("select ig.adopt('p', $1, 'why not')", rows))["status"] == "ok"
            await running.mirrors(mirror)
            await running.until(lambda: region.ask("select not exists (select from ig.again)"))
        told = [(row.position, row.status) for row in mirror.rows if row.origin == "us-east" and row.position > 2]
        assert told == [
            (3, "applied"), (3, "inert"), (4, "inert"), (3, "applied"), (4, "applied"),
        ]  # fmt: skip
        assert mirror.state.begun == 1

    alone(story)


def test_rows_that_were_held_come_again_when_they_are_taken(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(await touched(region, write(2, entity("a"), version=2)))
        mirror = Mirror()
        async with hosting(region, mirror) as running:
            await running.until(lambda: mirror.rows or mirror.ends)
            await region.ask("update ig.region set reads = 2 returning 1")
            assert await region.ask("select ig.release('p')") == 1
            await running.until(lambda: ("t", "entity", "a") in mirror.state.objects)
            await running.mirrors(mirror)

    alone(story)


def test_state_that_came_without_rows_makes_subscribers_begin_anew(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.settle("us-east", 1)
        mirror = Mirror()
        async with hosting(region, mirror) as running:
            await running.mirrors(mirror)
            item = {"placement": "p", "tenant": "t", "kind": "entity", "id": "s", "epoch": 1, "position": 3}
            floors = [{"placement": "p", "origin": "us-east", "life": 1, "position": 4095}]
            body = {"placement": "p", "objects": [{**item, "object": entity("s")}], "floors": floors, "digests": []}
            await region.signal("us-east", "snapshot", body)
            await running.until(lambda: ("t", "entity", "s") in mirror.state.objects)
            await running.mirrors(mirror)
        assert mirror.state.begun == 2

    alone(story)


def test_cursors_of_another_life_of_the_database_are_not_gone_on_from(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await filled(region)
        mirror = Mirror()
        async with hosting(region, mirror) as running:
            await running.mirrors(mirror)
        await begin_new_life(region.main)
        mirror.state.objects["t", "entity", "of-the-lost-life"] = (1, 99, {})
        async with hosting(region, mirror) as running:
            await running.mirrors(mirror)
        assert mirror.state.begun == 2

    alone(story)


def test_a_rebuild_waits_for_what_is_older_than_the_floor_and_then_misses_nothing(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.settle("us-east", 1)
        old = await region.connect()
        await old.execute("begin")
        await old.execute("insert into ig.trouble (what) values ('old')")
        body = {"placement": "p", "objects": [], "floors": [], "digests": []}
        await region.signal("us-east", "snapshot", body)
        mirror = Mirror()
        async with hosting(region, mirror) as running:

            async def is_waiting() -> bool:
                return (await running.status("mirror")).state == "rebuilding"

            await running.until(is_waiting)
            await region.apply(await touched(region, write(2, entity("a"))))
            assert mirror.state.begun == 0
            await old.execute("rollback")
            await running.mirrors(mirror)
        assert mirror.state.begun == 1

    alone(story)
