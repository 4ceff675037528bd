"""What tenants share: nobody has more than its share, and nobody loses what it has because another asks for much."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from intelgraph.api.limits.outgoing import Outgoing
from intelgraph.api.limits.shares import OF_ALL, OF_TENANT, Full, Shares
from intelgraph.api.limits.slots import Slots
from intelgraph.api.policy import UnreadPolicy
from intelgraph.graph.engines.postgres.weight import ANSWER_BYTES_MAX, OBJECT_BYTES_MAX, object_bytes_max
from intelgraph.graph.query.cache import Cache
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from intelgraph.model.errors import TransientError


def run(story: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))  # type: ignore[arg-type]


def test_an_owner_has_its_share_and_all_have_no_more_than_there_is() -> None:
    told: list[Full] = []
    shares = Shares(most=5, each=3, on_full=told.append)
    assert [shares.take("a") for _ in range(3)] == [None, None, None]
    assert shares.take("a") == Full(found=3, limit=3, whose=OF_TENANT)
    assert shares.take("b", 2) is None
    assert shares.take("b") == Full(found=5, limit=5, whose=OF_ALL)
    shares.give("a")
    assert shares.take("b") is None
    assert len(told) == 2
    assert (shares.taken, shares.of("a"), shares.of("b")) == (5, 2, 3)


def test_an_owner_that_waits_for_many_leaves_some_to_others() -> None:
    async def story() -> None:
        slots = Slots(3, wait_s=5, each=2)
        assert [slots.take_now("a") for _ in range(3)] == [True, True, False]
        waiting = [asyncio.create_task(slots.take("a")) for _ in range(50)]
        await asyncio.sleep(0)
        assert slots.take_now("b")
        assert not slots.take_now("c")
        slots.give("b")
        assert slots.take_now("c"), "the slot that was given back is not the waiting owner's"
        slots.give("a")
        await asyncio.sleep(0)
        assert sum(task.done() for task in waiting) == 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    run(story())


def test_owners_that_wait_take_turns() -> None:
    async def story() -> None:
        slots, got = Slots(1, wait_s=5), []
        await slots.take("x")

        async def use(owner: str) -> None:
            await slots.take(owner)
            got.append(owner)
            slots.give(owner)

        tasks = [asyncio.create_task(use(owner)) for owner in "aaaabb"]
        await asyncio.sleep(0)
        slots.give("x")
        await asyncio.gather(*tasks)
        assert "".join(got) == "ababaa"

    run(story())


def test_of_an_owner_that_has_too_much_the_least_lately_used_goes_and_of_nobody_else() -> None:
    cache = Cache(bytes_max=100, bytes_each=40)
    for number in range(4):
        cache.get(("a", number), lambda: "value", owner="a", size=lambda _: 10)
    cache.get("b", lambda: "theirs", owner="b", size=lambda _: 10)
    assert cache.find(("a", 0)) == "value"
    for number in range(10, 13):
        cache.get(("a", number), lambda: "value", owner="a", size=lambda _: 10)
    assert ("a", 0) in cache
    assert [("a", number) in cache for number in (1, 2, 3)] == [False, False, False]
    assert cache.find("b") == "theirs"
    assert (cache.bytes_of("a"), cache.bytes) == (40, 50)


def test_when_all_is_full_it_goes_from_whoever_has_most() -> None:
    cache = Cache(bytes_max=100, bytes_each=60)
    for number in range(6):
        cache.get(("a", number), lambda: 1, owner="a", size=lambda _: 10)
    for number in range(6):
        cache.get(("b", number), lambda: 1, owner="b", size=(lambda _: 10) if number < 4 else (lambda _: 5))
    assert cache.bytes <= 100
    assert all(("b", number) in cache for number in range(6))


def test_what_is_larger_than_a_share_is_made_and_not_remembered() -> None:
    cache = Cache(bytes_max=100, bytes_each=40)
    assert cache.get("x", lambda: "large", owner="a", size=lambda _: 41) == "large"
    assert "x" not in cache
    assert cache.bytes == 0


@pytest.mark.prove
def test_a_tenant_with_a_thousand_documents_forgets_its_own_and_nobody_elses() -> None:
    planner = Planner(schema=load_schema())
    planner.document("{ stats { entities } }", None, tenant="b")
    for number in range(60):
        fields = " ".join(f"a{number}_{n}: entity(id: {n}) {{ id name type }}" for n in range(99))
        planner.document("query Q {" + fields + "}", None, tenant="a")
    assert planner.knows("{ stats { entities } }", None)
    assert 0 < planner.documents.bytes_of("a") <= 16 * 2**20


def test_what_was_made_of_a_document_goes_with_it() -> None:
    planner = Planner(schema=load_schema())
    document = planner.document("query ($n: Int!) { entities(first: $n) { items { id } } }", None)
    for number in range(500):
        planner.prepare(document, {"n": number})
    assert len(document.made) <= 100


def test_who_leaves_much_unread_waits_and_others_do_not() -> None:
    async def story() -> None:
        outgoing = Outgoing(UnreadPolicy(bytes_max=100, bytes_of_tenant_max=50, wait_s=0.02))
        first, second = outgoing.hold("a", 30), outgoing.hold("a", 30)
        await outgoing.room("b")
        with pytest.raises(TransientError) as refused:
            await outgoing.room("a")
        assert refused.value.denied.code == "overloaded"
        waiting = asyncio.create_task(outgoing.room("a"))
        await asyncio.sleep(0)
        first()
        first()
        await waiting
        assert outgoing.bytes == 30
        second()
        assert outgoing.bytes == 0

    run(story())


@pytest.mark.parametrize(("objects", "bytes_max"), [(1, None), (2, 2**23), (21, 2**19), (1_000, 2**14), (20_000, 512)])
def test_how_large_each_of_some_objects_may_be(objects: int, bytes_max: int | None) -> None:
    assert object_bytes_max(objects) == bytes_max
    assert objects * (bytes_max or OBJECT_BYTES_MAX) <= ANSWER_BYTES_MAX


def test_what_takes_nothing_costs_nobody_what_it_has() -> None:
    shares = Shares(most=5, each=3)
    assert shares.take("a", 0) is None
    assert shares.take("a", 2) is None
    assert shares.take("a", 0) is None
    shares.give("a", 2)
    shares.give("a", 0)
    shares.give("a", 0)
    assert (shares.taken, shares.of("a")) == (0, 0)
