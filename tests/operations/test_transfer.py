"""Imports and exports, called without a terminal: who imports is recorded in the fleet before anything is sent."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest

from intelgraph.control import issuer
from intelgraph.model.errors import IntelGraphError
from intelgraph.operations.record import read_record, record_file
from intelgraph.operations.transfer.access import Access, AccessOptions, open_access
from intelgraph.operations.transfer.exports import ExportTarget, export_graph
from intelgraph.operations.transfer.imports import ImportListener, ImportOptions, ImportSource, import_bundle
from intelgraph.settings import dump_region_config
from tests.cli.test_import_export import bundle, malware, serving, uses
from tests.fakes.door import FakeDoor

from .fleets import located
from .sites import EU, PERSON, US, region_config


@dataclass(frozen=True, kw_only=True)
class Here:
    """A fleet that was brought up once, and an API that is reached by its address."""

    state: Path
    topology: Path
    api: FakeDoor

    def access(self, role: str = "writer") -> Access:
        """The way in of a person who has no token: the fleet's issuer signs one."""
        options = AccessOptions(tenant="acme", url=self.api.url, topology=self.topology)
        return open_access(options, PERSON, role=role)


@pytest.fixture
def here() -> Iterator[Here]:
    with located() as location, serving(FakeDoor()) as api:
        fleet = location.founded(None)
        for name in (US, EU):
            fleet.region_config(name).write_bytes(dump_region_config(region_config(fleet.state, name)))
        issuer.ensure_key(fleet.state)
        assert location.file.path is not None
        yield Here(state=fleet.state, topology=location.file.path, api=api)


class Heard(ImportListener):
    """The names of the steps."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def start(self, name: str, total: int | None) -> None:
        self.names.append(name)


def test_who_imports_is_recorded_and_what_is_imported_is_not(here: Here, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(bundle(malware(1), malware(2), uses(3, 1, 2), 7))
    heard, access = Heard(), here.access()
    options = ImportOptions(rejects=tmp_path / "rejects.jsonl")
    done = import_bundle(access, ImportSource(file=tmp_path / "in.json"), options, heard)
    assert (done.summary.entities, done.summary.relationships, done.rejects.total) == (2, 1, 1)
    assert done.failure is None and not done.took_nothing
    assert heard.names == ["reading", "entities", "relationships"]
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 1
    token, line = read_record(here.state)
    assert (token.operation, token.actor, token.facts["renewed"]) == ("token", PERSON, True)
    assert (line.operation, line.actor) == ("import", PERSON)
    assert line.facts == {
        "tenant": "acme",
        "source": str(tmp_path / "in.json"),
        "content_hash": done.summary.content_hash,
        "url": here.api.url,
        "replace": False,
    }
    assert "Ivy" not in record_file(here.state).read_text()
    assert list(here.state.parent.glob(".intelgraph-import-*")) == [], "its journal is deleted when it is done"


def test_what_an_import_takes_is_exported_and_to_read_is_not_recorded(here: Here, tmp_path: Path) -> None:
    access = here.access()
    stream = io.BytesIO(bundle(malware(1), malware(2)).encode())
    assert import_bundle(access, ImportSource(stream=stream)).summary.entities == 2
    before = read_record(here.state)
    assert before[-1].facts["source"] == "a stream"

    async def body() -> None:
        told = await export_graph(access, None)
        target = ExportTarget(path=tmp_path / "out.json", name="out.json")
        written = await export_graph(access, target)
        assert (told.digest, told.entities) == (written.digest, 2)
        within = ExportTarget(path=here.state / "out.json", name="out.json")
        with pytest.raises(IntelGraphError) as refused:
            await export_graph(access, within)
        assert refused.value.denied.code == "bad_place"

    asyncio.run(body())
    assert "Ivy 2" in (tmp_path / "out.json").read_text()
    assert read_record(here.state) == before


def test_what_cannot_be_recorded_is_not_sent_and_not_listed(here: Here, tmp_path: Path) -> None:
    access = here.access()
    record_file(here.state).unlink()
    record_file(here.state).mkdir()
    source = ImportSource(stream=io.BytesIO(bundle(malware(1), 7).encode()))
    with pytest.raises(IntelGraphError) as refused:
        import_bundle(access, source, ImportOptions(rejects=tmp_path / "rejects.jsonl"))
    assert refused.value.denied.code == "not_recorded"
    assert here.api.bodies == 0
    assert not (tmp_path / "rejects.jsonl").exists()


def test_an_import_into_a_fleet_elsewhere_is_told_by_its_token_alone(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = AccessOptions(tenant="acme", url=here.api.url, token="acme:writer", topology=here.topology)
    access = open_access(options, PERSON, role="writer")
    assert access.operator is None
    done = import_bundle(access, ImportSource(stream=io.BytesIO(bundle(malware(1)).encode())))
    assert done.summary.entities == 1
    assert read_record(here.state) == []


@pytest.mark.parametrize(
    ("claims", "refused"),
    [
        ({"tenant": "globex", "role": "admin"}, "wrong_tenant"),
        ({"tenant": "acme", "exp": 1}, None),
        ({"tenant": "acme", "sub": 7, "aud": {}}, None),
        ({"tenant": ["acme"]}, None),
        ({}, None),
    ],
)
def test_a_token_of_another_tenant_than_the_named_one_goes_nowhere(
    claims: dict[str, object], refused: str | None
) -> None:
    token = jwt.encode(claims, "of nobody, and of thirty-two bytes", algorithm="HS256")
    options = AccessOptions(tenant="acme", url="http://127.0.0.1:9", token=token)
    if refused is None:
        assert open_access(options, PERSON, role="writer").token() == token
        return
    with pytest.raises(IntelGraphError) as told:
        open_access(options, PERSON, role="writer")
    assert told.value.denied.code == refused
    assert "'globex'" in told.value.denied.reason and "'acme'" in told.value.denied.reason
