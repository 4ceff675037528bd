"""The standby's waiter confirms what the standby has flushed, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest

from intelgraph.api.database.database import APPEND_AND_PLACE
from intelgraph.changelog.durability import StandbyWaiter, lsn_number
from intelgraph.changelog.links import slot_name
from tests.machine import WAIT_S
from tests.replication.lone import Lone, upsert

Tell = Callable[[Any], None]


@dataclass(kw_only=True)
class Server:
    """Plays the pool and its connection."""

    flushed: dict[str, str]
    since: str | None = None
    looks: int = 0

    @contextlib.asynccontextmanager
    async def acquire(self, **_limits: float) -> AsyncIterator[Server]:
        yield self

    async def fetch(self, _statement: str, **_limits: float) -> list[dict[str, Any]]:
        self.looks += 1
        return [{"slot": slot, "lsn": lsn, "since": self.since} for slot, lsn in self.flushed.items()]


def test_a_standby_that_is_behind_or_away_confirms_nothing() -> None:
    async def story() -> None:
        server = Server(flushed={"a__b": "0/1F"})
        waiter = StandbyWaiter(pool=cast(Any, server), here="a")
        assert await waiter.wait("b", "0/1F", 5.0)
        assert not await waiter.wait("b", "0/20", 0.1)
        assert not await waiter.wait("c", "0/1", 0.1)
        server.flushed["a__b"] = "1/0"
        assert await waiter.wait("b", "0/20", 5.0)

    asyncio.run(story())


def test_what_was_written_before_the_slot_was_made_is_not_confirmed() -> None:
    async def story() -> None:
        waiter = StandbyWaiter(pool=cast(Any, Server(flushed={"a__b": "F/0"}, since="0/20")), here="a")
        assert not await waiter.wait("b", "0/20", 0.1)
        assert await waiter.wait("b", "0/21", 5.0)

    asyncio.run(story())


@pytest.mark.postgres
def test_slots_of_regions_with_long_names_differ_and_have_one_name_everywhere(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        origin = "europe-west-of-the-rhine-data-centre-one"
        names = [
            slot_name(origin, destination) for destination in ("us", *(f"europe-north-of-berlin-{n}" for n in "ab"))
        ]
        assert len(set(names)) == 3
        assert max(map(len, names)) <= 63
        told = [
            await region.ask("select ig.slot_name($1, $2)", origin, destination)
            for destination in ("us", *(f"europe-north-of-berlin-{n}" for n in "ab"))
        ]
        assert told == names

    alone(story)


def test_a_position_that_nobody_knows_is_not_confirmed() -> None:
    server = Server(flushed={"a__b": "F/0"})
    waiter = StandbyWaiter(pool=cast(Any, server), here="a")
    assert not asyncio.run(waiter.wait("b", "", 5.0))
    assert server.looks == 0


def test_nobody_looks_while_nobody_waits() -> None:
    async def story() -> None:
        server = Server(flushed={"a__b": "0/1"})
        waiter = StandbyWaiter(pool=cast(Any, server), here="a")
        assert await waiter.wait("b", "0/1", 5.0)
        async with asyncio.timeout(WAIT_S):
            while waiter.is_looking:  # noqa: ASYNC110 - a few turns of the loop
                await asyncio.sleep(0)
        looks = server.looks
        await asyncio.sleep(0.05)
        assert server.looks == looks

    asyncio.run(story())


@pytest.mark.postgres
def test_the_position_told_with_an_append_lies_behind_its_commit(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        door = await region.connect("ig_api")
        for number in range(20):
            before = lsn_number(await region.ask("select pg_current_wal_insert_lsn()::text"))
            told = await door.fetchrow(
                APPEND_AND_PLACE, "p", 1, "t", f"placed-{number}", b"r" * 32, [upsert(f"placed-{number}")]
            )
            assert told["answer"]["status"] == "ok"
            # What is written before a commit is not flushed yet: a position read too early would not pass `before`.
            assert lsn_number(told["flushed"]) > before
            assert await region.ask("select count(*) from ig.entity where id = $1", f"placed-{number}") == 1

    alone(story)


@pytest.mark.postgres
def test_a_refused_append_is_told_as_one(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        door = await region.connect("ig_api")
        told = await door.fetchrow(APPEND_AND_PLACE, "p", 2, "t", "key", b"r" * 32, [upsert("x")])
        assert (told["answer"]["status"], told["answer"]["code"]) == ("refused", "fenced")
        assert await region.ask("select count(*) from ig.change where kind = 'write'") == 0

    alone(story)
