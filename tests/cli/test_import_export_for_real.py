"""``import`` and ``export`` against real regions: MITRE ATT&CK in both, odd objects through PostgreSQL and back."""

from __future__ import annotations

import asyncio
import io
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from intelgraph.client.api_client import ApiClient, Reply
from intelgraph.client.import_sender import ApiSender
from intelgraph.graph.imports.answer import Answer
from intelgraph.graph.imports.journal import Heading, ImportJournal, new_run
from intelgraph.graph.imports.plan import BatchLimits, scan
from intelgraph.graph.imports.run import ImportPolicy, ImportRun
from intelgraph.graph.objects import normal_value, read_object
from intelgraph.graph.stix.bundle_source import BundleSource
from intelgraph.graph.stix.mapping import to_stix
from intelgraph.graph.stix.read import Limits
from intelgraph.graph.stix.rejects import Rejects
from intelgraph.model.errors import IntelGraphError, refuse
from tests import command
from tests.api.site import EU, US, Site, two_regions
from tests.graph.stix_objects import ENTITIES

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with two_regions(tmp_path_factory.mktemp("stix")) as site:
        yield site


def ig_measured(site: Site, *arguments: str) -> tuple[str, float]:
    """The same by an interpreter of its own: what it says, and the processor time it took (seconds)."""
    before_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-m", "intelgraph.cli.main", *arguments, "--state", str(site.directory)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before_s


def seeing(bookmark: str | None) -> list[str]:
    """Options of an export that is to see a write, from whichever region it reads; none if nothing was written."""
    return [] if bookmark is None else ["--bookmark", bookmark]


