"""A lost region comes back with thousands of rows that nobody had: they are gone through a page at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from intelgraph.control.agent.controller.salvage_loop import SalvageLoop
from intelgraph.control.agent.controller.salvaging import PAGE_OBJECTS_MAX, beyond
from intelgraph.control.agent.metrics import AgentMetrics
from intelgraph.control.agent.observer.observing import Known
from intelgraph.control.agent.observer.own_database import OwnDatabase, looks_session
from intelgraph.control.agent.observer.own_session import OwnSession
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.model.placement import Durability, Placement
from tests.replication.lone import HERE, INSERT_CHANGE, REGIONS, Lone, entity, opening, touched, upsert, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]
ROWS = 3_000

# Nothing is analyzed: a tail that has just come is in no statistics.
FILL = """
insert into ig.change (origin, life, position, placement, epoch, version, kind, tenant, key_hash, request_hash,
                       replicate_to, touches, body, digest, written_at)
select 'us-east', 1, 100 + n, 'p', 1, 1, 'write', 't', sha256(('key' || n)::bytea), sha256(n::text::bytea),
       array['us-east', 'eu-west', 'eu-central'],
       array(select ig.touch('t', 'entity', 'e' || n || '-' || m) from pg_catalog.generate_series(1, $2::int) m),
       jsonb_build_object('objects', (select jsonb_agg(jsonb_build_object(
           'kind', 'entity', 'id', 'e' || n || '-' || m, 'type', 't', 'name', 'n', 'properties', '{}'::jsonb,
           'sources', '[]'::jsonb, 'created', '2024-01-01T00:00:00Z', 'updated', '2024-01-01T00:00:00Z',
           'revision', 1)) from pg_catalog.generate_series(1, $2::int) m)),
       sha256(n::text::bytea), now()
from pg_catalog.generate_series(1, $1::int) n
"""
READ = """
select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::int
from pg_stat_xact_user_tables where schemaname = 'ig' and relname = any ('{change,entity}')
"""


class Agent:
    """An agent that says what happens to whoever asks."""

    here = HERE

    def __init__(self) -> None:
        self.told: list[str] = []

    def log(self, event: str, **facts: object) -> None:
        self.told.append(f"{event} {facts}")


class Observing:
    """One placement at home here, and this database as the last look saw it."""

    def __init__(self, region: Lone) -> None:
        placement = Placement(
            id="p", home=HERE, standby=None, regions=tuple(REGIONS), epoch=2, durability=Durability.HOME
        )
        self.known = Known(placements={"p": PlacementRecord(placement=placement, digest_key="6b", version=1)})
        self.database = OwnDatabase(looks_session(login(region), region=HERE), region=HERE, clock=time.monotonic)

    @property
    def own(self) -> Any:
        return self.database.observed


def login(region: Lone) -> Any:
    return msgspec.structs.replace(region.server.login(), database=region.database)


class Home:
    """A home's agent, as far as salvage goes."""

    def __init__(self, region: Lone) -> None:
        self.agent, self.observing = Agent(), Observing(region)
        self.session = OwnSession(login(region), region=HERE, timeout_s=5.0, session={})
        self.loop = SalvageLoop(self.agent, self.observing, self.session, AgentMetrics())

    async def look_and_go_round(self) -> bool:
        await self.observing.database.look()
        return await self.loop.round()

    async def people(self) -> int:
        """How many rows wait for a person when nothing is left to do."""
        await self.settle()
        return self.loop.people.get("p", 0)

    async def settle(self) -> int:
        """Go round until nothing is left to do; returns how many pages that took."""
        for pages in range(200):
            if not await self.look_and_go_round() and not await self.look_and_go_round():
                return pages
        raise AssertionError(f"it never ends: {self.agent.told[-3:]}")

    async def __aenter__(self) -> Home:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.session.close()
        self.observing.database.close()


async def beyond_a_cut(region: Lone, rows: int, objects: int = 1) -> None:
    """Rows that come when their epoch is over."""
    stream = await region.stream()
    await region.apply(opening(1), on=stream)
    await region.open(2)
    await stream.execute(FILL, rows, objects)


