"""The laws of the log on servers that really replicate: what arrives, is withheld, is noticed, is repaired."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from intelgraph.changelog import links
from intelgraph.changelog.durability import StandbyWaiter
from tests.replication.conftest import Story
from tests.replication.world import World, relate, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Story], None]


def test_a_write_arrives_where_it_may_and_nowhere_else(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", ["us-east", "eu-west"])
        told = await world.append(placement, [upsert("a")])
        assert await world.arrived("eu-west", told["bookmark"]) == "applied"
        # eu-central has received everything us-east sent up to here, and none of it was this.
        await world.open(placement + "-later", "us-east", ["us-east", "eu-central"])
        later = await world.append(placement + "-later", [upsert("b")])
        await world.arrived("eu-central", later["bookmark"])
        assert (
            await world.at["eu-central"].fetchval("select count(*) from ig.change where placement = $1", placement) == 0
        )

    regions(story)


def test_state_is_the_same_in_every_region(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", world.names)
        await world.append(placement, [upsert(f"e{n}", properties={"n": n}) for n in range(50)])
        await world.append(placement, [relate(f"r{n}", f"e{n}", f"e{n + 1}") for n in range(40)])
        last = await world.append(placement, [{"op": "delete_entity", "id": "e3"}, upsert("e4", confidence=7)])
        states = []
        for region in world.names:
            await world.arrived(region, last["bookmark"])
            states.append(
                await world.at[region].fetch("select * from ig.entity where placement = $1 order by id", placement)
                + await world.at[region].fetch(
                    "select * from ig.relationship where placement = $1 order by id", placement
                )
            )
        assert states[0] == states[1] == states[2]
        assert (await world.entity("eu-central", placement, "e4"))["entity"]["confidence"] == 7

    regions(story)


def test_a_stream_survives_rows_that_come_twice(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", world.names)
        told = await world.append(placement, [upsert("a")])
        await world.arrived("eu-west", told["bookmark"])
        for source in ("us-east", "us-east", "eu-central"):
            await world.arrived(source, told["bookmark"])
            await world.ask(source, "select ig.reissue($1, 'eu-west', 'us-east', 1, 0)", placement)
        after = await world.append(placement, [upsert("b")])
        assert await world.arrived("eu-west", after["bookmark"]) == "applied"
        assert await world.at["eu-west"].fetchval("select count(*) from ig.change where placement = $1", placement) == 3

    regions(story)


def test_remote_is_confirmed_by_the_named_standby_only(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        import asyncpg

        await world.open(placement, "us-east", world.names)
        async with asyncpg.create_pool(**world.servers["us-east"].connect_arguments("ig_api"), min_size=1) as pool:
            waiter = StandbyWaiter(pool=pool, here="us-east")

            async def flushed() -> str:
                return str(await pool.fetchval("select pg_current_wal_flush_lsn()::text"))

            await world.append(placement, [upsert("a")])
            assert await waiter.wait("eu-west", await flushed(), 10.0)
            await world.cut("us-east", "eu-west")
            await world.append(placement, [upsert("b")])
            second = await flushed()
            assert not await waiter.wait("eu-west", second, 0.3)
            assert await waiter.wait("eu-central", second, 10.0)
            await world.heal("us-east", "eu-west")
            assert await waiter.wait("eu-west", second, 15.0)

    regions(story)


def test_the_tail_of_a_lost_home_is_inert_until_it_is_adopted(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", world.names)
        first = await world.append(placement, [upsert("a"), upsert("b")])
        await world.arrived("eu-west", first["bookmark"])
        await world.cut("us-east", "eu-west")
        await world.cut("us-east", "eu-central")
        tail = await world.append(placement, [upsert("a", name="from the tail")])
        lone = await world.append(placement, [upsert("c")])
        assert (await world.open(placement, "eu-west", world.names))["status"] == "ok"
        await world.append(placement, [upsert("a", name="from the new home")])
        await world.heal("us-east", "eu-west")
        await world.heal("us-east", "eu-central")
        for region in world.names:
            await world.until(lambda r=region: _is(world, r, tail["bookmark"], "inert"))  # type: ignore[misc]
            assert (await world.entity(region, placement, "a", tail["bookmark"]))["status"] == "superseded"
        page = await world.ask("eu-west", "select ig.salvage($1, null, 100)", placement)
        classes = {row["position"]: row["class"] for row in page["rows"]}
        assert classes == {_position(tail): "conflict", _position(lone): "adoptable"}
        rows = f'[{{"origin": "us-east", "life": 1, "position": {_position(lone)}}}]'
        told = await world.ask("eu-west", "select ig.adopt($1, $2, 'nothing else touched it')", placement, rows)
        for region in world.names:
            await world.arrived(region, told["bookmark"])
            assert (await world.entity(region, placement, "a"))["entity"]["name"] == "from the new home"
            assert (await world.entity(region, placement, "c", lone["bookmark"]))["status"] == "ok"
        refused = await world.append(placement, [upsert("d")], region="us-east", epoch=1)
        assert refused["code"] == "fenced"

    regions(story)


def test_a_lost_slot_is_noticed_said_and_repaired(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", ["us-east", "eu-west"])
        first = await world.append(placement, [upsert("a")])
        await world.arrived("eu-west", first["bookmark"])
        async with world.feeds():
            heard = (await world.report("eu-west"))["peers"]["us-east"]["heard_at"]
            await world.until(lambda: _heard_after(world, "eu-west", "us-east", heard))
        await world.cut("us-east", "eu-west")
        missed = await world.append(placement, [upsert("b")])
        await world.at["us-east"].execute("select ig.mark()")
        await links.recreate_slot(world.at["us-east"], here="us-east", destination="eu-west")
        await world.heal("us-east", "eu-west")
        await world.at["us-east"].execute("select ig.mark()")
        await world.until(lambda: _gap(world, "eu-west", placement))
        assert (await world.entity("eu-west", placement, "a"))["status"] == "gap"
        async with world.feeds():
            await world.until(lambda: _no_gap(world, "eu-west", placement))
        assert (await world.entity("eu-west", placement, "b", missed["bookmark"]))["status"] == "ok"

    regions(story)


def test_a_region_that_joins_later_is_filled_before_it_answers(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", ["us-east"])
        for n in range(5):
            await world.append(placement, [upsert(f"e{n}")])
        opened = await world.open(placement, "us-east", ["us-east", "eu-west"])
        await world.arrived("eu-west", opened["bookmark"])
        assert (await world.entity("eu-west", placement, "e0"))["status"] == "gap"
        async with world.feeds():
            await world.until(lambda: _no_gap(world, "eu-west", placement))
        assert (await world.entity("eu-west", placement, "e4"))["entity"]["id"] == "e4"

    regions(story)


def test_a_removed_region_keeps_identities_only_and_may_come_back(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", ["us-east", "eu-west"])
        told = await world.append(placement, [upsert("a", properties={"secret": "s"})])
        await world.arrived("eu-west", told["bookmark"])
        removal = await world.open(placement, "us-east", ["us-east"])
        await world.arrived("eu-west", removal["bookmark"])
        row = await world.at["eu-west"].fetchrow(
            "select status, body, tenant, digest from ig.change where placement = $1 and kind = 'write'", placement
        )
        assert row is not None
        assert (row["status"], row["body"], row["tenant"]) == ("dropped", None, None)
        assert await world.at["eu-west"].fetchval("select count(*) from ig.entity where placement = $1", placement) == 0
        assert (await world.entity("eu-west", placement, "a"))["status"] == "not_here"
        refused = await world.ask("us-east", "select ig.reissue($1, 'eu-west', 'us-east', 1, 0)", placement)
        assert refused["code"] == "region_not_allowed"
        await world.open(placement, "us-east", ["us-east", "eu-west"])
        async with world.feeds():
            await world.until(lambda: _no_gap(world, "eu-west", placement))
        assert (await world.entity("eu-west", placement, "a", told["bookmark"]))["entity"]["properties"] == {
            "secret": "s"
        }

    regions(story)


@pytest.mark.prove
def test_what_a_removed_region_had_not_received_never_arrives(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", ["us-east", "eu-west"])
        other = placement + "-other"
        await world.open(other, "us-east", ["us-east", "eu-west"])
        kept = await world.append(placement, [upsert("a")])
        await world.arrived("eu-west", kept["bookmark"])
        await world.cut("us-east", "eu-west")
        leak = await world.append(placement, [upsert("leak")])
        innocent = await world.append(other, [upsert("innocent")])
        removal = await world.open(placement, "us-east", ["us-east"])
        await world.append(placement, [{"op": "erase", "ids": ["leak"]}])
        await links.cut_off(world.at["us-east"], here="us-east", destination="eu-west")
        await world.heal("us-east", "eu-west")
        await world.ask("us-east", "select ig.reissue_opens($1, 'eu-west')", placement)
        assert await world.arrived("eu-west", removal["bookmark"]) == "applied"
        async with world.feeds():
            await world.until(
                lambda: world.at["eu-west"].fetchval(
                    "select true from ig.change where position = $1 and origin = 'us-east'", _position(innocent)
                )
            )
        held = await world.at["eu-west"].fetchval(
            "select count(*) from ig.change where position = $1 and origin = 'us-east'", _position(leak)
        )
        assert held == 0
        assert (await world.entity("eu-west", placement, "a"))["status"] == "not_here"

    regions(story)


def test_erased_content_is_gone_everywhere_and_reissue_does_not_bring_it_back(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", ["us-east", "eu-west"])
        await world.append(placement, [upsert("a", name="needle"), upsert("b")])
        erased = await world.append(placement, [{"op": "erase", "ids": ["a"]}])
        await world.arrived("eu-west", erased["bookmark"])
        await world.open(placement, "us-east", world.names)
        async with world.feeds():
            await world.until(lambda: _no_gap(world, "eu-central", placement))
        for region in world.names:
            assert (
                await world.at[region].fetchval(
                    "select count(*) from ig.change where placement = $1 and body::text like '%needle%'", placement
                )
                == 0
            )
            assert (await world.entity(region, placement, "a"))["entity"] is None
            assert (await world.entity(region, placement, "b"))["entity"] is not None

    regions(story)


def test_an_unknown_operation_version_holds_its_placement_and_not_the_stream(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", ["us-east", "eu-west"])
        await world.at["us-east"].execute("update ig.region set reads = 2")
        await world.at["us-east"].execute("update ig.peer set reads = 2 where name = 'eu-west'")
        try:
            newer = await world.append(placement, [upsert("a")])
        finally:
            await world.at["us-east"].execute("update ig.region set reads = 1")
            await world.at["us-east"].execute("update ig.peer set reads = 1")
        assert await world.arrived("eu-west", newer["bookmark"]) == "held"
        later = await world.append(placement, [upsert("b")])
        assert await world.arrived("eu-west", later["bookmark"]) == "held"
        assert (await world.entity("eu-west", placement, "b"))["status"] == "held"
        await world.open(placement + "-other", "us-east", ["us-east", "eu-west"])
        other = await world.append(placement + "-other", [upsert("c")])
        assert await world.arrived("eu-west", other["bookmark"]) == "applied"
        await world.at["eu-west"].execute("update ig.region set reads = 2")
        try:
            assert await world.at["eu-west"].fetchval("select ig.release($1)", placement) == 2
        finally:
            await world.at["eu-west"].execute("update ig.region set reads = 1")
        assert (await world.entity("eu-west", placement, "b"))["entity"]["id"] == "b"

    regions(story)


def test_nobody_writes_a_version_that_a_peer_has_not_announced(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", ["us-east", "eu-west"])
        await world.at["us-east"].execute("update ig.region set reads = 2")
        try:
            told = await world.append(placement, [upsert("a")])
        finally:
            await world.at["us-east"].execute("update ig.region set reads = 1")
        assert await world.arrived("eu-west", told["bookmark"]) == "applied"

    regions(story)


def test_a_survivor_gives_another_survivor_the_tail_it_lacks(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", world.names)
        await world.cut("us-east", "eu-central")
        told = await world.append(placement, [upsert("a")])
        await world.arrived("eu-west", told["bookmark"])
        await world.ask("eu-west", "select ig.reissue($1, 'eu-central', 'us-east', 1, 0)", placement)
        assert await world.arrived("eu-central", told["bookmark"]) == "applied"
        await world.heal("us-east", "eu-central")

    regions(story)


async def _is(world: World, region: str, bookmark: str, status: str) -> bool:
    return await world.arrived(region, bookmark) == status


async def _gap(world: World, region: str, placement: str) -> bool:
    return (await world.report(region))["placements"][placement]["gap"] is not None


async def _no_gap(world: World, region: str, placement: str) -> bool:
    facts = (await world.report(region))["placements"].get(placement)
    return facts is not None and region in facts["regions"] and facts["gap"] is None


async def _heard_after(world: World, region: str, peer: str, before: str | None) -> bool:
    return bool((await world.report(region))["peers"][peer]["heard_at"] not in (None, before))


def _position(told: dict[str, str]) -> int:
    return int(told["bookmark"].split("/")[3])
