"""The API's first promise: what was written is read back, here and in the other region."""

from __future__ import annotations

import uuid

import pytest

from .site import EU, US, Site, entity, relationship

pytestmark = pytest.mark.postgres


def test_a_write_answers_with_its_bookmark_and_is_read_back_at_home(site: Site) -> None:
    client = site.client(US)
    operation = entity(name="Emotet", properties={"aliases": ["Heodo"]}, confidence=80)
    written = client.write(operation)
    assert written.status_code == 200, written.text
    answer = written.json()
    entity_id = operation["entity"]["id"]
    assert answer["status"] == "ok"
    assert answer["durability"] == "home"
    assert answer["objects"] == [{"kind": "entity", "id": entity_id, "revision": 1}]
    assert written.headers["IG-Bookmark"] == answer["bookmark"]
    assert written.headers["IG-Region"] == US
    read = client.entity(entity_id)
    assert read.status_code == 200
    assert read.json()["properties"] == {"aliases": ["Heodo"]}
    assert read.headers["IG-Staleness-Ms"] == "0"


def test_a_read_with_the_bookmark_sees_the_write_in_the_other_region(site: Site) -> None:
    us, eu = site.client(US), site.client(EU)
    for _ in range(50):
        operation = entity()
        bookmark = us.write(operation).json()["bookmark"]
        read = eu.entity(operation["entity"]["id"], bookmark)
        assert read.status_code == 200, read.text
        assert read.headers["IG-Region"] == EU
        assert read.headers["IG-Staleness-Ms"].isdigit()


def test_a_repeated_key_gets_the_first_outcome_and_with_another_body_is_refused(site: Site) -> None:
    client, key, operation = site.client(US), str(uuid.uuid4()), entity()
    first = client.write(operation, key=key).json()
    again = client.write(operation, key=key).json()
    assert again["status"] == "repeated"
    assert (again["bookmark"], again["objects"]) == (first["bookmark"], first["objects"])
    refused = client.write(entity(), key=key)
    assert (refused.status_code, refused.json()["code"]) == (409, "key_reused")


def test_a_write_from_another_allowed_region_takes_one_hop_to_its_home(site: Site) -> None:
    operation = entity()
    written = site.client(EU).write(operation)
    assert written.status_code == 200, written.text
    assert written.headers["IG-Region"] == US
    assert written.json()["bookmark"].startswith("us-east/")
    assert site.client(US).entity(operation["entity"]["id"]).status_code == 200


def test_a_remote_write_is_confirmed_by_its_standby(site: Site) -> None:
    written = site.client(US, tenant="initech").write(entity())
    assert (written.status_code, written.json()["status"], written.json()["durability"]) == (200, "ok", "remote")


def test_objects_are_paged_in_id_order(site: Site) -> None:
    client = site.client(US, tenant="cyberdyne")
    ids = sorted(f"p-{n:03d}" for n in range(25))
    client.write(*(entity(name) for name in ids))
    assert client.write(relationship("p-001", "p-002", "r-1")).status_code == 200
    seen, after = [], ""
    while after is not None:
        page = client.get(f"/v1/entities?limit=10&after={after}").json()
        seen += [o["id"] for o in page["objects"]]
        after = page["next"]
    assert seen == ids
    assert [o["id"] for o in client.get("/v1/relationships").json()["objects"]] == ["r-1"]
