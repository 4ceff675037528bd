"""RESIDENCY: `placement remove-region` is complete only when nothing can still be sent to the removed region, whoever
wrote it: the home, a home before it, or a member that could send rows again."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from intelgraph.fleet.scratch import Scratch
from intelgraph.settings import SqliteControl, dump_region_config
from tests.replication.world import World, run, servers_of, upsert

pytestmark = pytest.mark.postgres

US, EU, CENTRAL = "us-east", "eu-west", "eu-central"
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Three regions that replicate, and the files by which the command line finds them."""

    servers: dict[str, Scratch]
    state: Path

    def tell(self, story: Callable[[World, str], Coroutine[Any, Any, None]]) -> None:
        """Run a story in a fresh placement of all three regions, at home in us-east."""
        name = f"leaving{next(_numbers)}"
        asyncio.run(self.cli("placement", "create", name, "--regions", f"{US},{EU},{CENTRAL}", "--standby", EU))

        async def told(world: World) -> None:
            world.epochs[name], world.homes[name] = 1, US
            try:
                for region in (EU, CENTRAL):
                    await world.until(lambda at=world.at[region]: at.fetchval(_EPOCH, name))
                await story(world, name)
            finally:
                for origin, destination in itertools.permutations(world.names, 2):
                    await world.heal(origin, destination)

        run(self.servers, told)

    async def cli(self, *arguments: str) -> Any:
        """Run a command; its answer, or the error it was refused with."""
        command = (sys.executable, "-m", "intelgraph.cli.main", *arguments, "--json", "--state", str(self.state))
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        answer = json.loads(done.stdout)
        return answer["error"] if done.returncode else answer


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with ExitStack() as stack:
        servers = stack.enter_context(servers_of([US, EU, CENTRAL]))
        state = tmp_path_factory.mktemp("removing")

        async def build() -> None:
            world = World(servers)
            await world.connect()
            await world.build()
            for name in world.names:
                home = state / "regions" / name
                home.mkdir(parents=True)
                config = world.feed(name).config
                control = SqliteControl(path=str(state / "control.db"))
                (home / "region.json").write_bytes(dump_region_config(msgspec.structs.replace(config, control=control)))
            await world.close()

        asyncio.run(build())
        yield Fleet(servers=servers, state=state)


def test_what_a_former_home_has_not_sent_is_pending_until_it_is_delivered(fleet: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        await _written_before_the_home_moved(fleet, world, placement)
        pending = await fleet.cli("placement", "remove-region", placement, CENTRAL, "--wait", "0.5")
        assert (pending["code"], pending["facts"]["pending"]) == ("removal_pending", [US])
        assert f"{US} still has to send what is addressed to it" in pending["reason"]
        await world.heal(US, CENTRAL)
        done = await fleet.cli("placement", "remove-region", placement, CENTRAL)
        assert (done["passed"], done["cut"]) == ([EU, US], [])

    fleet.tell(story)


def test_what_a_former_home_has_not_sent_is_cut_off_and_never_arrives(fleet: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        leak = await _written_before_the_home_moved(fleet, world, placement)
        done = await fleet.cli("placement", "remove-region", placement, CENTRAL, "--wait", "0.5", "--cut-off")
        assert (done["passed"], done["cut"]) == ([EU], [US])
        await world.heal(US, CENTRAL)
        await fleet.cli("placement", "create", f"{placement}-next", "--regions", f"{US},{CENTRAL}")
        await world.until(lambda: world.at[CENTRAL].fetchval(_EPOCH, f"{placement}-next"))
        # What us-east wrote later is here: what it had written before has not even come to be dropped.
        assert await world.at[CENTRAL].fetchval(_ROW, US, int(leak.split("/")[3])) is None

    fleet.tell(story)


def test_a_former_home_that_has_not_heard_of_the_removal_could_send_rows_again(fleet: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        told = await world.append(placement, [upsert("kept")])
        for region in (EU, CENTRAL):
            await world.arrived(region, told["bookmark"])
        await world.cut(EU, US)
        await fleet.cli("placement", "open", placement, "--home", EU)
        for wait in (("--wait", "0.5"), ("--wait", "0.5", "--cut-off")):
            pending = await fleet.cli("placement", "remove-region", placement, CENTRAL, *wait)
            assert (pending["code"], pending["facts"]["pending"]) == ("removal_pending", [US])
            assert f"{US} has not heard of the removal" in pending["reason"]
        await world.heal(EU, US)
        assert (await fleet.cli("placement", "remove-region", placement, CENTRAL))["passed"] == [EU, US]

    fleet.tell(story)


def test_a_former_home_whose_database_does_not_answer_is_pending_and_cannot_be_cut_off(fleet: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        await _written_before_the_home_moved(fleet, world, placement)
        async with _down(world, US):
            pending = await fleet.cli("placement", "remove-region", placement, CENTRAL, "--wait", "0.5", "--cut-off")
        assert (pending["code"], pending["facts"]["pending"]) == ("removal_pending", [US])
        assert f"{US} held the placement once, and its database does not answer" in pending["reason"]

    fleet.tell(story)


def test_a_region_that_never_held_the_placement_is_not_waited_for(fleet: Fleet) -> None:
    async def story(world: World, placement: str) -> None:
        two = f"{placement}-of-two"
        await fleet.cli("placement", "create", two, "--regions", f"{US},{EU}")
        async with _down(world, CENTRAL):
            assert (await fleet.cli("placement", "remove-region", two, EU))["passed"] == [US]

    fleet.tell(story)


_EPOCH = "select epoch from ig.placement where id = $1"
_ROW = "select status from ig.change where origin = $1 and position = $2"


async def _written_before_the_home_moved(fleet: Fleet, world: World, placement: str) -> str:
    """us-east writes what eu-central does not receive; then eu-west is the home, and us-east is removed."""
    await world.cut(US, CENTRAL)
    told = await world.append(placement, [upsert("leak")])
    await world.arrived(EU, told["bookmark"])
    assert (await fleet.cli("placement", "open", placement, "--home", EU))["home"] == EU
    removed = await fleet.cli("placement", "remove-region", placement, US)
    assert removed["region"] == US, removed
    return str(told["bookmark"])


@asynccontextmanager
async def _down(world: World, region: str) -> AsyncIterator[None]:
    """Without the server of a region for the length of the block."""
    await world.at[region].close()
    world.servers[region].stop()
    try:
        yield
    finally:
        world.servers[region].start()
        await world.connect()
