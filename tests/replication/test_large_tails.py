"""A lost region comes back with rows that are large: a page has no more of them than can be decided about at once."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest

from intelgraph.control.agent.controller.salvaging import PAGE_OBJECTS_MAX
from intelgraph.control.agent.observer.own_session import OwnSession
from tests.replication.lone import HERE, Lone, entity, touched, upsert, write
from tests.replication.test_kinds_of_tails import come_back, left
from tests.replication.test_long_tails import Home, login, names

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]
KIB = 1024
SLOW = """
create function ig.slowly() returns trigger language plpgsql as $$
begin
    perform pg_catalog.pg_sleep(0.08);
    return new;
end $$;
create trigger slowly after update of status on ig.change for each row execute function ig.slowly();
alter table ig.change enable always trigger slowly;
"""


async def come_back_large(region: Lone, rows: int, size: int) -> None:
    """Rows of so many bytes, which no compression makes small."""
    await come_back(region)
    stream = await region.stream()
    text = secrets.token_hex(size // 2)
    for number in range(rows):
        row = write(3 + number, entity(f"e{number}", properties={"x": text[number:] + text[:number]}))
        await region.apply(await touched(region, row), on=stream)


@pytest.mark.prove
def test_rows_of_a_megabyte_are_all_adopted_and_no_write_waits_long(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await come_back_large(region, 60, 1_000_000)
        waited: list[float] = []

        async def writes() -> None:
            beside = await region.connect()
            while True:
                began = time.monotonic()
                await region.append(2, upsert("beside"), on=beside)
                waited.append(time.monotonic() - began)
                await asyncio.sleep(0.05)

        writing = asyncio.create_task(writes())
        async with Home(region) as home:
            assert await home.people() == 0
            assert not [each for each in home.agent.told if "Canceled" in each or "TimeoutError" in each]
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert await region.ask("select count(*) from ig.change where status = 'inert'") == 0
        assert len(waited) > 20 and max(waited) < 4.0, max(waited)

    alone(story)


def test_a_page_ends_with_so_many_bytes_but_has_a_row_at_least(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await come_back_large(region, 7, 200 * KIB)
        page = await region.ask("select ig.salvage('p', null, $1)", PAGE_OBJECTS_MAX)
        assert ([row["position"] for row in page["rows"]], page["next"]) == ([3, 4, 5], "us-east/1/1/5")
        # What is decided about is not looked at: it makes no page shorter.
        decided = [{"origin": "us-east", "life": 1, "position": each} for each in (3, 4, 5)]
        assert (await region.ask("select ig.reject('p', $1, 'why')", decided))["status"] == "ok"
        page = await region.ask("select ig.salvage('p', null, $1)", PAGE_OBJECTS_MAX)
        assert ([row["position"] for row in page["rows"]], page["next"]) == ([6, 7, 8], "us-east/1/1/8")
        page = await region.ask("select ig.salvage('p', $1, $2)", page["next"], PAGE_OBJECTS_MAX)
        assert ([row["position"] for row in page["rows"]], page["next"]) == ([9], None)

    alone(story)


def test_compression_makes_no_page_longer(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await come_back(region)
        for number in range(4):
            row = write(3 + number, entity(f"e{number}", properties={"x": "x" * 400 * KIB}))
            await region.apply(await touched(region, row))
        page = await region.ask("select ig.salvage('p', null, $1)", PAGE_OBJECTS_MAX)
        assert len(page["rows"]) == 2

    alone(story)


def test_a_page_that_is_not_done_in_time_is_tried_with_less_in_it_down_to_one_row(alone: Tell) -> None:
    """The database takes a tenth of a second for each row; no page of more than three is done in time."""

    async def story(region: Lone) -> None:
        await come_back(region, *[write(3 + number, entity(f"e{number}")) for number in range(20)])
        await region.main.execute(SLOW)
        async with Home(region) as home:
            home.loop._session = OwnSession(login(region), region=HERE, timeout_s=0.4, session={})
            for _ in range(60):
                await home.look_and_go_round()
            home.loop._session.close()
            assert 2 <= sum("salvage_waits" in each for each in home.agent.told) < 15
        assert await left(region) == {}

    alone(story)


def test_names_of_large_rows_are_listed_to_the_end(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await come_back_large(region, 5, 400 * KIB)
        found, after = [], None
        for _ in range(5):
            page = await region.ask("select ig.salvage('p', $1, 1000)", after)
            found += names(page["rows"])
            after = page["next"]
            if after is None:
                break
        assert [row["position"] for row in found] == [3, 4, 5, 6, 7]

    alone(story)
