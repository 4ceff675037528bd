"""``asOf`` and ``history``: the past is what was answered then, in every region, or it is refused with the reason."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from .site import EU, US, Client, Site, entity, relationship
from .test_graphql import post

pytestmark = pytest.mark.postgres
NEVER = "us-east/1/1/900000000"
FIELDS = """
  entity(id: $id) { name revision edges(first: 3) { completeness items { direction neighborId neighbor { name } } } }
  relationship(id: $r) { sourceId target { name } updated }
  node(id: $r) { id type }
  all: entities(filter: {ids: $ids}) { items { id name properties confidence sources created } total { count exact } }
  found: entities(filter: {ids: $ids, text: "odd"}, orderBy: UPDATED_DESC, first: 2) { completeness items { id } }
  some: entities(filter: {ids: $ids, types: ["tool"]}, orderBy: ID_DESC) { items { id edges { items { neighborId } } } }
  stats { entities relationships entityTypes { type count } entitiesCreated(unit: DAY) { items { count } } }
"""
NOW = f"query ($id: ID!, $r: ID!, $ids: [ID!]) {{ {FIELDS} }}"
THEN = (
    "query ($id: ID!, $r: ID!, $ids: [ID!], $bookmark: String, $time: DateTime) "
    f"{{ asOf(bookmark: $bookmark, time: $time) {{ {FIELDS} }} }}"
)


def changes(random: Random, prefix: str, live: set[str], links: set[str]) -> list[dict[str, Any]]:
    """A few operations by chance on a handful of objects."""
    operations: list[dict[str, Any]] = []
    for number in random.sample(range(5), 2):
        id_ = f"{prefix}-e{number}"
        if id_ in live and random.random() < 0.4:
            operations.append({"op": "delete_entity", "id": id_})
            live.discard(id_)
            links.difference_update({link for link in links if f"e{number}" in link.split("-r-")[1].split("-")})
        else:
            word = random.choice(["odd", "even"])
            operations.append(
                entity(id_, type="tool", name=f"{word} {random.random()}", confidence=random.randint(0, 9))
            )
            live.add(id_)
    if len(live) > 1 and random.random() < 0.7:
        source, target = random.sample(sorted(live), 2)
        link = f"{prefix}-r-{source.rsplit('-', 1)[1]}-{target.rsplit('-', 1)[1]}"
        operations.append(relationship(source, target, link, properties={"n": random.random()}))
        links.add(link)
    return operations


@pytest.mark.parametrize("seed", range(4))
def test_what_was_answered_then_is_answered_again_in_every_region(site: Site, seed: int) -> None:
    random, prefix = Random(seed), f"past{uuid.uuid4().hex[:6]}"
    client, live, links = site.client(US), set[str](), set[str]()
    asked: list[tuple[str, datetime, dict[str, Any], Any]] = []
    for _ in range(8):
        bookmark = client.write(*changes(random, prefix, live, links)).json()["bookmark"]
        ids = [f"{prefix}-e{n}" for n in range(5)]
        variables = {"id": random.choice(ids), "r": random.choice([*sorted(links), "none"]), "ids": ids}
        told = post(client, NOW, variables, headers={"ig-bookmark": bookmark}).json()
        assert "errors" not in told, told
        asked.append((bookmark, datetime.now(UTC), variables, told["data"]))
    for region in (US, EU):
        for bookmark, at, variables, then in asked:
            for point in ({"bookmark": bookmark}, {"time": at.isoformat()}):
                headers = {"ig-bookmark": asked[-1][0]}
                told = post(site.client(region), THEN, variables | point, headers=headers).json()
                assert told == {"data": {"asOf": then}}, (region, point)


def test_a_write_can_be_seen_as_of_itself_at_once(site: Site) -> None:
    one = entity(name="Now")
    for region in (US, EU):
        bookmark = site.client(region).write(one).json()["bookmark"]
        query = "query ($b: String!, $id: ID!) { asOf(bookmark: $b) { bookmark entity(id: $id) { name } } }"
        told = post(site.client(region), query, {"b": bookmark, "id": one["entity"]["id"]}).json()
        assert told == {"data": {"asOf": {"bookmark": bookmark, "entity": {"name": "Now"}}}}


def test_history_tells_every_version_newest_first_by_the_page(site: Site) -> None:
    id_ = f"h-{uuid.uuid4()}"
    client = site.client(US)
    marks = [client.write(entity(id_, name=f"v{n}")).json()["bookmark"] for n in range(4)]
    marks.append(client.write({"op": "delete_entity", "id": id_}).json()["bookmark"])
    query = (
        "query ($id: ID!, $first: Int!, $after: Cursor) { history(id: $id, first: $first, after: $after) "
        "{ completeness next items { bookmark writtenAt object { kind id name deleted revision } } } }"
    )
    seen: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": None, "completeness": "MORE"}
    while page["completeness"] == "MORE":
        variables = {"id": id_, "first": 2, "after": page["next"]}
        page = post(site.client(EU), query, variables, headers={"ig-bookmark": marks[-1]}).json()["data"]["history"]
        seen += page["items"]
    assert [item["bookmark"] for item in seen] == marks[::-1]
    assert [item["object"]["name"] for item in seen] == [None, "v3", "v2", "v1", "v0"]
    assert [item["object"]["deleted"] for item in seen] == [True, False, False, False, False]
    assert page["completeness"] == "COMPLETE"


def test_what_was_erased_is_in_no_past(site: Site) -> None:
    one = entity(name="Secret")
    client = site.client(US, role="admin")
    before = client.write(one).json()["bookmark"]
    erased = client.write({"op": "erase", "ids": [one["entity"]["id"]]}).json()["bookmark"]
    query = (
        "query ($b: String!, $id: ID!, $ids: [ID!]) { asOf(bookmark: $b) { entity(id: $id) { name } "
        "entities(filter: {ids: $ids}) { items { name } } } history(id: $id) { items { object { kind name } } } }"
    )
    variables = {"b": before, "id": one["entity"]["id"], "ids": [one["entity"]["id"]]}
    told = post(site.client(EU), query, variables, headers={"ig-bookmark": erased}).json()
    assert told["data"]["asOf"] == {"entity": None, "entities": {"items": []}}
    assert told["data"]["history"]["items"] == [{"object": {"kind": "erased", "name": None}}]


def refused(client: Client, arguments: str, fields: str = "stats { entities }") -> dict[str, Any]:
    answer = post(client, f"{{ then: asOf({arguments}) {{ {fields} }} }}")
    told = answer.json()
    (error,) = told["errors"]
    assert "data" not in told or (answer.status_code, told["data"], error["path"]) == (200, None, ["then"])
    assert "refused" in error["message"]
    extensions: dict[str, Any] = error["extensions"]
    return extensions


def test_a_past_that_cannot_be_told_is_refused_with_the_reason(site: Site) -> None:
    client = site.client(US)
    bookmark = client.write(entity()).json()["bookmark"]
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    elsewhere = refused(site.client(EU), f'bookmark: "{NEVER}"')
    assert elsewhere == {"code": "too_far_behind", "facts": {}, "retry_after_s": 1.0}
    # The region that writes has never drawn such a position; the others cannot know.
    assert refused(client, f'bookmark: "{NEVER}"')["code"] == "bad_bookmark"
    for arguments in ("", f'bookmark: "{bookmark}", time: "{later}"', 'bookmark: "x"', f'time: "{later}"'):
        if arguments:
            assert refused(client, arguments)["code"] == "bad_argument"
    assert post(client, "{ asOf { bookmark } }").json()["errors"][0]["extensions"]["code"] == "bad_argument"
    # A bookmark of a placement that this tenant is not in.
    other = site.client(US, tenant="initech").write(entity()).json()["bookmark"]
    assert refused(client, f'bookmark: "{other}"')["code"] in ("too_far_behind", "bad_bookmark")
