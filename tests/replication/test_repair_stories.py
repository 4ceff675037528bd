"""What regions that really replicate find missing by themselves, and whom they believe that nothing is."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import pytest

from intelgraph.changelog import links
from intelgraph.changelog.durability import StandbyWaiter
from tests.replication.conftest import Story
from tests.replication.world import World, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Story], None]


async def _gap(world: World, region: str, placement: str) -> str | None:
    facts = (await world.report(region))["placements"].get(placement)
    return None if facts is None else facts["gap"]


async def _reads(world: World, region: str, placement: str, entity_id: str) -> bool:
    told = await world.entity(region, placement, entity_id)
    return told["status"] == "ok" and told["entity"] is not None


def test_the_tail_that_only_the_new_home_has_reaches_the_other_survivor_by_itself(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", world.names)
        first = await world.append(placement, [upsert("a")])
        await world.arrived("eu-central", first["bookmark"])
        await world.cut("us-east", "eu-central")
        tail = await world.append(placement, [upsert("tail")])
        await world.arrived("eu-west", tail["bookmark"])
        await world.cut("us-east", "eu-west")
        # us-east is gone: nothing of it will ever be settled again. eu-west holds the tail, eu-central does not.
        assert (await world.open(placement, "eu-west", world.names))["status"] == "ok"
        later = await world.append(placement, [upsert("b")])
        await world.arrived("eu-central", later["bookmark"])
        async with world.feeds("eu-west", "eu-central"):
            await world.until(lambda: _reads(world, "eu-central", placement, "tail"))
            whole = "select whole_epoch from ig.placement where id = $1 and gap is null"
            await world.until(lambda: world.at["eu-central"].fetchval(whole, placement))
            told = await world.ask("eu-central", "select ig.read_changes($1, $1, null, 10)", placement)
            assert [change["bookmark"] for change in told["changes"]] == [
                first["bookmark"], tail["bookmark"], later["bookmark"],
            ]  # fmt: skip
        await world.heal("us-east", "eu-central")
        await world.heal("us-east", "eu-west")

    regions(story)


@pytest.mark.prove
def test_a_placement_whose_first_row_was_lost_is_asked_for(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.cut("us-east", "eu-west")
        await world.open(placement, "us-east", ["us-east", "eu-west"])
        await world.append(placement, [upsert("a")])
        await links.recreate_slot(world.at["us-east"], here="us-east", destination="eu-west")
        await world.heal("us-east", "eu-west")
        assert (await world.entity("eu-west", placement, "a"))["status"] == "not_here"
        async with world.feeds():
            await world.until(lambda: _reads(world, "eu-west", placement, "a"))

    regions(story)


def test_a_gap_is_not_closed_by_agreeing_with_a_region_that_lacks_the_same_rows(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", world.names)
        first = await world.append(placement, [upsert("a")])
        for region in ("eu-west", "eu-central"):
            await world.arrived(region, first["bookmark"])
        async with world.feeds():
            await world.until(lambda: _settled(world, "eu-west", first["bookmark"]))
            await world.until(lambda: _settled(world, "eu-central", first["bookmark"]))
        for region in ("eu-west", "eu-central"):
            await world.cut("us-east", region)
        await world.append(placement, [upsert("lost")])
        for region in ("eu-west", "eu-central"):
            await links.recreate_slot(world.at["us-east"], here="us-east", destination=region)
        # Only eu-west hears of it: eu-central's link stays down, and what it knows agrees with what eu-west holds.
        await world.at["eu-west"].execute("select ig.open_gap($1, 'rows were lost')", placement)
        async with world.feeds("eu-west", "eu-central"):
            seen = "select sum(got) from ig.peer where name = 'eu-central'"
            before = await world.at["eu-west"].fetchval(seen) or 0
            await world.until(lambda: _more(world, "eu-west", seen, before + 8))
            assert await _gap(world, "eu-west", placement) == "rows were lost"
        for region in ("eu-west", "eu-central"):
            await world.heal("us-east", region)
        async with world.feeds():
            await world.until(lambda: _reads(world, "eu-west", placement, "lost"))
            await world.until(lambda: _reads(world, "eu-central", placement, "lost"))

    regions(story)


@pytest.mark.prove
def test_a_region_that_joins_after_a_compaction_is_filled_and_agrees(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", ["us-east"])
        await world.append(placement, [upsert("a"), upsert("b")])
        await world.append(placement, [{"op": "erase", "ids": ["b"]}])
        home = world.at["us-east"]
        floor = (int(await home.fetchval("select last_value from ig.position")) | 4095) + 4096
        await home.execute("select setval('ig.position', $1)", floor)
        async with world.feeds():
            await world.until(
                lambda: home.fetchval("select position >= $1 from ig.settled where origin = 'us-east'", floor)
            )
        told = await world.ask("us-east", "select ig.compact($1, 'us-east', 1, $2)", placement, floor)
        assert told["status"] == "ok" and told["rows"] == 1, told
        # The row that lets eu-west in is alone in its bucket, so that nothing above the compaction differs.
        opened = await world.open(placement, "us-east", ["us-east", "eu-west"])
        await world.arrived("eu-west", opened["bookmark"])
        async with world.feeds():
            await world.until(lambda: _reads(world, "eu-west", placement, "a"))
        assert await _gap(world, "eu-west", placement) is None
        cuts = f'[{{"origin": "us-east", "life": 1, "position": {(1 << 62) - 1}}}]'
        digests = [await world.ask(one, "select ig.digests($1, $2)", placement, cuts) for one in ("us-east", "eu-west")]
        assert digests[0] == digests[1]

    regions(story)


@pytest.mark.prove
def test_a_standby_whose_slot_was_made_anew_confirms_nothing_that_went_by(regions: Tell) -> None:
    async def story(world: World, placement: str) -> None:
        await world.open(placement, "us-east", ["us-east", "eu-west"])
        home = world.at["us-east"]
        await world.arrived("eu-west", (await world.append(placement, [upsert("a")]))["bookmark"])
        async with asyncpg.create_pool(**world.servers["us-east"].connect_arguments("ig_api"), min_size=1) as pool:
            waiter = StandbyWaiter(pool=pool, here="us-east")
            await world.cut("us-east", "eu-west")
            lost = await world.append(placement, [upsert("b")])
            went_by = str(await pool.fetchval("select pg_current_wal_flush_lsn()::text"))
            await links.recreate_slot(home, here="us-east", destination="eu-west")
            await world.heal("us-east", "eu-west")
            after = await world.append(placement, [upsert("c")])
            position = str(await pool.fetchval("select pg_current_wal_flush_lsn()::text"))
            assert await waiter.wait("eu-west", position, 15.0)
            assert await world.arrived("eu-west", after["bookmark"]) == "applied"
            assert not await waiter.wait("eu-west", went_by, 0.3)
        count = "select count(*) from ig.change where position = $1 and placement = $2"
        assert await world.at["eu-west"].fetchval(count, int(lost["bookmark"].rsplit("/", 1)[1]), placement) == 0

    regions(story)


async def _settled(world: World, region: str, bookmark: str) -> bool:
    origin, _life, _epoch, position = bookmark.split("/")
    found = await world.at[region].fetchval("select max(position) from ig.settled where origin = $1", origin)
    return found is not None and found >= int(position)


async def _more(world: World, region: str, query: str, than: int) -> bool:
    return bool((await world.at[region].fetchval(query) or 0) > than)
