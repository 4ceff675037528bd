"""RESIDENCY after a removal: what was on its way to a region that has been removed does not arrive there, and what it
had already received is gone from its tables at once and from its disk after maintenance."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.fleet_e2e.markers import Sheet, search
from tests.fleet_e2e.running import AWAY, HOME, CommandFailed, RunningFleet, until_true

pytestmark = pytest.mark.fleet
_SEGMENTS_MAX = 60


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
    fleet.cli("wan", HOME, AWAY, "--cut", "both", "--for", "120s")
    _write(fleet, tenant, after)
    removal = fleet.cli("placement", "remove-region", tenant, HOME, "--cut-off", "--wait", "1")
    assert removal["cut"] == [AWAY]
    _erase(fleet, tenant, [marker for marker, field in after.planted.items() if field == "id"])
    fleet.cli("wan", HOME, AWAY, "--heal")
    asyncio.run(_knows_of_its_removal(fleet, tenant))
    fleet.wait_until_whole()
    _checkpoint(fleet)
    assert not (found := search(fleet.region_directory(HOME), after)).hits, found.hits
    # Where the tenant still lives they were written: the search can find them.
    assert set(after.planted.values()) <= search(fleet.region_directory(AWAY), after).fields
    asyncio.run(_bytes_go_with_maintenance(fleet, tenant, before))


def test_without_the_cut_off_what_was_on_its_way_does_arrive(fleet: RunningFleet) -> None:
    tenant = _tenant(fleet)
    after = Sheet()
    fleet.cli("wan", HOME, AWAY, "--cut", "both", "--for", "60s")
    _write(fleet, tenant, after)
    with pytest.raises(CommandFailed, match="removal_pending"):
        fleet.cli("placement", "remove-region", tenant, HOME, "--wait", "0.5")
    fleet.cli("wan", HOME, AWAY, "--heal")
    asyncio.run(_knows_of_its_removal(fleet, tenant))
    assert fleet.cli("placement", "remove-region", tenant, HOME, "--wait", "20")["passed"] == [AWAY]
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
        headers = {"Authorization": f"Bearer {fleet.token(tenant)}", "Idempotency-Key": str(uuid.uuid4())}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http:
            body = {"operations": [operation]}
            async with http.post(f"{fleet.doors[AWAY]}/v1/changes", json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()

    asyncio.run(ask())


async def _has_arrived(fleet: RunningFleet, placement: str, *, rows: int) -> None:
    async with fleet.owner(HOME) as database:
        counted = "select count(*) >= $2 from ig.change where placement = $1"
        await until_true(lambda: database.fetchval(counted, placement, rows), 20.0, "the write has not arrived")


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


async def _bytes_go_with_maintenance(fleet: RunningFleet, placement: str, sheet: Sheet) -> None:
    """No row has the data any more; dead row versions and the WAL have, until they are rewritten and recycled."""
    directory = fleet.region_directory(HOME)
    async with fleet.owner(HOME) as database:
        kept = "select count(*) from ig.change where placement = $1 and (body is not null and kind = 'write')"
        assert await database.fetchval(kept, placement) == 0
        for table in ("entity", "relationship", "outcome", "snapshot"):
            assert await database.fetchval(f"select count(*) from ig.{table} where placement = $1", placement) == 0
        assert _where(directory, sheet) == {"base", "pg_wal"}
        # Plain VACUUM frees room in a page and leaves the bytes in it; rewriting a table leaves nothing.
        for table in ("change", "entity", "relationship", "outcome", "snapshot"):
            await database.execute(f"vacuum full ig.{table}")
        await database.execute("checkpoint")
        assert _where(directory, sheet) == {"pg_wal"}
        # A segment of the WAL keeps its bytes until it is written again, also while it waits for that as a spare one;
        # slots of other regions let go of theirs within seconds.
        for _ in range(_SEGMENTS_MAX):
            await database.execute("select pg_switch_wal()")
            await database.execute("checkpoint")
            if _where(directory, sheet) == set():
                return
            await asyncio.sleep(0.5)
        raise AssertionError(f"the WAL still holds it after {_SEGMENTS_MAX} segments")


def _where(directory: Path, sheet: Sheet) -> set[str]:
    """Under which of the server's own directories there are markers."""
    return {Path(path).relative_to("postgres/data").parts[0] for path in search(directory, sheet).hits}
