"""``/graphql`` as an application meets it: reads in both regions, mutations as one write, refusals with codes."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import pytest
import requests

from tests.machine import WAIT_S

from .site import EU, US, Client, Site, entity, relationship

pytestmark = pytest.mark.postgres
RESPONSE = "application/graphql-response+json; charset=utf-8"
READ = "query ($id: ID!) { entity(id: $id) { id name edges { items { direction neighborId relationship { type } } } } }"


def post(client: Client, query: str | None, variables: dict[str, Any] | None = None, **more: Any) -> requests.Response:
    """Send a document; ``more``: ``headers``, ``extensions``."""
    headers = {"accept": RESPONSE, "idempotency-key": str(uuid.uuid4()), **more.pop("headers", {})}
    body = {"query": query, "variables": variables, **more}
    return client.http.post(client.url + "/graphql", json=body, headers=headers, timeout=WAIT_S)


def test_one_query_has_one_answer_in_both_regions(site: Site) -> None:
    one, other = entity(name="One"), entity(name="Other")
    ids = [op["entity"]["id"] for op in (one, other)]
    bookmark = site.client(US).write(one, other, relationship(*ids)).json()["bookmark"]
    answers = [
        post(site.client(region), READ, {"id": ids[0]}, headers={"ig-bookmark": bookmark}) for region in (US, EU)
    ]
    assert answers[0].json() == answers[1].json() == {
        "data": {
            "entity": {
                "id": ids[0],
                "name": "One",
                "edges": {"items": [{"direction": "OUT", "neighborId": ids[1], "relationship": {"type": "uses"}}]},
            }
        }
    }  # fmt: skip
    assert [answer.headers["ig-region"] for answer in answers] == [US, EU]
    assert answers[0].headers["content-type"] == RESPONSE
    assert answers[0].headers["ig-staleness-ms"] == "0"
    assert answers[1].headers["ig-staleness-ms"].isdigit()


def test_a_mutation_is_one_write_whichever_region_takes_it(site: Site) -> None:
    ids = [f"m-{uuid.uuid4()}" for _ in range(3)]
    query = (
        "mutation ($e: [EntityInput!]!, $r: [RelationshipInput!]!) { made: upsertEntities(entities: $e) "
        "{ status objects { kind id revision } } relate(relationships: $r) { bookmark objects { id } } __typename }"
    )
    variables = {
        "e": [{"id": id_, "type": "malware", "name": "Made", "properties": {"n": [1.5, None]}} for id_ in ids[:2]],
        "r": [{"id": ids[2], "type": "uses", "source": ids[0], "target": ids[1]}],
    }
    key = {"idempotency-key": str(uuid.uuid4())}
    first = post(site.client(EU), query, variables, headers=key)
    data = first.json()["data"]
    assert data["made"] == {
        "status": "OK",
        "objects": [{"kind": "entity", "id": id_, "revision": 1} for id_ in ids[:2]],
    }
    assert data["relate"]["objects"] == [{"id": ids[2]}]
    assert data["relate"]["bookmark"] == first.headers["ig-bookmark"]
    again = post(site.client(EU), query, variables, headers=key).json()["data"]
    assert again["made"]["status"] == "REPEATED"
    assert again["relate"] == data["relate"]
    read = post(site.client(EU), READ, {"id": ids[0]}, headers={"ig-bookmark": first.headers["ig-bookmark"]})
    assert read.json()["data"]["entity"]["edges"]["items"][0]["neighborId"] == ids[1]


def test_a_mutation_that_is_refused_changes_nothing_and_says_why(site: Site) -> None:
    id_ = f"m-{uuid.uuid4()}"
    query = (
        f'mutation {{ upsertEntities(entities: [{{id: "{id_}", type: "malware", name: "x"}}]) {{ status }} '
        f'unrelate(ids: ["none"]) {{ status }} }}'
    )
    answer = post(site.client(US), query)
    assert answer.status_code == 200
    told = answer.json()
    assert told["data"] is None
    assert told["errors"][0]["extensions"]["code"] == "not_found"
    assert "there is no relationship none" in told["errors"][0]["message"]
    assert post(site.client(US), READ, {"id": id_}).json() == {"data": {"entity": None}}


def test_deleting_and_erasing(site: Site) -> None:
    operations = [entity(), entity(), entity()]
    ids = [op["entity"]["id"] for op in operations]
    client = site.client(US, role="admin")
    client.write(*operations, relationship(ids[0], ids[1], f"r-{ids[0]}"))
    deleted = post(client, "mutation ($i: [ID!]!) { deleteEntities(ids: $i) { objects { kind id } } }", {"i": ids[:1]})
    assert deleted.json()["data"]["deleteEntities"]["objects"] == [
        {"kind": "entity", "id": ids[0]},
        {"kind": "relationship", "id": f"r-{ids[0]}"},
    ]
    erased = post(client, "mutation ($i: [ID!]!) { erase(ids: $i) { objects { kind id revision } } }", {"i": ids[1:2]})
    assert erased.json()["data"]["erase"]["objects"] == [{"kind": "erased", "id": ids[1], "revision": None}]
    again = post(
        client,
        "mutation ($e: [EntityInput!]!) { upsertEntities(entities: $e) { status } }",
        {"e": [{"id": ids[1], "type": "malware", "name": "again"}]},
    )
    assert again.json()["errors"][0]["extensions"]["code"] == "erased"


@pytest.mark.parametrize(
    ("accept", "kind", "status"),
    [
        ("application/graphql-response+json", RESPONSE, 400),
        ("application/json", "application/json; charset=utf-8", 200),
        ("*/*", "application/json; charset=utf-8", 200),
        ("application/json;q=0.5, application/graphql-response+json", RESPONSE, 400),
    ],
)
def test_the_answer_has_the_media_type_that_is_asked_for(site: Site, accept: str, kind: str, status: int) -> None:
    refused = post(site.client(US), "{ nope }", headers={"accept": accept})
    assert (refused.status_code, refused.headers["content-type"]) == (status, kind)
    assert "data" not in refused.json()
    good = post(site.client(US), "{ __typename }", headers={"accept": accept})
    assert (good.status_code, good.headers["content-type"], good.json()) == (
        200,
        kind,
        {"data": {"__typename": "Query"}},
    )


def test_a_get_may_read_and_only_read(site: Site) -> None:
    client = site.client(US)
    read = client.http.get(
        client.url + "/graphql", params={"query": READ, "variables": '{"id": "none"}'}, timeout=WAIT_S
    )
    assert read.json() == {"data": {"entity": None}}
    refused = client.http.get(
        client.url + "/graphql", params={"query": 'mutation { erase(ids: ["x"]) { status } }'}, timeout=20
    )
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def test_a_document_can_be_named_by_its_hash_by_the_tenant_that_sent_it(site: Site) -> None:
    text = "query Kept { stats { __typename } }"
    digest = hashlib.sha256(text.encode()).hexdigest()
    named = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    for accept, status in (("application/json", 200), ("application/graphql-response+json", 400)):
        unknown = post(site.client(US), None, extensions=named, headers={"accept": accept})
        assert (unknown.status_code, unknown.json()) == (
            status,
            {"errors": [{"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}]},
        )
    sent = post(site.client(US), text, extensions=named)
    assert sent.json() == post(site.client(US), None, extensions=named).json()
    other = post(site.client(US, tenant="globex"), None, extensions=named)
    assert other.json() == unknown.json()
    wrong = post(site.client(US), "{ __typename }", extensions=named)
    assert wrong.status_code == 400
    shouted = {"persistedQuery": {"version": 1, "sha256Hash": digest.upper()}}
    assert post(site.client(US), None, extensions=shouted).json() == sent.json()


@pytest.mark.parametrize("given", [
    {}, {"version": 1}, {"sha256Hash": "0" * 64}, {"version": 2, "sha256Hash": "0" * 64}, "hash", [], 1,
    {"version": "1", "sha256Hash": "0" * 64}, {"version": True, "sha256Hash": "0" * 64},
    {"version": 1, "sha256Hash": 1},
])  # fmt: skip
def test_a_persisted_query_of_no_known_version_is_refused(site: Site, given: Any) -> None:
    for query in (None, "{ __typename }"):
        answer = post(site.client(US), query, extensions={"persistedQuery": given})
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "bad_request")


def test_introspection_and_data_stand_in_the_order_of_the_fields(site: Site) -> None:
    answer = post(site.client(US), "{ a: __typename s: __schema { queryType { name } } stats { __typename } }")
    assert list(answer.json()["data"]) == ["a", "s", "stats"]
    assert answer.json()["data"]["s"] == {"queryType": {"name": "Query"}}


def test_refusals_at_admission_are_graphql_errors_with_codes(site: Site) -> None:
    for client, query, status, code in (
        (Client(site.us.url, None), "{ __typename }", 401, "no_token"),
        (site.client(US, tenant="hooli"), "{ __typename }", 421, "region_not_allowed"),
        (site.client(US, role="analyst"), 'mutation { erase(ids: ["x"]) { status } }', 403, "role_not_allowed"),
    ):
        answer = post(client, query)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (status, code), answer.text
        assert answer.headers["content-type"] == RESPONSE


def test_another_tenants_objects_are_as_if_there_were_none(site: Site) -> None:
    one, other = entity(), entity()
    ids = [op["entity"]["id"] for op in (one, other)]
    edge = relationship(*ids)
    edge_id = edge["relationship"]["id"]
    bookmark = site.client(US).write(one, other, edge).json()["bookmark"]
    query = (
        "query ($a: ID!, $b: ID!, $r: ID!) { entity(id: $a) { id } relationship(id: $r) { id } node(id: $a) { id } "
        "entities(filter: {ids: [$a, $b]}) { items { id } total { count } } "
        "neighborhood(of: [$a, $b], hops: 2) { items { hops } relationships { id } } "
        "shortestPaths(from: $a, to: $b) { items { entities { id } } } }"
    )
    stranger = site.client(US, tenant="globex")
    # The bookmark is one of the same placement: it tells a stranger nothing but that time has passed.
    told = post(stranger, query, {"a": ids[0], "b": ids[1], "r": edge_id}, headers={"ig-bookmark": bookmark}).json()
    assert told == {
        "data": {
            "entity": None,
            "relationship": None,
            "node": None,
            "entities": {"items": [], "total": {"count": 0}},
            "neighborhood": {"items": [], "relationships": []},
            "shortestPaths": {"items": []},
        }
    }


def test_an_answer_says_what_it_took_when_it_is_asked(site: Site) -> None:
    query = "{ entities(first: 5) { items { id edges(first: 2) { items { neighborId } } } } }"
    told = post(site.client(EU), query, extensions={"explain": True}).json()["extensions"]
    assert told["cost"] == {"estimated": 24, "limit": 50_000}
    assert told["objects"] == {"at_most": 6, "limit": 20_000}
    assert told["regions"] == {"answered_in": EU, "home": US, "allowed": [US, EU]}
    assert "extensions" not in post(site.client(EU), query).json()
