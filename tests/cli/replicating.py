"""Three regions that really replicate, without agents or doors, and the files by which commands find them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.scratch import Scratch
from intelgraph.settings import SqliteControl, dump_region_config
from tests import command
from tests.replication.world import World, run, servers_of

US, EU, CENTRAL = "us-east", "eu-west", "eu-central"
EPOCH = "select epoch from ig.placement where id = $1"
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command's exit code, and what it printed."""

    code: int
    value: Any


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Three regions that replicate, and the files by which the command line finds them."""

    servers: dict[str, Scratch]
    state: Path

    def tell(self, story: Callable[[World, str], Coroutine[Any, Any, None]]) -> None:
        """Run a story in a fresh placement of all three regions, at home in us-east."""
        name = f"told{next(_numbers)}"
        asyncio.run(self.cli("placement", "create", name, "--regions", f"{US},{EU},{CENTRAL}", "--standby", EU))

        async def told(world: World) -> None:
            world.epochs[name], world.homes[name] = 1, US
            try:
                for region in (EU, CENTRAL):
                    await world.until(lambda at=world.at[region]: at.fetchval(EPOCH, name))
                await story(world, name)
            finally:
                for origin, destination in itertools.permutations(world.names, 2):
                    await world.heal(origin, destination)

        run(self.servers, told)

    async def ran(self, *arguments: str) -> Ran:
        """Run a command to its end."""
        told = [*arguments, "--json", "--state", str(self.state)]
        done = await asyncio.to_thread(command.run_text, told, directory=Path.cwd(), timeout_s=60)
        return Ran(code=done.returncode, value=json.loads(done.stdout))

    async def cli(self, *arguments: str) -> Any:
        """Run a command; its answer, or the error it was refused with."""
        done = await self.ran(*arguments)
        return done.value["error"] if done.code else done.value


@contextmanager
def three_regions(state: Path) -> Iterator[Fleet]:
    """Build and run them; everything but ``state`` is removed at the end."""
    with servers_of([US, EU, CENTRAL]) as servers:

        async def build() -> None:
            world = World(servers)
            await world.connect()
            await world.build()
            for name in world.names:
                home = state / "regions" / name
                home.mkdir(parents=True)
                config = world.feed(name).config
                control = SqliteControl(path=str(state / "control.db"))
                (home / "region.json").write_bytes(
                    dump_region_config(msgspec.structs.replace(config, control=control, directory=str(home)))
                )
            await world.close()

        asyncio.run(build())
        yield Fleet(servers=servers, state=state)


@asynccontextmanager
async def down(world: World, region: str) -> AsyncIterator[None]:
    """Without the server of a region for the length of the block."""
    await world.at[region].close()
    world.servers[region].stop()
    try:
        yield
    finally:
        world.servers[region].start()
        await world.connect()
