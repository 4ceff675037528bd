"""One set of really replicating servers for all stories; each story uses placements of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from bench.scratch import Scratch
from tests.replication.lone import Lone, lone, lone_server
from tests.replication.world import World, run, servers_of

Story = Callable[[World, str], Coroutine[Any, Any, None]]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def regions() -> Iterator[Callable[[Story], None]]:
    """Three linked regions; call the fixture with a story, an async function of (world, a fresh placement's name)."""
    with servers_of(["us-east", "eu-west", "eu-central"]) as servers:

        async def build() -> None:
            world = World(servers)
            await world.connect()
            await world.build()
            await world.close()

        asyncio.run(build())

        def tell(story: Story) -> None:
            name = f"p{next(_numbers)}"
            run(servers, lambda world: story(world, name))

        yield tell


@pytest.fixture(scope="session")
def _lone_server() -> Iterator[Scratch]:
    with lone_server() as server:
        yield server


@pytest.fixture
def alone(_lone_server: Scratch) -> Callable[[Callable[[Lone], Coroutine[Any, Any, None]]], None]:
    """Tell a story on one region's database whose streams are played by hand."""

    def tell(story: Callable[[Lone], Coroutine[Any, Any, None]]) -> None:
        async def told() -> None:
            async with lone(_lone_server) as region:
                await story(region)

        asyncio.run(told())

    return tell
