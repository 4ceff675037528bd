"""Automatic persisted queries by Apollo's link and by urql's exchange: by hash, by text when the hash is not known."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.api.site import US, Site

from .conftest import WAIT_S, Program

pytestmark = pytest.mark.postgres
READ, OK = {"stats": {}}, {"upsertEntities": {"status": "OK"}}
REPEATED = {"upsertEntities": {"status": "REPEATED"}}


def run(site: Site, tmp_path: Path, *steps: dict[str, Any]) -> list[tuple[list[str], Any]]:
    """What each step sent, and what it got."""
    token = tmp_path / "token"
    token.write_text(site.issuer.token("acme"))
    settings = {"url": site.us.url + "/graphql", "token": str(token), "steps": list(steps)}
    return [(line["sent"], line.get("data") or line["error"]) for line in Program("persisted", settings).finish()]


def unnamed(data: Any) -> Any:
    """Data without the type names that clients ask for."""
    if isinstance(data, dict):
        return {name: unnamed(value) for name, value in data.items() if name != "__typename"}
    return data


@pytest.mark.prove
@pytest.mark.parametrize("client", ["apollo", "urql"])
def test_a_document_is_sent_once_and_again_when_a_worker_has_forgotten_it(
    site: Site, tmp_path: Path, client: str
) -> None:
    site.us.stop("api")
    site.us.start("api")
    site.us.wait_ready(timeout_s=WAIT_S)
    id_, key = f"p-{uuid.uuid4()}", str(uuid.uuid4())
    read, write = {"client": client}, {"client": client, "id": id_, "key": key}
    told = run(site, tmp_path, read, read, {**read, "get": True}, write, write)
    assert [sent for sent, _ in told] == [["hash", "text"], ["hash"], ["hash"], ["hash", "text"], ["hash"]]
    assert [unnamed(data) for _, data in told] == [READ, READ, READ, OK, REPEATED]
    site.us.stop("api")
    site.us.start("api")
    site.us.wait_ready(timeout_s=WAIT_S)
    told = run(site, tmp_path, write, {**read, "get": True})
    assert [sent for sent, _ in told] == [["hash", "text"], ["hash", "text"]]
    assert [unnamed(data) for _, data in told] == [REPEATED, READ]
    assert site.client(US).entity(id_).status_code == 200
