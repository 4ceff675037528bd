"""Several requests in one transaction (``ig.append_many``): each is answered as alone, and none waits for an object."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from tests.replication.lone import Lone, entity, relation, touched, upsert, write

pytestmark = pytest.mark.postgres
MANY = "select ig.append_many('p', $1, $2, $3, $4, array(select jsonb_array_elements($5)))"
Tell = Callable[[Any], None]
Json = Any


def relate(relationship_id: str, source: str, target: str) -> Json:
    given = {"id": relationship_id, "type": "uses", "source": source, "target": target}
    return {"op": "upsert_relationship", "relationship": given}


async def together(region: Lone, *requests: Json, on: asyncpg.Connection | None = None, epoch: int = 1) -> Json:
    """Each request is (key, operations), or (key, operations, tenant)."""
    tenants = [request[2] if len(request) > 2 else "t" for request in requests]
    keys = [request[0] for request in requests]
    hashes = [hashlib.sha256(json.dumps(request[1]).encode()).digest() for request in requests]
    return await (on or region.main).fetchval(MANY, epoch, tenants, keys, hashes, [request[1] for request in requests])


def statuses(answers: Json) -> list[str]:
    return [answer.get("code", answer["status"]) for answer in answers]


def test_each_has_its_own_row_key_and_position_and_one_transaction_holds_them(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        answers = await together(
            region, ("k1", [upsert("b")]), ("k2", [upsert("a"), upsert("d")]), ("k3", [upsert("b")], "other")
        )
        assert statuses(answers) == ["ok", "ok", "ok"]
        assert answers[1]["objects"] == [
            {"kind": "entity", "id": "a", "revision": 1}, {"kind": "entity", "id": "d", "revision": 1},
        ]  # fmt: skip
        rows = await region.main.fetch("select * from ig.change where kind = 'write' order by position")
        assert len({row["arrived"] for row in rows}) == 1
        assert {"/".join(map(str, (r["origin"], r["life"], r["epoch"], r["position"]))) for r in rows} == {
            answer["bookmark"] for answer in answers
        }
        assert {row["status"] for row in rows} == {"applied"}
        for key, tenant, answer in zip(("k1", "k2", "k3"), ("t", "t", "other"), answers, strict=True):
            (outcome,) = await region.ask("select ig.key_outcome('p', $1, $2)", tenant, key)
            assert (outcome["bookmark"], outcome["outcome"]) == (answer["bookmark"], "accepted")

    alone(story)


def test_what_a_group_writes_is_what_the_same_requests_write_alone(alone: Tell) -> None:
    whole = {
        "properties": {"n": [1, {"deep": None}], "description": "words here"}, "confidence": 70, "sources": ["x", "y"],
        "valid_from": "2024-05-06T09:08:09.5+02:00", "created": "2024-01-01T00:00:00Z",
        "updated": "2024-01-02T00:00:00Z",
    }  # fmt: skip

    async def story(region: Lone) -> None:
        await region.open(1)
        await region.append(1, upsert("old-1", "before"), upsert("old-2", "before"))
        bare = {"valid_until": None, "properties": None, "sources": None, "created": whole["created"],
                "updated": whole["updated"]}  # fmt: skip
        answers = await together(
            region, ("g1", [upsert("new-1", **whole)]), ("g2", [{**upsert("old-1", **bare), "if_revision": 1}])
        )
        assert statuses(answers) == ["ok", "ok"]
        await region.append(1, upsert("new-2", **whole), relate("r", "new-1", "old-1"))  # the general way
        await region.append(1, {**upsert("old-2", **bare), "if_revision": 1}, relate("s", "new-1", "old-1"))
        for one, other in (("new-1", "new-2"), ("old-1", "old-2")):
            forms = [await region.ask(
                "select body -> 'objects' -> 0 from ig.change where body -> 'objects' -> 0 ->> 'id' = $1 "
                "order by position desc limit 1", id_) for id_ in (one, other)]  # fmt: skip
            assert forms[0] == {**forms[1], "id": one}
            states = [await region.ask(
                "select to_jsonb(e) - '{id,position}'::text[] from ig.entity e where id = $1", id_
            ) for id_ in (one, other)]  # fmt: skip
            assert states[0] == states[1]

    alone(story)


def test_a_refused_one_changes_nothing_for_the_others(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        await region.append(1, upsert("there"), key="used", request=b"another request")
        answers = await together(
            region,
            ("a", [upsert("x")]),
            ("used", [upsert("y")]),
            ("b", [{**upsert("there"), "if_revision": 7}]),
            ("c", [{"op": "upsert_entity", "entity": {"id": "there", "type": "tool", "name": "n"}}]),
            ("d", [relate("r", "x", "nowhere")]),
            ("e", [{"op": "nonsense"}]),
            ("f", {"not": "a list"}),
            ("g", [upsert(f"e{n}") for n in range(1_001)]),
            ("h", [upsert("z")]),
        )
        assert statuses(answers) == [
            "ok", "key_reused", "revision_mismatch", "type_changed", "dangling", "bad_operation", "bad_operation",
            "too_many_operations", "ok",
        ]  # fmt: skip
        assert await region.ask("select count(*) from ig.change where kind = 'write'") == 3

    alone(story)


def test_later_ones_see_earlier_ones(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        answers = await together(
            region,
            ("k", [upsert("a", "1")]),
            ("l", [upsert("a", "2")]),
            ("k", [upsert("a", "1")]),
            ("m", [upsert("b")]),
            ("n", [relate("r", "a", "b")]),
        )
        assert statuses(answers) == ["ok", "ok", "repeated", "ok", "ok"]
        assert answers[2]["bookmark"] == answers[0]["bookmark"]
        assert [answer["objects"][0]["revision"] for answer in answers[:2]] == [1, 2]
        assert (await region.entity("a"))["entity"]["name"] == "2"

    alone(story)


def test_an_error_of_one_leaves_nothing_of_any(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        with contextlib.suppress(asyncpg.DataError):
            await together(region, ("a", [upsert("x")]), ("b", [upsert("y", valid_from="no time")]))
            raise AssertionError("nothing failed")
        assert await region.ask("select count(*) from ig.change where kind = 'write'") == 0
        assert await region.ask("select count(*) from ig.outcome") == 0
        assert statuses(await together(region, ("a", [upsert("x")]))) == ["ok"]

    alone(story)


def test_who_needs_an_object_that_another_holds_is_told_busy_at_once(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        await region.append(1, upsert("held"), upsert("free"))
        other = await region.connect()
        async with other.transaction():
            await region.append(1, upsert("held", "by another"), key="kept", on=other)
            await region.main.execute("set statement_timeout = '2s'")
            mixed = await together(region, ("a", [upsert("held")]), ("b", [upsert("free")]), ("kept", [upsert("new")]))
            assert statuses(mixed) == ["busy", "ok", "busy"]
            linked = await together(region, ("c", [relate("r", "held", "free")]), ("d", [upsert("free")]))
            assert statuses(linked) == ["busy", "ok"]
        assert statuses(await together(region, ("a", [upsert("held")]))) == ["ok"]

    alone(story)


def test_an_erasure_is_left_alone_and_the_others_are_not(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        answers = await together(region, ("a", [{"op": "erase", "ids": ["x"]}]), ("b", [upsert("x")]))
        assert statuses(answers) == ["busy", "ok"]
        assert await region.ask("select count(*) from ig.erased") == 0

    alone(story)


def test_where_nobody_may_write_each_is_told_why(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        assert statuses(await together(region, ("a", [upsert("x")]), ("b", [upsert("y")]))) == ["unknown_placement"] * 2
        await region.open(2, force=True)
        assert statuses(await together(region, ("a", [upsert("x")]), ("b", [upsert("y")]))) == ["fenced"] * 2

    alone(story)


def test_a_group_waits_for_an_open_and_writes_nothing_in_the_epoch_that_is_over(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        other = await region.connect()
        async with other.transaction():
            await other.fetchval(
                "select ig.open('p', 2, 'eu-west', '{us-east,eu-west,eu-central}', null, 'home', '\\x6b', false)"
            )
            asked = asyncio.ensure_future(together(region, ("a", [upsert("x")]), ("b", [upsert("y")])))
            watcher, region.main = region.main, await region.connect()
            await region.blocked(watcher)
        assert statuses(await asked) == ["fenced", "fenced"]

    alone(story)


def test_groups_and_single_writes_over_crossing_objects_never_deadlock(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        names = [f"e{n}" for n in range(6)]
        await region.append(1, *(upsert(name) for name in names))
        told: list[str] = []

        async def writer(number: int) -> None:
            chance, connection = random.Random(number), await region.connect()
            for turn in range(40):
                requests = []
                for part in range(chance.randint(1, 4)):
                    chosen = chance.sample(names, chance.randint(1, 3))
                    ops = [upsert(name, f"{number}-{turn}") for name in chosen]
                    if chance.random() < 0.3:
                        ops = [relate(f"r{chance.randrange(4)}-{chosen[0]}-{chosen[-1]}", chosen[0], chosen[-1])]
                    requests.append((f"{number}-{turn}-{part}", ops))
                if number % 2:
                    told.extend(statuses(await together(region, *requests, on=connection)))
                else:
                    for key, ops in requests:
                        answer = await region.append(1, *ops, key=key, on=connection)
                        told.append(answer["status"])

        await asyncio.gather(*(writer(number) for number in range(6)))  # a deadlock would raise
        assert set(told) <= {"ok", "busy"}
        assert told.count("ok") == await region.ask("select count(*) from ig.change where kind = 'write'") - 1

    alone(story)


def test_replication_that_says_how_a_row_was_judged_is_not_believed(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        row = await touched(region, write(7, entity("a"), relation("r", "a", "a"), epoch=5))
        stream = await region.stream()
        await stream.execute(
            "insert into ig.change select * from jsonb_populate_record(null::ig.change, $1)",
            {**row, "status": "applied", "arrived": "1", "arrival": 1, "placement": "elsewhere", "replicate_to": []},
        )
        assert await region.status(row) == "dropped"

    alone(story)


def test_requests_that_raise_the_largest_size_of_several_tenants_are_in_no_deadlock(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        first, second = await region.connect(), await region.connect()
        transaction = first.transaction()
        await transaction.start()
        await region.append(1, upsert("a", name="x" * 5_000), tenant="a", on=first)
        other = asyncio.create_task(region.append(1, upsert("b", name="x" * 15_000), tenant="b", on=second))
        await region.blocked(second)
        assert statuses(await together(region, ("k", [upsert("c", name="x" * 5_000)], "b"), on=first)) == ["ok"]
        await transaction.commit()
        assert (await other)["status"] == "ok"

    alone(story)
