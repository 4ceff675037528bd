"""Compaction changes nothing that anybody can see: not state, not digests, not what a repeat or a return does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.replication.lone import HERE, Json, Lone, entity, opening, touched, upsert, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]
FLOOR = 4095
ALL = (1 << 62) - 1


async def compacted(region: Lone, *rows: Json) -> Json:
    """Apply rows of us-east, let it settle beyond a whole bucket, and compact that."""
    for row in rows:
        await region.apply(await touched(region, row) if row["kind"] == "write" else row)
    await region.settle("us-east", FLOOR)
    return await region.ask("select ig.compact('p', 'us-east', 1, $1)", FLOOR)


async def digest(region: Lone) -> Json:
    cuts = [{"origin": "us-east", "life": 1, "position": ALL}]
    return (await region.ask("select ig.digests('p', $1)", cuts))[0]


async def buckets(region: Lone) -> Json:
    return await region.ask("select ig.digest_buckets('p', 'us-east', 1, $1)", ALL)


def test_digests_stay_when_rows_are_compacted_and_come_again(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        rows = [opening(1), write(2, entity("a")), write(3, {"kind": "erased", "id": "z"}), write(4, entity("b"))]
        for row in rows:
            await region.apply(await touched(region, row) if row["kind"] == "write" else row)
        await region.ask("select ig.tally()")
        before, parts = await digest(region), await buckets(region)
        told = await compacted(region)
        assert (told["status"], told["rows"]) == ("ok", 2)
        for row in rows:
            await region.apply(row)
        await region.ask("select ig.tally()")
        assert (await digest(region), await buckets(region)) == (before, parts)
        assert await region.ask("select count(*) from ig.change where position in (2, 4)") == 0

    alone(story)


def test_a_region_that_takes_a_snapshot_over_has_the_same_digest(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        rows = [opening(1), write(2, entity("a")), write(3, {"kind": "erased", "id": "z"}), write(4, entity("b"))]
        sums = [await region.ask("select ig.digest_number($1::text::bytea)", row["digest"]) for row in rows]
        told = {"placement": "p", "origin": "us-east", "life": 1}
        snapshot = [
            {"placement": "p", "tenant": "t", "kind": "entity", "id": row["body"]["objects"][0]["id"], "epoch": 1,
             "position": row["position"], "object": row["body"]["objects"][0]}
            for row in (rows[1], rows[3])
        ]  # fmt: skip
        await region.apply(rows[0])
        await region.apply(rows[3])
        await region.ask("select ig.tally()")
        await region.signal("us-east", "snapshot", {
            "placement": "p", "objects": snapshot, "floors": [{**told, "position": FLOOR}],
            "digests": [{**told, "bucket": 0, "rows": 4, "sum": str(int(sum(sums)) % 2**64)}],
        })  # fmt: skip
        await region.signal("us-east", "row", await touched(region, rows[2]))
        await region.ask("select ig.tally()")
        found = await digest(region)
        assert (found["rows"], int(found["sum"])) == (4, int(sum(sums)) % 2**64)
        assert (await buckets(region))["0"][0] == 4
        assert (await region.entity("a"))["entity"]["id"] == "a"

    alone(story)


def test_a_removed_region_forgets_what_it_compacted_and_says_that_it_lacks_it(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await compacted(region, opening(1), write(2, entity("a")))
        await region.apply(opening(5000, 2, regions=["us-east"], cut=[("us-east", 1, "{[1,5001)}")]))
        for table in ("snapshot", "compacted", "entity", "outcome"):
            assert await region.ask(f"select count(*) from ig.{table} where placement = 'p'") == 0, table
        await region.apply(opening(5001, 3, cut=[("us-east", 1, "{[1,5002)}")]))
        await region.ask("select ig.tally()")
        assert (await digest(region))["rows"] == 3
        await region.apply(await touched(region, write(2, entity("a"))))
        assert (await region.ask("select count(*) from ig.entity")) == 1
        await region.ask("select ig.tally()")
        assert (await digest(region))["rows"] == 4

    alone(story)


def test_an_adopted_row_outlives_compaction_so_that_it_can_be_taken_back(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(await touched(region, write(2, entity("a", name="first"))))
        await region.settle("us-east", 2)
        await region.open(2)
        await region.apply(await touched(region, write(3, entity("a", name="tail", revision=2))))
        rows = [{"origin": "us-east", "life": 1, "position": 3}]
        assert (await region.ask("select ig.adopt('p', $1, 'r')", rows))["status"] == "ok"
        assert (await compacted(region))["rows"] == 1
        assert (await region.entity("a"))["entity"]["name"] == "tail"
        refused = {"rows": rows, "reason": "r"}
        await region.apply(write(9, kind="reject", origin=HERE, epoch=2, body=refused, tenant=None, key_hash=None))
        assert (await region.entity("a"))["entity"]["name"] == "first"

    alone(story)


def test_a_bookmark_of_a_row_that_was_rejected_and_compacted_is_superseded(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(await touched(region, write(2, entity("a"))))
        await region.settle("us-east", 2)
        await region.open(2)
        await region.apply(await touched(region, write(3, entity("b"))))
        rows = [{"origin": "us-east", "life": 1, "position": 3}]
        await region.ask("select ig.reject('p', $1, 'r')", rows)
        assert (await compacted(region))["rows"] == 2
        assert await region.ask("select ig.locate('p', 'us-east/1/1/3')") == "superseded"
        assert await region.ask("select ig.locate('p', 'us-east/1/1/2')") == "visible"

    alone(story)


def test_a_placement_with_a_gap_or_a_hold_is_not_compacted(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.ask("select ig.open_gap('p', 'because')")
        assert (await compacted(region))["code"] == "gap"
        await region.ask("select ig.close_gap('p')")
        await region.apply(write(3, version=2))
        assert (await compacted(region))["code"] == "held"

    alone(story)


def test_a_stub_that_gives_way_while_it_is_tallied_is_counted_once(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1, regions=["us-east"]))
        row = await touched(region, write(2, entity("a")))
        await region.apply(row)
        await region.apply(opening(3, 2, cut=[("us-east", 1, "{[1,4)}")]))
        stream, other = await region.stream(), await region.connect()
        transaction = stream.transaction()
        await transaction.start()
        await region.apply(row, on=stream)
        tally = asyncio.create_task(other.fetchval("select ig.tally()"))
        await asyncio.sleep(0.2)
        await transaction.commit()
        await tally
        for _ in range(2):
            await region.ask("select ig.tally()")
        assert (await digest(region))["rows"] == 3

    alone(story)


def test_a_gap_at_a_home_that_was_forced_is_over_and_its_stubs_are_not_in_its_cut(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        await region.append(1, upsert("a"))
        await region.apply(opening(1, 2, regions=["us-east"], cut=[(HERE, 1, "{[1,3)}")]))
        await region.apply(opening(2, 3, cut=[(HERE, 1, "{[1,3)}"), ("us-east", 1, "{[1,3)}")]))
        assert (await region.entity("a"))["status"] == "gap"
        assert (await region.open(4))["code"] == "gap"
        told = await region.open(4, force=True)
        held = {one["origin"]: one["held"] for one in told["cut"]}
        assert held == {HERE: "{[1,2)}", "us-east": "{[1,3)}"}
        assert (await region.append(4, upsert("b")))["status"] == "ok"

    alone(story)


def test_rows_whose_open_was_lost_are_a_gap(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(write(5, entity("a"), epoch=3))
        assert (await region.entity("a"))["status"] == "gap"
        assert (await region.open(4))["code"] == "gap"

    alone(story)


def test_a_standby_must_be_another_region_of_the_placement(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        for standby in (HERE, "us-west"):
            told = await region.ask("select ig.open('p', 1, $1, $2, $3, 'home', 'k')", HERE, [HERE, "us-east"], standby)
            assert told["code"] == "standby_not_allowed"

    alone(story)


def test_the_past_beneath_a_snapshot_is_refused_and_history_says_that_it_is_cut(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        told = await compacted(region, opening(1), write(2, entity("a", revision=1)), write(3, entity("a", revision=2)))
        assert (told["status"], told["rows"]) == ("ok", 2)
        await region.apply(await touched(region, write(FLOOR + 1, entity("a", revision=3))))
        await region.settle("us-east", FLOOR + 1)
        await region.main.execute("select set_config('ig.tenant', 't', false)")

        async def point(position: int) -> Json:
            found = "select to_jsonb(x) from ig.point('t', 'p', $1, null, true) x"
            return await region.ask(found, f"us-east/1/1/{position}")

        assert (await point(2))["refused"]["code"] == "past_not_kept"
        assert (await point(FLOOR + 1))["refused"] is None
        versions = "select jsonb_agg(to_jsonb(x)) from ig.versions('t', 'p', 'a', null, 10) x"
        told = await region.ask(versions)
        assert [(v["object"]["revision"], v["oldest"]) for v in told] == [(3, False), (2, True)]
        # Of another tenant than the one that was set, nothing is told.
        await region.main.execute("select set_config('ig.tenant', 'other', false)")
        assert await region.ask(versions) is None
        assert (await point(FLOOR + 1))["epoch"] is None

    alone(story)


def rejected_and_compacted(region: Lone) -> Any:
    """A row that was beyond the cut of the home ``eu-central``, rejected, and compacted here; and its adoption."""

    async def told() -> tuple[Json, Json]:
        home = {"origin": "eu-central"}
        tail = await touched(region, write(3, entity("b")))
        await region.apply(opening(1))
        await region.settle("us-east", 2)
        await region.apply(opening(1, 2, cut=[("us-east", 1, "{[1,3)}")], **home))
        await region.apply(tail)
        body = {"rows": [{"origin": "us-east", "life": 1, "position": 3}], "reason": "r"}
        decision: Json = {"epoch": 2, "body": body, "tenant": None, "key_hash": None, **home}
        await region.apply(write(2, kind="reject", **decision))
        assert (await compacted(region))["rows"] == 1
        return tail, write(3, kind="adopt", **decision)

    return told()


def test_a_rejected_row_that_was_compacted_here_counts_when_it_comes_behind_its_adoption(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        tail, adoption = await rejected_and_compacted(region)
        await region.apply(adoption)
        await region.signal("eu-central", "row", tail)
        assert (await region.entity("b"))["entity"]["id"] == "b"

    alone(story)


SENT = """
    create table public.sent (n int generated always as identity, what text, destination text);
    create function public.note() returns trigger language plpgsql as $$ begin
        insert into public.sent (what, destination)
        select coalesce(j -> 'body' ->> 'kind', j ->> 'kind'), j ->> 'destination'
        from to_jsonb(new) j where j -> 'body' ->> 'kind' is distinct from 'open';
        return null;
    end $$;
    create trigger note after insert on ig.signal for each row execute function public.note();
    create trigger note after insert on ig.change for each row execute function public.note();