def ig(site: Site, *arguments: str) -> str:
    told = [*arguments, "--state", str(site.directory)]
    done = command.run_text(told, directory=Path.cwd(), timeout_s=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.prove
def test_attack_goes_in_by_one_region_and_comes_out_of_the_other(fleet: Site) -> None:
    told, took_s = ig_measured(fleet, "import", "--sample", "attack", "--tenant", "acme", "--json")
    summary = json.loads(told)
    assert took_s <= 12, "the client is not light"
    assert (summary["entities"], summary["relationships"], summary["rejected"]) == (4_724, 20_048, {})
    digests = []
    for region in (US, EU):
        told = ig(
            fleet,
            "export",
            "--digest-only",
            "--json",
            "--tenant",
            "acme",
            "--region",
            region,
            "--bookmark",
            summary["bookmark"],
        )
        exported = json.loads(told)
        assert (exported["regions"], exported["written_since"]) == ([region], False)
        digests.append(exported["digest"])
    assert digests[0] == digests[1]


@pytest.mark.prove
def test_attack_exported_and_imported_has_the_same_digest(fleet: Site, tmp_path: Path) -> None:
    of_acme = seeing(json.loads(ig(fleet, "import", "--sample", "attack", "--tenant", "acme", "--json"))["bookmark"])
    digest = ig(fleet, "export", "--digest-only", "--tenant", "acme", *of_acme)
    path = str(tmp_path / "attack.json")
    ig(fleet, "export", path, "--tenant", "acme", *of_acme)
    of_globex = seeing(json.loads(ig(fleet, "import", path, "--tenant", "globex", "--json"))["bookmark"])
    assert ig(fleet, "export", "--digest-only", "--tenant", "globex", *of_globex) == digest


def test_a_european_tenants_import_reaches_the_other_region_with_no_body(fleet: Site) -> None:
    """Who names a region hears its refusal; who names none is led to the region that may, before a body is sent."""
    bundle = fleet.directory / "eu.json"
    thing = {"type": "url", "id": "url--31b940d4-6f7f-459a-80ea-9c1f17b5891b", "value": "https://example.org/"}
    bundle.write_text(json.dumps({"type": "bundle", "objects": [thing]}))
    with pytest.raises(AssertionError, match="refused in us-east: the tenant's data may be served in eu-west only"):
        ig(fleet, "import", str(bundle), "--tenant", "hooli", "--region", US)
    assert fleet.client(EU, tenant="hooli").entity(thing["id"]).status_code == 404
    assert ig(fleet, "import", str(bundle), "--tenant", "hooli")
    assert fleet.client(EU, tenant="hooli").entity(thing["id"]).status_code == 200
    assert fleet.client(US, tenant="hooli").entity(thing["id"]).status_code == 421
    assert not list((fleet.directory / "regions").rglob(".intelgraph-import-*"))


class _Cut(ApiSender):
    """A way through the door that is cut after two requests."""

    sent = 0

    async def send(self, *, key: str, body: bytes) -> Answer:
        self.sent += 1
        if self.sent > 2:
            raise refuse("cut", "the import is cut")
        return await super().send(key=key, body=body)


def test_an_import_that_was_cut_finds_what_the_real_door_has_taken(fleet: Site) -> None:
    things = [
        {"type": "url", "id": f"url--31b940d4-6f7f-459a-80ea-{number:012x}", "value": f"https://example.org/{number}"}
        for number in range(5)
    ]
    path, token = fleet.directory / "cut.journal", fleet.issuer.token("tyrell")
    policy = ImportPolicy(in_flight_max=1, batch=BatchLimits(operations_max=1))
    heading = Heading(tenant="tyrell", content_hash="", operations_max=1, bytes_max=1, run=new_run())

    async def one_run(way: type[ApiSender]) -> ImportRun:
        rejects, data = Rejects(), msgspec.json.encode({"type": "bundle", "objects": things})
        with scan(BundleSource(io.BytesIO(data)), Limits(), rejects) as plan:
            journal = ImportJournal(path, heading, resume=True)
            async with ApiClient(url=fleet.us.url, token=lambda: token) as client:
                run = ImportRun(plan=plan, sender=way(client), journal=journal, rejects=rejects, policy=policy)
                try:
                    await run.run()
                finally:
                    journal.close()
        return run

    with pytest.raises(IntelGraphError, match="the import is cut"):
        asyncio.run(asyncio.wait_for(one_run(_Cut), timeout=60))
    again = asyncio.run(asyncio.wait_for(one_run(ApiSender), timeout=60))
    assert (again.batches, again.batches_resumed, again.written["entity"]) == (5, 2, 5)


@settings(deadline=None, max_examples=8, phases=[Phase.explicit, Phase.generate], derandomize=True)
@given(objects=st.lists(ENTITIES, min_size=1, max_size=12, unique_by=lambda stix: stix["id"]))
def test_what_the_door_takes_comes_back_from_postgresql_property_by_property(
    fleet: Site, objects: list[dict[str, Any]]
) -> None:
    async def there_and_back() -> tuple[set[str], list[dict[str, Any]]]:
        rejects = Rejects()
        data = msgspec.json.encode({"type": "bundle", "objects": objects})
        token = fleet.issuer.token("acme")
        with scan(BundleSource(io.BytesIO(data)), Limits(), rejects) as plan:
            heading = Heading(tenant="acme", content_hash="", operations_max=1, bytes_max=1, run=new_run())
            journal = ImportJournal(fleet.directory / "journal.json", heading, resume=False)
            async with ApiClient(url=fleet.us.url, token=lambda: token) as client:
                sender = ApiSender(client)
                run = ImportRun(plan=plan, sender=sender, journal=journal, rejects=rejects, policy=ImportPolicy())
                await run.run()
                journal.delete()
                replies = [await client.get(f"/v1/entities/{stix['id']}") for stix in objects]
        assert run.written["entity"] + rejects.total == len(objects)
        assert {one.code for one in rejects.shown} <= {"bad_operation", "type_changed"}
        refused = {one.id or "" for one in rejects.shown}
        return refused, [to_stix(read_object("entity", reply.json())) for reply in replies if reply.status == 200]

    refused, back = asyncio.run(asyncio.wait_for(there_and_back(), timeout=60))
    expected = {stix["id"]: normal_value(stix) for stix in objects if stix["id"] not in refused}
    got = {stix["id"]: normal_value(stix) for stix in back if stix["id"] not in refused}
    assert got == expected


def test_what_the_api_takes_of_numbers_and_of_size_is_exported_and_imported_whole(fleet: Site, tmp_path: Path) -> None:
    numbers = [10**64 - 1, 123456789012345678901234567890, 2**64, -(2**63) - 1, 1e63, 1.2345678901234567e22, 1e-64]
    entities = [
        {"id": "host/numbers", "type": "Host", "name": "n", "properties": {"k": numbers}},
        {"id": "host/sources", "type": "Host", "name": "s", "sources": ["s"] * 300_001},
    ]
    operations = [{"op": "upsert_entity", "entity": entity} for entity in entities]

    async def write() -> Reply:
        async with ApiClient(url=fleet.us.url, token=lambda: fleet.issuer.token("wonka")) as client:
            return await client.post("/v1/changes", body=msgspec.json.encode({"operations": operations}), key="k")

    written = asyncio.run(write())
    assert written.status == 200
    of_wonka = seeing(written.bookmark)
    digest = ig(fleet, "export", "--digest-only", "--tenant", "wonka", *of_wonka)
    path = str(tmp_path / "whole.json")
    ig(fleet, "export", path, "--tenant", "wonka", *of_wonka)
    summary = json.loads(ig(fleet, "import", path, "--tenant", "umbrella", "--json"))
    assert (summary["entities"], summary["rejected"]) == (2, {})
    assert ig(fleet, "export", "--digest-only", "--tenant", "umbrella", *seeing(summary["bookmark"])) == digest