async def page(region: Lone, after: str | None) -> Any:
    return await region.ask("select ig.salvage('p', $1, $2)", after, PAGE_OBJECTS_MAX)


def names(rows: Any) -> list[dict[str, Any]]:
    return [{part: row[part] for part in ("origin", "life", "position")} for row in rows]


def test_pages_tell_each_row_once_oldest_first(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await beyond_a_cut(region, ROWS)
        await region.ask("select ig.reject('p', $1, 'why')", names((await page(region, None))["rows"])[::2])
        positions = [101 + n for n in range(ROWS) if n >= PAGE_OBJECTS_MAX or n % 2]
        async with Home(region) as home:
            assert [row.position for row in await beyond(home.session, "p")] == positions

    alone(story)


def test_a_page_ends_with_so_many_objects_but_has_a_row_at_least(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await beyond_a_cut(region, 5, objects=150)
        first = await page(region, None)
        assert [row["position"] for row in first["rows"]] == [101, 102]
        last = await region.ask("select ig.salvage('p', $1, 1)", "us-east/1/1/104")
        assert ([row["position"] for row in last["rows"]], last["next"]) == ([105], None)

    alone(story)


@pytest.mark.prove
def test_a_page_reads_no_more_of_the_log_than_the_page_and_neither_does_deciding_about_it(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await beyond_a_cut(region, ROWS)
        rows, after, read = [], None, []
        for number in range(ROWS // PAGE_OBJECTS_MAX):
            async with region.main.transaction():
                before = await region.main.fetchval(READ)
                told = await page(region, after)
                rows, after = told["rows"], told["next"]
                await region.ask("select ig.decide_if('p', $1, 'adoptable', 'why', true)", names(rows))
                read.append(await region.main.fetchval(READ) - before)
            assert len(rows) == PAGE_OBJECTS_MAX, number
        assert after is None
        assert max(read) < 40 * PAGE_OBJECTS_MAX, read

    alone(story)


def test_a_long_tail_is_adopted_page_by_page_to_the_end(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await beyond_a_cut(region, ROWS)
        async with Home(region) as home:
            pages = await home.settle()
            assert ROWS // PAGE_OBJECTS_MAX <= pages <= ROWS // PAGE_OBJECTS_MAX + 3
            assert home.loop.people.get("p", 0) == 0
        assert await region.ask("select count(*) from ig.change where status = 'inert'") == 0

    alone(story)


def test_what_people_decide_waits_for_nobody_any_more(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await beyond_a_cut(region, 5)
        for number in range(1, 6):
            await region.append(2, upsert(f"e{number}-1"))
        async with Home(region) as home:
            rows = names((await page(region, None))["rows"])
            assert await home.people() == 5
            await region.ask("select ig.reject('p', $1, 'the newer one is right')", rows[:3])
            assert await home.people() == 2
            await region.ask("select ig.reject('p', $1, 'the newer one is right')", rows[3:])
            assert await home.people() == 0
            assert await region.ask("select count(*) from ig.change where status = 'inert'") == 5
            await region.ask("select ig.adopt('p', $1, 'they count after all')", rows)
            assert await home.people() == 0
            assert home.observing.own.placements["p"].tail is None

    alone(story)


def test_of_two_streams_that_bring_tails_the_one_that_commits_last_is_not_overlooked(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await beyond_a_cut(region, 0)
        await region.append(2, upsert("a"))
        slow = await region.stream()
        async with Home(region) as home:
            transaction = slow.transaction()
            await transaction.start()
            await slow.execute(INSERT_CHANGE, await touched(region, write(901, entity("a"))))
            await region.apply(await touched(region, write(902, entity("a"))))
            assert await home.people() == 1
            await transaction.commit()
            assert await home.people() == 2

    alone(story)


@pytest.mark.prove
def test_a_look_costs_the_same_however_many_rows_were_decided_about(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await beyond_a_cut(region, ROWS)
        rows = names((await region.ask("select ig.salvage('p', null, $1)", ROWS))["rows"])
        await region.ask("select ig.reject('p', $1, 'why')", rows)
        async with region.main.transaction():
            before = await region.main.fetchval(READ)
            await region.ask("select ig.observe()")
            assert await region.main.fetchval(READ) - before < 10

    alone(story)
