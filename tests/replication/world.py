"""Regions that really replicate: one PostgreSQL server each, linked as the fleet links them, without the fleet.

``World`` speaks to them as the door, an operator and the feed would. Cutting a link disables its subscription.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg

from bench.scratch import Scratch, start_scratch
from intelgraph.changelog import links
from intelgraph.changelog.feed.process import Feed
from intelgraph.changelog.install import install_schema
from intelgraph.settings import FeedPolicy, Issuer, Peer, RegionConfig, SqliteControl
from tests.machine import WAIT_S

DIGEST_KEY = b"k" * 32


class World:
    """Named regions, their owners' connections, and the placements in them."""

    def __init__(self, servers: dict[str, Scratch]) -> None:
        self.servers = servers
        self.names = list(servers)
        self.at: dict[str, asyncpg.Connection] = {}
        self.epochs: dict[str, int] = {}
        self.homes: dict[str, str] = {}
        self.keys = 0

    async def connect(self) -> None:
        for name, server in self.servers.items():
            self.at[name] = await asyncpg.connect(**server.connect_arguments(), command_timeout=WAIT_S)

    async def close(self) -> None:
        for connection in self.at.values():
            await connection.close()

    async def build(self) -> None:
        for name in self.names:
            await install_schema(self.at[name], region=name, peers=[p for p in self.names if p != name])
        for origin in self.names:
            for destination in self.names:
                if origin != destination:
                    await links.publish(self.at[origin], here=origin, destination=destination)
        for origin in self.names:
            for destination in self.names:
                if origin != destination:
                    await self.subscribe(origin, destination)

    async def subscribe(self, origin: str, destination: str) -> None:
        login = self.servers[origin].login(
            "ig_repl",
        )
        parameters: dict[str, str | int] = {
            "host": "127.0.0.1",
            "port": login.port,
            "user": login.user,
            "password": login.password,
            "dbname": login.database,
        }
        await links.subscribe(self.at[destination], here=destination, origin=origin, parameters=parameters)

    async def open(
        self, placement: str, home: str, regions: list[str], *, standby: str | None = None, force: bool = False
    ) -> dict[str, Any]:
        epoch = self.epochs.get(placement, 0) + 1
        told = await self.ask(
            home, "select ig.open($1, $2, $3, $4, $5, 'home', $6, $7)",
            placement, epoch, home, regions, standby, DIGEST_KEY, force,
        )  # fmt: skip
        if told["status"] == "ok":
            self.epochs[placement], self.homes[placement] = epoch, home
        return told

    async def ask(self, region: str, query: str, *values: Any) -> Any:
        return json.loads(await self.at[region].fetchval(query, *values))

    async def append(
        self, placement: str, operations: list[dict[str, Any]], *, key: str | None = None, **at: Any
    ) -> Any:
        self.keys += 1
        body = json.dumps(operations)
        return await self.ask(
            at.get("region", self.homes[placement]), "select ig.append($1, $2, $3, $4, $5, $6)",
            placement, at.get("epoch", self.epochs[placement]), placement, key or f"key-{self.keys}",
            hashlib.sha256(body.encode()).digest(), body,
        )  # fmt: skip

    async def entity(self, region: str, placement: str, entity_id: str, bookmark: str | None = None) -> Any:
        return await self.ask(region, "select ig.read_entity($1, $1, $2, $3)", placement, entity_id, bookmark)

    async def report(self, region: str) -> Any:
        return await self.ask(region, "select ig.report()")

    async def cut(self, origin: str, destination: str) -> None:
        name = links.subscription_name(origin)
        await self.at[destination].execute(f"alter subscription {name} disable")
        slot = links.slot_name(origin, destination)
        await self.until(
            lambda: self.at[origin].fetchval("select not active from pg_replication_slots where slot_name = $1", slot)
        )

    async def heal(self, origin: str, destination: str) -> None:
        await self.at[destination].execute(f"alter subscription {links.subscription_name(origin)} enable")

    async def until(self, condition: Callable[[], Coroutine[Any, Any, Any]], wait_s: float = WAIT_S) -> Any:
        """Wait until a condition holds and return its value; fails after ``wait_s``."""
        deadline = time.monotonic() + wait_s
        while True:
            value = await condition()
            if value:
                return value
            assert time.monotonic() < deadline, "the condition did not come true in time"
            await asyncio.sleep(0.01)

    async def arrived(self, region: str, bookmark: str) -> str:
        """Wait until the row of a bookmark is held in a region; returns its status."""
        origin, life, _epoch, position = bookmark.split("/")
        status: str = await self.until(
            lambda: self.at[region].fetchval(
                "select status from ig.change where origin = $1 and life = $2 and position = $3",
                origin, int(life), int(position),
            )
        )  # fmt: skip
        return status

    async def settle_all(self) -> None:
        """Settle every region and wait until its mark has arrived everywhere it is linked to."""
        for name in self.names:
            await self.at[name].execute("select ig.settle()")
            await self.at[name].execute("select ig.settle()")

    def feed(self, region: str) -> Feed:
        return Feed(
            RegionConfig(
                region=region,
                zone="test",
                directory="unused",
                database=self.servers[region].login("ig_api"),
                admin_database=self.servers[region].login(),
                peers={
                    peer: Peer(database=self.servers[peer].login("ig_peer"), api="http://127.0.0.1:1")
                    for peer in self.names
                    if peer != region
                },
                control=SqliteControl(path="unused"),
                issuer=Issuer(issuer="unused", audience="unused", jwks="unused"),
                api_host="127.0.0.1",
                api_port=1,
                feed=FeedPolicy(heartbeat_s=0.2, compare_s=0.3),
            )
        )

    @contextlib.asynccontextmanager
    async def feeds(self, *regions: str) -> AsyncIterator[None]:
        """Run the feeds of some regions (all by default) for the length of the block."""
        tasks = [asyncio.create_task(self.feed(region).run()) for region in regions or self.names]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def upsert(entity_id: str, **fields: Any) -> dict[str, Any]:
    """An operation that upserts an entity."""
    return {"op": "upsert_entity", "entity": {"id": entity_id, "type": "malware", "name": entity_id, **fields}}


def relate(relationship_id: str, source: str, target: str) -> dict[str, Any]:
    """An operation that upserts a relationship."""
    return {
        "op": "upsert_relationship",
        "relationship": {"id": relationship_id, "type": "uses", "source": source, "target": target},
    }


@contextlib.contextmanager
def servers_of(names: list[str], directory: Path | None = None) -> Iterator[dict[str, Scratch]]:
    """Run one scratch server per region."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(start_scratch(directory, name=name)) for name in names}


def run(servers: dict[str, Scratch], story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    """Connect to servers that are linked already and run one story on them."""

    async def told() -> None:
        world = World(servers)
        await world.connect()
        try:
            await story(world)
        finally:
            await world.close()

    asyncio.run(told())
