"""RESIDENCY, on disk: not one byte of a tenant's data under the directory of a region where the tenant may not be.

Each search is also shown to be able to find: in the region where the tenant lives, and in the other one once what
withholds the data has been taken away.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

import pytest

from intelgraph.changelog import links
from intelgraph.changelog.install import install_schema
from tests.fleet_e2e.markers import A_PART, Sheet, search
from tests.fleet_e2e.probing import WRITES, Probe
from tests.fleet_e2e.running import AWAY, GLOBAL, HOME, CommandFailed, RunningFleet
from tests.replication.world import World, run, servers_of, upsert

pytestmark = pytest.mark.fleet
_FLUSHED_S = 0.5  # the door gathers its log lines for 0.2 s


def test_nothing_of_a_european_tenant_is_stored_in_the_united_states(two_regions: RunningFleet) -> None:
    two_regions.tenant("eu-only", "--regions", AWAY)
    sheet = Sheet()
    answers = asyncio.run(_use_every_door(two_regions, "eu-only", sheet))
    stored = {field for probe in answers for field in probe.stored}
    _import(two_regions, sheet, stored)
    refused = next(probe for probe in answers if probe.name == HOME)
    assert {refused.answers[what] for what in ("write entities", "read entity", "list")} == {421}
    for probe in answers:
        if probe.name.startswith(AWAY):
            assert {probe.answers[what] for what in (*WRITES, "list")} == {200}, probe.answers
        elif probe.name == GLOBAL:  # whichever region each of them goes to
            assert {probe.answers[what] for what in WRITES} <= {200, 404, 421}, probe.answers
    _flush(two_regions)
    here, there = (search(two_regions.region_directory(region), sheet) for region in (AWAY, HOME))
    common = search(two_regions.fleet.common, sheet)
    print(
        f"{len(sheet.planted)} markers; {HOME}: {there.bytes / 1e6:.0f} MB searched, {len(there.hits)} files hold any"
    )
    print(f"{AWAY}: {here.bytes / 1e6:.0f} MB, {len(here.hits)} files hold {len(here.fields)} fields' markers")
    assert not there.hits, there.hits
    assert not common.hits, common.hits
    assert there.bytes > 30e6
    # The same search finds them where they belong: every field that was stored, in tables and in the log of changes.
    assert stored - here.fields == set()
    assert any("/pg_wal/" in path for path in here.hits)
    assert any("/base/" in path for path in here.hits)
    assert not [path for path in here.hits if path.startswith("log/")], "a log holds what only the database may"


async def _use_every_door(fleet: RunningFleet, tenant: str, sheet: Sheet) -> list[Probe]:
    urls = dict(fleet.doors)
    urls |= {f"{name} without its edge": f"http://{c.api_host}:{c.api_port}" for name, c in fleet.site.regions.items()}
    probes = [Probe(url=url, name=name, token=fleet.token(tenant), sheet=sheet) for name, url in urls.items()]
    await asyncio.gather(*(probe.run() for probe in probes))
    return probes


def _import(fleet: RunningFleet, sheet: Sheet, stored: set[str]) -> None:
    """Import a bundle with rejects, through the global edge and through the region's own; the other refuses it."""
    for door in (None, AWAY, HOME):
        name = door or "global"
        kept, rejected = sheet.plant(f"import by {name}: kept"), sheet.plant(f"import by {name}: rejected")
        good = {"type": "malware", "id": _stix_id("malware"), "name": kept, "is_family": False, "spec_version": "2.1"}
        bad = [
            {"type": "relationship", "id": _stix_id("relationship"), "relationship_type": rejected,
             "spec_version": "2.1", "source_ref": good["id"], "target_ref": _stix_id("malware")},
            {"type": "malware", "id": f"malware--{rejected}", "name": rejected, "spec_version": "2.1"},
            {"type": "malware", "name": rejected},
        ]  # fmt: skip
        bundle = fleet.directory / f"{name}.json"
        bundle.write_text(json.dumps({"type": "bundle", "id": _stix_id("bundle"), "objects": [good, *bad]}))
        way = ["--region", door] if door else []
        rejects = ["--rejects", str(fleet.directory / f"{name}.rejects.jsonl")]
        try:
            fleet.cli("import", str(bundle), "--tenant", "eu-only", *way, *rejects)
        except CommandFailed:
            assert door == HOME, f"the import by {name} failed"
            continue
        stored.add(f"import by {name}: kept")


