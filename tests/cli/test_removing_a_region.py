"""RESIDENCY: `placement remove-region` is complete only when nothing can still be sent to the removed region, whoever
wrote it: the home, a home before it, or a member that could send rows again."""

from __future__ import annotations

import pytest

from tests.cli.replicating import CENTRAL, EPOCH, EU, US, Fleet, down
from tests.replication.world import World, upsert

pytestmark = pytest.mark.postgres


def test_what_a_former_home_has_not_sent_is_pending_until_it_is_delivered(replicating: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        await _written_before_the_home_moved(replicating, world, placement)
        pending = await replicating.cli("placement", "remove-region", placement, CENTRAL, "--wait", "0.5")
        assert (pending["code"], pending["facts"]["pending"]) == ("removal_pending", [US])
        assert f"{US} still has to send what is addressed to it" in pending["reason"]
        await world.heal(US, CENTRAL)
        done = await replicating.cli("placement", "remove-region", placement, CENTRAL)
        assert (done["passed"], done["cut"]) == ([EU, US], [])

    replicating.tell(story)


def test_what_a_former_home_has_not_sent_is_cut_off_and_never_arrives(replicating: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        leak = await _written_before_the_home_moved(replicating, world, placement)
        done = await replicating.cli("placement", "remove-region", placement, CENTRAL, "--wait", "0.5", "--cut-off")
        assert (done["passed"], done["cut"]) == ([EU], [US])
        await world.heal(US, CENTRAL)
        await replicating.cli("placement", "create", f"{placement}-next", "--regions", f"{US},{CENTRAL}")
        await world.until(lambda: world.at[CENTRAL].fetchval(EPOCH, f"{placement}-next"))
        # What us-east wrote later is here: what it had written before has not even come to be dropped.
        assert await world.at[CENTRAL].fetchval(_ROW, US, int(leak.split("/")[3])) is None

    replicating.tell(story)


@pytest.mark.prove
def test_a_former_home_that_has_not_heard_of_the_removal_could_send_rows_again(replicating: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        told = await world.append(placement, [upsert("kept")])
        for region in (EU, CENTRAL):
            await world.arrived(region, told["bookmark"])
        await world.cut(EU, US)
        await replicating.cli("placement", "open", placement, "--home", EU)
        for wait in (("--wait", "0.5"), ("--wait", "0.5", "--cut-off")):
            pending = await replicating.cli("placement", "remove-region", placement, CENTRAL, *wait)
            assert (pending["code"], pending["facts"]["pending"]) == ("removal_pending", [US])
            assert f"{US} has not heard of the removal" in pending["reason"]
        await world.heal(EU, US)
        assert (await replicating.cli("placement", "remove-region", placement, CENTRAL))["passed"] == [EU, US]

    replicating.tell(story)


def test_a_former_home_whose_database_does_not_answer_is_pending_and_cannot_be_cut_off(replicating: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        await _written_before_the_home_moved(replicating, world, placement)
        async with down(world, US):
            pending = await replicating.cli(
                "placement", "remove-region", placement, CENTRAL, "--wait", "0.5", "--cut-off"
            )
        assert (pending["code"], pending["facts"]["pending"]) == ("removal_pending", [US])
        assert f"{US} held the placement once, and its database does not answer" in pending["reason"]

    replicating.tell(story)


def test_a_region_that_never_held_the_placement_is_not_waited_for(replicating: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        two = f"{placement}-of-two"
        await replicating.cli("placement", "create", two, "--regions", f"{US},{EU}")
        async with down(world, CENTRAL):
            assert (await replicating.cli("placement", "remove-region", two, EU))["passed"] == [US]

    replicating.tell(story)


_ROW = "select status from ig.change where origin = $1 and position = $2"


async def _written_before_the_home_moved(replicating: Fleet, world: World, placement: str) -> str:
    """us-east writes what eu-central does not receive; then eu-west is the home, and us-east is removed."""
    await world.cut(US, CENTRAL)
    told = await world.append(placement, [upsert("leak")])
    await world.arrived(EU, told["bookmark"])
    assert (await replicating.cli("placement", "open", placement, "--home", EU))["home"] == EU
    removed = await replicating.cli("placement", "remove-region", placement, US)
    assert removed["region"] == US, removed
    return str(told["bookmark"])
