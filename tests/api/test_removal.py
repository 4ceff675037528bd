"""Deleting and erasing what has very many relationships: no upper size, in steps, in every region, all or nothing."""

from __future__ import annotations

import uuid

import pytest

from .site import EU, US, Client, Site, entity, relationship

pytestmark = pytest.mark.postgres
STEP = 1_000
MANY = 10_100
"""More than one row of the log may hold."""


def hub(client: Client, edges: int) -> str:
    """Write an entity with so many relationships, half of them in; return its id."""
    name, leaf = f"hub-{uuid.uuid4().hex}", f"leaf-{uuid.uuid4().hex}"
    assert client.write(entity(name), entity(leaf)).status_code == 200
    for first in range(0, edges, STEP):
        made = [
            relationship(*((name, leaf) if n % 2 else (leaf, name)), f"{name}/{n}")
            for n in range(first, min(first + STEP, edges))
        ]
        written = client.write(*made)
        assert written.status_code == 200, written.text
    return name


def edges_of(site: Site, name: str) -> int:
    """How many live relationships an entity has at its home."""
    found: int = site.us.sql(
        "select count(*) from ig.relationship where tenant = 'acme' and $1 in (source, target) and not deleted", name
    )
    return found


@pytest.mark.parametrize("op", ["erase", pytest.param("delete_entity", marks=pytest.mark.prove)])
def test_an_entity_with_more_relationships_than_a_row_holds_is_removed_in_every_region(site: Site, op: str) -> None:
    client = site.client(US, role="admin")
    name = hub(client, MANY)
    operation = {"op": "erase", "ids": [name]} if op == "erase" else {"op": op, "id": name}
    key = str(uuid.uuid4())
    removed = client.write(operation, key=key)
    assert removed.status_code == 200, removed.text
    answer = removed.json()
    assert answer["status"] == "ok" and len(answer["objects"]) <= STEP + 1
    for region in (US, EU):
        there = site.client(region)
        assert there.entity(name, answer["bookmark"]).status_code == 404
    again = client.write(operation, key=key).json()
    assert (again["status"], again["bookmark"]) == ("repeated", answer["bookmark"])


def test_beside_other_operations_it_is_refused_before_anything_is_done(site: Site) -> None:
    client = site.client(US, role="admin")
    name = hub(client, STEP + 1)
    refused = client.write({"op": "delete_entity", "id": name}, entity())
    assert (refused.status_code, refused.json()["code"]) == (413, "too_many_relationships")
    assert refused.json()["facts"]["limit"] == STEP
    assert edges_of(site, name) == STEP + 1


def test_a_request_in_steps_that_will_be_refused_changes_nothing(site: Site) -> None:
    client = site.client(US, role="admin")
    name = hub(client, STEP + 1)
    refused = client.write({"op": "delete_entity", "id": name}, {"op": "delete_entity", "id": "no-such-entity"})
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert refused.json()["facts"]["index"] == 1
    twice = client.write({"op": "delete_entity", "id": name}, {"op": "delete_entity", "id": name})
    assert twice.status_code in (404, 413)
    assert edges_of(site, name) == STEP + 1


def test_a_repeat_of_a_done_removal_leaves_alone_what_was_made_since(site: Site) -> None:
    client, key = site.client(US, role="admin"), str(uuid.uuid4())
    name = hub(client, 1)
    assert client.write({"op": "delete_entity", "id": name}, key=key).json()["status"] == "ok"
    assert client.write(entity(name), entity(f"{name}-leaf")).status_code == 200
    for first in range(0, STEP + 200, 600):
        made = [relationship(name, f"{name}-leaf", f"{name}/again/{n}") for n in range(first, first + 600)]
        assert client.write(*made).status_code == 200
    assert client.write({"op": "delete_entity", "id": name}, key=key).json()["status"] == "repeated"
    assert edges_of(site, name) == STEP + 200


def test_what_is_left_when_the_time_is_over_goes_on_with_the_repeat(site: Site) -> None:
    client, key = site.client(US, role="admin"), str(uuid.uuid4())
    name = hub(client, 3 * STEP)
    operation = {"op": "erase", "ids": [name]}
    first = client.write(operation, key=key, **{"ig-deadline-ms": "1"})
    assert (first.status_code, first.json()["code"]) == (503, "removal_goes_on")
    assert "same Idempotency-Key" in first.json()["detail"] and "Retry-After" in first.headers
    done = client.write(operation, key=key)
    assert done.json()["status"] == "ok", done.text
    assert client.entity(name, done.json()["bookmark"]).status_code == 404
