"""Shapes of attack through the API: refused with their code, without the database, and the worker goes on serving."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest

from tests.graph.query import test_limits as shapes
from tests.machine import WAIT_S

from .site import US, Client, Site, entity
from .test_graphql import post

pytestmark = pytest.mark.postgres
AT_MOST_S = 5.0
"""No measurement: only what would be an outage."""
FAN_OUT = "{ entity(id: 1) { " + "edges(first: 10) { items { neighbor { " * 8 + "id" + " } } }" * 8 + " } }"
BY_ID = "query ($id: ID!) { entity(id: $id) { id } }"
DOCUMENTS = {
    "depth of 20,000": (shapes.DEEP, "bad_document"),
    "7,000 aliases": (shapes.ALIASES, "bad_document"),
    "fan-out 10 to depth 8": (FAN_OUT, "document_too_large"),
    "1 MB of tokens": (shapes.TOKENS, "bad_document"),
    "circular fragments": (shapes.CIRCULAR, "bad_document"),
    "10,000 directives": (shapes.DIRECTIVES, "bad_document"),
    "fragments that double": (shapes.BOMB, "document_too_large"),
    "one field 450 times": (shapes.SAME_FIELDS, "document_too_large"),
    "the schema three times": (shapes.SCHEMAS, "query_too_expensive"),
    "NUL": ("{ __typename \x00 }", "bad_document"),
    "half a surrogate pair": ("{ __typename \ud800 }", "bad_json"),
}
BODIES = {
    "a huge variable": (json.dumps({"query": BY_ID, "variables": {"id": "x" * 9_000_000}}), 413, "body_too_large"),
    "many variables": (
        json.dumps({"query": BY_ID, "variables": {f"v{n}": n for n in range(200_000)}}),
        400,
        "bad_variables",
    ),
    "deep variables": (
        '{"query": "{ __typename }", "variables": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}",
        400,
        "bad_json",
    ),
    "a batch": ('[{"query": "{ __typename }"}]', 400, "bad_request"),
    "a long name of an operation": (
        json.dumps({"query": "{ __typename }", "operationName": "x" * 1_000_000}),
        400,
        "bad_request",
    ),
    "a large value of the wrong type": (
        json.dumps({"query": BY_ID, "variables": {"id": {"a": "x" * 1_000_000}}}),
        400,
        "bad_variables",
    ),
    "a number out of range": (
        '{"query": "query ($a: JSONObject) { entities(filter: {properties: $a}) { next } }", '
        '"variables": {"a": {"b": 1e999}}}',
        400,
        "bad_variables",
    ),
}


def _within_reason(client: Client, body: bytes, name: str, **headers: str) -> tuple[int, Any]:
    began = time.monotonic()
    answer = client.http.post(
        client.url + "/graphql",
        data=body,
        headers={"content-type": "application/json", "accept": "application/graphql-response+json", **headers},
        timeout=20,
    )
    seconds = time.monotonic() - began
    print(f"{name}: {seconds * 1000:.1f} ms, {answer.status_code}")
    assert seconds < AT_MOST_S
    assert len(answer.content) < 20_000
    return answer.status_code, answer.json()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_refused_with_its_code(site: Site, name: str) -> None:
    text, code = DOCUMENTS[name]
    status, told = _within_reason(site.client(US), json.dumps({"query": text}).encode(), name)
    assert (status, told["errors"][0]["extensions"]["code"]) == (400, code)
    assert "data" not in told


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_refused_with_its_code(site: Site, name: str) -> None:
    body, status, code = BODIES[name]
    found, told = _within_reason(site.client(US), body.encode(), name)
    assert (found, told["errors"][0]["extensions"]["code"]) == (status, code), str(told)[:300]


def test_a_compressed_body_is_not_unpacked(site: Site) -> None:
    body = gzip.compress(b'{"query": "{ __typename }' + b" " * 50_000_000 + b'"}')
    status, told = _within_reason(site.client(US), body, "gzip", **{"content-encoding": "gzip"})
    assert (status, told["errors"][0]["extensions"]["code"]) in {(400, "bad_json"), (415, "unsupported_media_type")}


def test_a_get_with_a_megabyte_of_query_is_refused(site: Site) -> None:
    client = site.client(US)
    answer = client.http.get(client.url + "/graphql?query=" + "a" * 1_000_000, timeout=WAIT_S)
    assert 400 <= answer.status_code < 500


def test_after_all_of_them_the_worker_serves(site: Site) -> None:
    made = entity(name="Honest")
    id_ = made["entity"]["id"]
    client = site.client(US)
    bookmark = client.write(made).json()["bookmark"]
    for text, _ in list(DOCUMENTS.values())[:9]:
        assert post(client, text).status_code == 400
    assert post(client, BY_ID, {"id": id_}, headers={"ig-bookmark": bookmark}).json() == {
        "data": {"entity": {"id": id_}}
    }