def _stix_id(kind: str) -> str:
    return f"{kind}--{uuid.uuid4()}"


def _flush(fleet: RunningFleet) -> None:
    """Write everything that any process still has in memory for its files."""

    async def checkpoint() -> None:
        for region in fleet.site.regions:
            async with fleet.owner(region) as database:
                await database.execute("checkpoint")

    time.sleep(_FLUSHED_S)
    asyncio.run(checkpoint())


@pytest.mark.parametrize(
    ("filtered", "trigger", "sent", "stored"),
    [
        pytest.param(True, True, False, False, id="as-it-is"),
        pytest.param(False, True, True, False, id="without-the-filter-the-trigger-keeps-it-off-the-disk"),
        pytest.param(False, False, True, True, id="without-both-it-is-stored"),
    ],
)
def test_the_filter_is_what_withholds(filtered: bool, trigger: bool, sent: bool, stored: bool) -> None:
    sheet = Sheet()
    with servers_of([HOME, AWAY]) as servers:

        async def story(world: World) -> None:
            await _link_towards_home(world, filtered=filtered, trigger=trigger)
            told = await _eu_writes(world, sheet)
            peeked = await world.at[AWAY].fetch(
                "select data from pg_logical_slot_peek_binary_changes('tap', null, null, "
                "'proto_version', '1', 'publication_names', $1)",
                links.publication_name(HOME),
            )
            assert any(sheet.tag.encode() in row["data"] for row in peeked) is sent
            position = int(told["after"].rpartition("/")[2])
            await world.until(
                lambda: world.at[HOME].fetchval("select true from ig.change where position = $1", position)
            )
            held = await world.at[HOME].fetchval("select count(*) from ig.change where placement = 'eu-only'")
            assert bool(held) is sent
            await world.at[HOME].execute("checkpoint")

        run(servers, story)
        found = search(servers[HOME].server.directory, sheet)
        assert bool(found.hits) is stored, found.hits
        if stored:
            assert set(sheet.planted.values()) == found.fields - {A_PART}
        assert set(sheet.planted.values()) == search(servers[AWAY].server.directory, sheet).fields - {A_PART}


async def _link_towards_home(world: World, *, filtered: bool, trigger: bool) -> None:
    for name, peer in ((HOME, AWAY), (AWAY, HOME)):
        await install_schema(world.at[name], region=name, peers=[peer])
    await links.publish(world.at[AWAY], here=AWAY, destination=HOME)
    if not filtered:
        await world.at[AWAY].execute(
            f"alter publication {links.publication_name(HOME)} set table ig.change ({links.REPLICATED_COLUMNS}), "
            f"ig.signal where (origin = '{AWAY}' and destination = '{HOME}')"
        )
    await world.at[AWAY].fetchval("select pg_create_logical_replication_slot('tap', 'pgoutput')")
    if not trigger:
        await world.at[HOME].execute("alter table ig.change disable trigger arrive")
    await world.subscribe(AWAY, HOME)


async def _eu_writes(world: World, sheet: Sheet) -> dict[str, str]:
    """Write to a placement of the European region alone, then to one of both, which shows that the stream is past."""
    await world.open("eu-only", AWAY, [AWAY])
    await world.open("both", AWAY, [HOME, AWAY])
    fields: dict[str, Any] = {
        "name": sheet.plant("name"),
        "properties": {sheet.plant("property"): sheet.plant("value")},
        "sources": [sheet.plant("source")],
    }
    await world.append("eu-only", [upsert(sheet.plant("id"), **fields)])
    after = await world.append("both", [upsert("after")])
    return {"after": after["bookmark"]}
