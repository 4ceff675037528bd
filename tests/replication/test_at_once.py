"""Several transactions at one region at once: nothing erased comes back, nothing is held for a race."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.replication.lone import Lone, entity, opening, touched, upsert, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


async def beside(region: Lone, first: Any, second: Any) -> None:
    """Apply ``first`` on one stream and, before it commits, ``second`` on another."""
    one, other = await region.stream(), await region.stream()
    transaction = one.transaction()
    await transaction.start()
    await region.apply(first, on=one)
    task = asyncio.create_task(region.apply(second, on=other))
    await asyncio.sleep(0.1)
    await transaction.commit()
    await task


@pytest.mark.parametrize("erasure_first", [True, False])
def test_content_that_arrives_while_its_erasure_does_is_erased(alone: Tell, erasure_first: bool) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        content = await touched(region, write(2, entity("x", name="needle")))
        erasure = await touched(region, write(3, {"kind": "erased", "id": "x"}, origin="eu-central"))
        await beside(region, *((erasure, content) if erasure_first else (content, erasure)))
        assert await region.ask("select count(*) from ig.entity where id = 'x'") == 0
        assert await region.ask("select count(*) from ig.change where body::text like '%needle%'") == 0

    alone(story)


def test_erasures_that_overlap_do_not_hold_the_placement(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        one, other = await region.stream(), await region.stream()
        first, second = one.transaction(), other.transaction()
        await first.start()
        await second.start()
        rows = []
        for n, (origin, ids) in enumerate([("us-east", "ab"), ("eu-central", "ba")]):
            for m, name in enumerate(ids):
                row = write(10 + 2 * n + m, {"kind": "erased", "id": name}, origin=origin)
                rows.append(await touched(region, row))
        one_way = asyncio.create_task(_apply_all(region, rows[:2], one, first))
        other_way = asyncio.create_task(_apply_all(region, rows[2:], other, second))
        await asyncio.gather(one_way, other_way)
        assert await region.ask("select hold from ig.placement where id = 'p'") is None
        assert await region.ask("select count(*) from ig.change where status = 'applied' and kind = 'write'") == 4

    alone(story)


def test_a_deadlock_between_streams_is_tried_again_and_holds_nothing(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        one, other = await region.stream(), await region.stream()
        first, second = one.transaction(), other.transaction()
        await first.start()
        await second.start()
        await region.apply(write(2, entity("a")), on=one)
        await region.apply(write(3, entity("b"), origin="eu-central"), on=other)
        waiting = asyncio.create_task(region.apply(write(4, entity("b")), on=one))
        await region.blocked(one)
        ends = await asyncio.gather(
            waiting, region.apply(write(5, entity("a"), origin="eu-central"), on=other), return_exceptions=True
        )
        broken = [end for end in ends if isinstance(end, Exception)]
        assert len(broken) == 1, "the worker of one stream begins its transaction again, as replication does"
        for end, transaction in zip(ends, (first, second), strict=True):
            if isinstance(end, Exception):
                await transaction.rollback()
            else:
                await transaction.commit()
        assert await region.ask("select hold from ig.placement where id = 'p'") is None
        assert await region.ask("select count(*) from ig.change where status = 'held'") == 0

    alone(story)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "upsert_entity", "id": "elsewhere", "entity": {"id": "a", "type": "malware", "name": "second"}},
        {"op": "upsert_entity", "id": "a", "type": "malware", "name": "second"},
    ],
    ids=["two ids", "no wrapping"],
)
def test_whatever_an_operation_looks_like_it_locks_what_it_writes(alone: Tell, operation: Any) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        one, other = await region.connect(), await region.connect()
        transaction = one.transaction()
        await transaction.start()
        await region.append(1, upsert("a", name="first"), on=one)
        task = asyncio.create_task(region.append(1, operation, on=other))
        await asyncio.sleep(0.2)
        waited = not task.done()
        await transaction.commit()
        told = await task
        if told["status"] == "ok":
            assert waited
            assert [item["revision"] for item in told["objects"] if item["id"] == "a"] == [2]

    alone(story)


def test_one_object_named_twice_in_disguise_is_one_object(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        disguised = [
            {"op": "upsert_entity", "id": "a", "type": "t", "name": "n", "relationship": {"id": str(n)}}
            for n in range(2)
        ]
        told = await region.append(1, *disguised)
        assert told["status"] == "refused" or len(told["objects"]) == 1

    alone(story)


@pytest.mark.parametrize("ids", [[None], [""], ["x" * 257], [5], [["a"]], "a", None, {}], ids=str)
def test_a_malformed_erasure_is_refused_not_an_error(alone: Tell, ids: Any) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        told = await region.append(1, {"op": "erase", "ids": ids})
        assert (told["status"], told["code"]) == ("refused", "bad_operation")

    alone(story)


@pytest.mark.parametrize("operations", [None, 5, {}, "x"], ids=str)
def test_operations_that_are_no_list_are_refused_not_an_error(alone: Tell, operations: Any) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        told = await region.ask("select ig.append('p', 1, 't', 'k', '\\x00', $1)", operations)
        assert (told["status"], told["code"]) == ("refused", "bad_operation")

    alone(story)


def test_operations_that_are_no_objects_are_refused_not_an_error(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        for operation in (None, 5, [], "x", {}, {"op": 7}, {"op": "upsert_entity", "entity": None},
                          {"op": "upsert_entity", "entity": {"id": "a", "type": "t", "name": "n"}, "if_revision": "x"},
                          {"op": "upsert_entity", "entity": {"id": "a", "type": "t", "name": "n", "confidence": 101}},
                          {"op": "upsert_entity", "entity": {"id": "a", "type": "t", "name": "n", "sources": 5}},
                          {"op": "upsert_entity", "entity": {"id": "a", "type": "t", "name": {"x": 1}}},
                          {"op": "upsert_entity", "entity": {"id": "a", "type": "t", "name": "n", "properties": 5}},
                          {"op": "upsert_relationship", "relationship": {"id": "a", "type": "t"}}):  # fmt: skip
            told = await region.append(1, operation)
            assert told["status"] == "refused", operation
        assert await region.ask("select count(*) from ig.change where kind = 'write'") == 0

    alone(story)


async def _apply_all(region: Lone, rows: list[Any], stream: Any, transaction: Any) -> None:
    for row in rows:
        await region.apply(row, on=stream)
        await asyncio.sleep(0.05)
    await transaction.commit()
