"""Rows beyond a cut that erase: what lives at the erased ids is deleted by the home, for as long as it may write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .lone import Lone, entity, opening, relation, touched, write
from .test_kinds_of_tails import come_back, dangling, erased, gone, left
from .test_long_tails import Home

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]
KNOWN = write(2, entity("a"), entity("b"), relation("r", "a", "b"))
ALIVE = (
    "select coalesce(array_agg(tenant || '/' || id order by tenant, id), '{}') from ig.relationship where not deleted"
)


def named(*positions: int) -> list[dict[str, Any]]:
    return [{"origin": "us-east", "life": 1, "position": position} for position in positions]


async def unlink(region: Lone, *positions: int, placement: str = "p") -> Any:
    return await region.ask("select ig.unlink_erased($1, $2)", placement, named(*positions))


def test_a_row_that_erases_is_rejected_only_when_nothing_lives_at_its_ids(alone: Tell) -> None:
    """Afterwards it is in no list, and nobody would know."""

    async def story(region: Lone) -> None:
        other = write(4, gone("x"))
        await come_back(region, write(3, erased("b"), gone("r", "relationship")), other, before=(KNOWN,))
        reject = "select ig.reject('p', $1, 'by hand')"
        told = await region.ask(reject, named(4, 3))
        assert (told["status"], told["code"]) == ("refused", "erasure_goes_on")
        assert "relationships still live" in told["reason"]
        assert set(await left(region)) == {3, 4}
        assert (await region.ask(reject, named(4)))["status"] == "ok"
        async with Home(region) as home:
            assert await home.people() == 1
            assert (await region.ask(reject, named(3)))["status"] == "ok"
            assert await home.people() == 0
        assert await dangling(region) == [] and await region.ask(ALIVE) == []

    alone(story)


def test_what_lives_at_ids_erased_by_two_tenants_is_deleted_for_both(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        theirs = write(3, entity("a"), entity("b"), relation("r", "a", "b"), relation("s", "a", "a"), tenant="u")
        tail = write(4, erased("b")), write(5, erased("b"), tenant="u")
        await come_back(region, *tail, before=(KNOWN, theirs))
        async with Home(region) as home:
            assert await home.people() == 2
        assert await region.ask(ALIVE) == ["u/s"] and await dangling(region) == []

    alone(story)


def test_nothing_is_deleted_while_the_home_may_not_write(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await come_back(region, write(3, erased("b")), before=(KNOWN,))
        assert (await region.ask("select ig.close('p', 2)"))["status"] == "ok"
        rows = await region.ask("select count(*) from ig.change")
        told = await unlink(region, 3)
        assert (told["status"], told["code"]) == ("refused", "closing")
        assert await region.ask(ALIVE) == ["t/r"] and await region.ask("select count(*) from ig.change") == rows
        assert (await region.ask("select ig.reopen('p', 2)"))["status"] == "ok"
        assert await unlink(region, 3) == {"status": "ok", "rows": 1}

    alone(story)


def test_of_rows_of_another_placement_nothing_is_deleted(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await come_back(region)
        there = {"placement": "q", "tenant": "v"}
        known = write(11, entity("a"), entity("b"), relation("r", "a", "b"), **there)
        await region.apply(opening(10, placement="q"))
        await region.apply(await touched(region, known))
        await region.settle("us-east", 11)
        assert (await region.open(2, placement="q"))["status"] == "ok"
        await region.apply(await touched(region, write(12, erased("b"), **there)))
        assert await unlink(region, 12) == {"status": "ok", "rows": 0}
        assert await region.ask(ALIVE) == ["v/r"]
        assert await unlink(region, 12, placement="q") == {"status": "ok", "rows": 1}

    alone(story)


def test_of_rows_that_count_nothing_is_deleted(alone: Tell) -> None:
    """Such a row has deleted what there was."""

    async def story(region: Lone) -> None:
        await come_back(region, before=(KNOWN, write(3, erased("b"))))
        assert await region.status(write(3)) == "applied"
        assert await unlink(region, 3) == {"status": "ok", "rows": 0}

    alone(story)


def test_a_page_that_only_deletes_is_followed_by_another_at_once(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await come_back(region, write(3, erased("b")), before=(KNOWN,))
        async with Home(region) as home:
            assert await home.look_and_go_round()
            assert not await home.look_and_go_round()

    alone(story)
