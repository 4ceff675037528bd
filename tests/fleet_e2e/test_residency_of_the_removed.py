"""RESIDENCY after a removal: what was on its way to a region that has been removed does not arrive there, and what it
had already received is gone from its tables at once and from its disk after maintenance."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from tests.fleet_e2e.markers import Sheet, search
from tests.fleet_e2e.running import AWAY, HOME, CommandFailed, RunningFleet, until_true
from tests.machine import WAIT_S

pytestmark = pytest.mark.fleet
_RELATION = """
    select coalesce(main.oid, rows.oid)::regclass::text from pg_class file
    left join pg_index index on index.indexrelid = file.oid
    join pg_class rows on rows.oid = coalesce(index.indrelid, file.oid)
    left join pg_class main on main.reltoastrelid = rows.oid
    where pg_relation_filenode(file.oid)::text = $1
"""
"""The table that a file belongs to: its own, an index of it, what it keeps beside, an index of that."""
PAGE = Path(__file__).parents[2] / "docs" / "residency.md"


@pytest.fixture
def fleet(two_regions: RunningFleet) -> Iterator[RunningFleet]:
    """The fleet; its link is healed and its placements are whole again afterwards."""
    yield two_regions
    two_regions.cli("wan", "--heal")
    two_regions.wait_until_whole()


def test_nothing_written_after_the_cut_reaches_a_region_that_is_cut_off(fleet: RunningFleet) -> None:
    tenant = _tenant(fleet)
    before, after = Sheet(), Sheet()
    _write(fleet, tenant, before)
    asyncio.run(_has_arrived(fleet, tenant, rows=2))
    asyncio.run(_sampled(fleet))
    with _nothing_is_vacuumed(fleet):
        _removed_while_cut_off(fleet, tenant, after)
        _dead_rows_have_it(fleet, tenant, before)
    asyncio.run(_bytes_go_with_maintenance(fleet, before))


def _removed_while_cut_off(fleet: RunningFleet, tenant: str, after: Sheet) -> None:
    fleet.cli("wan", HOME, AWAY, "--cut", "both", "--for", "300s")
    _write(fleet, tenant, after)
    removal = fleet.move("placement", "remove-region", tenant, HOME, "--cut-off", "--wait", "1")
    assert removal["cut"] == [AWAY]
    _erase(fleet, tenant, [marker for marker, field in after.planted.items() if field == "id"])
    fleet.cli("wan", HOME, AWAY, "--heal")
    asyncio.run(_knows_of_its_removal(fleet, tenant))
    fleet.wait_until_whole()
    _checkpoint(fleet)
    assert not (found := search(fleet.region_directory(HOME), after)).hits, found.hits
    # Where the tenant still lives they were written: the search can find them.
    assert set(after.planted.values()) <= search(fleet.region_directory(AWAY), after).fields


def test_without_the_cut_off_what_was_on_its_way_does_arrive(fleet: RunningFleet) -> None:
    tenant = _tenant(fleet)
    after = Sheet()
    fleet.cli("wan", HOME, AWAY, "--cut", "both", "--for", "300s")
    _write(fleet, tenant, after)
    with pytest.raises(CommandFailed, match="removal_pending"):
        fleet.move("placement", "remove-region", tenant, HOME, "--wait", "0.5")
    fleet.cli("wan", HOME, AWAY, "--heal")
    asyncio.run(_knows_of_its_removal(fleet, tenant))
    assert fleet.move("placement", "remove-region", tenant, HOME, "--wait", "20")["passed"] == [AWAY]
    _checkpoint(fleet)
    # At least: a page's header may also cut one in two.
    assert set(after.planted.values()) <= search(fleet.region_directory(HOME), after).fields


def _tenant(fleet: RunningFleet) -> str:
    tenant = f"leaving-{uuid.uuid4().hex[:6]}"
    fleet.tenant(tenant, "--regions", f"{AWAY},{HOME}", "--home", AWAY)
    return tenant


def _write(fleet: RunningFleet, tenant: str, sheet: Sheet) -> None:
    entity = {
        "id": sheet.plant("id"),
        "type": sheet.plant("type"),
        "name": sheet.plant("name"),
        "properties": {sheet.plant("property"): sheet.plant("value")},
        "sources": [sheet.plant("source")],
    }
    _ask(fleet, tenant, {"op": "upsert_entity", "entity": entity})


def _erase(fleet: RunningFleet, tenant: str, ids: list[str]) -> None:
    _ask(fleet, tenant, {"op": "erase", "ids": ids})


def _ask(fleet: RunningFleet, tenant: str, operation: dict[str, object]) -> None:
    async def ask() -> None:
        headers = {"Authorization": f"Bearer {fleet.token(tenant, 'admin')}", "Idempotency-Key": str(uuid.uuid4())}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_S)) as http:
            body = {"operations": [operation]}
            async with http.post(f"{fleet.doors[AWAY]}/v1/changes", json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()

    asyncio.run(ask())


async def _has_arrived(fleet: RunningFleet, placement: str, *, rows: int) -> None:
    async with fleet.owner(HOME) as database:
        counted = "select count(*) >= $2 from ig.change where placement = $1"
        await until_true(lambda: database.fetchval(counted, placement, rows), 20.0, "the write has not arrived")


async def _sampled(fleet: RunningFleet) -> None:
    """Have the planner's statistics made now, as autovacuum does at a time of its own: they hold values of rows."""
    async with fleet.owner(HOME) as database:
        await database.execute("analyze ig.change, ig.entity, ig.relationship")