"""


def test_an_adopted_row_is_sent_behind_its_adoption_also_when_that_is_sent_again(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.settle("us-east", 2)
        await region.open(2)
        await region.apply(await touched(region, write(3, entity("b"))))
        rows = [{"origin": "us-east", "life": 1, "position": 3}]
        await region.main.execute(SENT)
        assert (await region.ask("select ig.adopt('p', $1, 'r')", rows))["status"] == "ok"
        told = "select array_agg(what order by n) from public.sent where destination is null or destination = 'us-east'"
        assert await region.ask(told) == ["adopt", "write"]
        await region.ask("truncate public.sent")
        assert (await region.ask("select ig.reissue('p', 'us-east', $1, 1, 1)", HERE))["status"] == "ok"
        assert await region.ask(told) == ["adopt", "write"]

    alone(story)


def test_nothing_is_sent_again_to_a_region_once_its_removal_is_known(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        await region.append(1, upsert("a"))
        peer, other = await region.connect("ig_peer"), await region.connect()
        for again in ("ig.reissue('p', 'us-east', 'eu-west', 1, 1)", "ig.reissue_snapshot('p', 'us-east')"):
            async with peer.transaction():
                assert (await peer.fetchval(f"select {again}"))["status"] == "ok"
                closed = asyncio.create_task(other.fetchval("select ig.close('p', 1)"))
                await region.blocked(other)
            assert (await closed)["status"] in ("ok", "repeated")

    alone(story)