async def _knows_of_its_removal(fleet: RunningFleet, placement: str) -> None:
    async with fleet.owner(HOME) as database:
        removed = "select not 'us-east' = any (regions) from ig.placement where id = $1"
        await until_true(lambda: database.fetchval(removed, placement), 30.0, "the region does not know of its removal")


def _checkpoint(fleet: RunningFleet) -> None:
    async def checkpoint() -> None:
        for region in fleet.site.regions:
            async with fleet.owner(region) as database:
                await database.execute("checkpoint")

    asyncio.run(checkpoint())


@contextlib.contextmanager
def _nothing_is_vacuumed(fleet: RunningFleet) -> Iterator[None]:
    """A snapshot that stays open in the home's database: neither a vacuum nor a page that is tidied takes dead rows."""
    taken, ends = threading.Event(), threading.Event()

    async def look_on() -> None:
        async with fleet.owner(HOME) as database, database.transaction(isolation="repeatable_read", readonly=True):
            while not ends.is_set():
                await database.execute("select from ig.change limit 1")
                taken.set()
                await asyncio.sleep(0.2)

    looking = threading.Thread(target=lambda: asyncio.run(look_on()))
    looking.start()
    try:
        assert taken.wait(WAIT_S)
        yield
    finally:
        ends.set()
        looking.join()


def _dead_rows_have_it(fleet: RunningFleet, placement: str, sheet: Sheet) -> None:
    """No row has the data any more; versions of rows that nobody sees have: the search can find them."""

    async def look() -> set[str]:
        async with fleet.owner(HOME) as database:
            kept = "select count(*) from ig.change where placement = $1 and (body is not null and kind = 'write')"
            assert await database.fetchval(kept, placement) == 0
            for table in ("entity", "relationship", "outcome", "snapshot"):
                assert await database.fetchval(f"select count(*) from ig.{table} where placement = $1", placement) == 0
            return await _held_by(fleet, database, sheet)

    held = asyncio.run(look())
    assert {"ig.entity", "ig.change"} <= held, held


async def _bytes_go_with_maintenance(fleet: RunningFleet, sheet: Sheet) -> None:
    """Dead row versions, statistics and the WAL may have it until what docs/residency.md says is done."""
    async with fleet.owner(HOME) as database:
        clear, is_past, rewrite, is_over = _steps()
        await _run(database, clear)
        await until_true(lambda: _run_rarely(database, is_past), WAIT_S, "something keeps dead versions from before")
        await _run(database, rewrite)
        held = await _held_by(fleet, database, sheet)
        assert held <= {"pg_wal"}, held
        # Slots of other regions let go of a segment within seconds.
        await until_true(lambda: _run_rarely(database, is_over), WAIT_S, "a segment from before is still there")
        assert await _held_by(fleet, database, sheet) == set()
        await database.execute("alter system reset wal_recycle")


def _steps() -> list[list[str]]:
    """The statements of each step that the page tells an operator to run."""
    blocks = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [[each.strip() for each in block.split(";") if each.strip()] for block in blocks]


async def _run(database: asyncpg.Connection, statements: list[str]) -> object:
    """Run one step to its end, all rows of each statement; returns the last statement's first value.

    ``fetchval`` would not do: it stops a statement after its first row, so that one column's statistics are cleared.
    """
    for statement in statements:
        rows = await database.fetch(statement)
    return rows[0][0] if rows else None


async def _run_rarely(database: asyncpg.Connection, statements: list[str]) -> object:
    """Run a step that is run again and again: no more than twice a second, since it is a checkpoint each time."""
    await asyncio.sleep(0.5)
    return await _run(database, statements)


async def _held_by(fleet: RunningFleet, database: asyncpg.Connection, sheet: Sheet) -> set[str]:
    """Which relations, or which other of the server's own directories, have files with markers."""
    held = set()
    for path in search(fleet.region_directory(HOME), sheet).hits:
        where = Path(path).relative_to("postgres/data")
        name = (
            await database.fetchval(_RELATION, re.split(r"[._]", where.name)[0]) if where.parts[0] == "base" else None
        )
        held.add(name or (where.parts[0] if where.parts[0] != "base" else str(where)))
    return held
