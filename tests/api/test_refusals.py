"""Every refusal of the API has its code, its status and one sentence, and nothing of a refused write is applied."""

from __future__ import annotations

import json
import time
import uuid
from http.client import HTTPConnection
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.machine import WAIT_S, stretched

from .site import EU, US, Client, Site, entity, relationship

pytestmark = pytest.mark.postgres


def assert_problem(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is problem details of this status and code."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert (problem["code"], problem["type"]) == (code, f"urn:intelgraph:error:{code}"), problem
    assert problem["reason"] == problem["detail"] != ""
    if status == 503:
        assert int(answer.headers["retry-after"]) >= 1
    return problem


def test_without_a_token_nothing_is_said(site: Site) -> None:
    answer = Client(site.us.url, None).get("/v1/entities")
    assert_problem(answer, 401, "no_token")
    assert answer.headers["www-authenticate"] == "Bearer"


def unsigned(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, None, algorithm="none")


def by_a_stranger(claims: dict[str, Any], kid: str) -> str:
    return jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": kid})


def test_a_token_that_the_issuer_did_not_sign_is_refused(site: Site) -> None:
    claims = site.issuer.claims("acme")
    good = site.issuer.token("acme")
    public = json.loads(site.issuer.jwks.read_text())["keys"][0]
    confused = jwt.encode(claims, public["x"] * 2, algorithm="HS256", headers={"kid": site.issuer.kid})
    header, payload, signature = good.split(".")
    for token in (
        unsigned(claims),
        by_a_stranger(claims, site.issuer.kid),
        by_a_stranger(claims, "made-up"),
        confused,
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{site.issuer.token('hooli').split('.')[1]}.{signature}",
        "x",
        "a.b.c",
        "." * 50,
        "x" * 9_000,
        "é",
    ):
        answer = requests.get(
            f"{site.us.url}/v1/entities", headers={b"authorization": b"Bearer " + token.encode()}, timeout=10
        )
        assert_problem(answer, 401, "bad_token")


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"exp": 1}, 401, "token_expired"),
        ({"exp": None}, 401, "bad_token"),
        ({"exp": "soon"}, 401, "bad_token"),
        ({"nbf": 4_000_000_000}, 401, "bad_token"),
        ({"nbf": None}, 401, "bad_token"),
        ({"iss": "https://elsewhere.test"}, 401, "bad_token"),
        ({"aud": "others"}, 401, "bad_token"),
        ({"aud": None}, 401, "bad_token"),
        ({"tenant": None}, 401, "bad_token"),
        ({"tenant": "../acme"}, 401, "bad_token"),
        ({"tenant": ["acme"]}, 401, "bad_token"),
        ({"tenant": "nobody"}, 403, "unknown_tenant"),
        ({"role": "root"}, 403, "role_not_allowed"),
        ({"role": None}, 403, "role_not_allowed"),
        ({"role": ["writer"]}, 403, "role_not_allowed"),
    ],
)
def test_a_signed_token_with_a_wrong_claim_is_refused(
    site: Site, changed: dict[str, Any], status: int, code: str
) -> None:
    claims = {name: value for name, value in {**site.issuer.claims("acme"), **changed}.items() if value is not None}
    assert_problem(Client(site.us.url, site.issuer.sign(claims)).get("/v1/entities"), status, code)


def test_the_tenant_comes_from_the_claim_and_from_no_header(site: Site) -> None:
    mine, theirs = entity(), entity()
    site.client(US, tenant="acme").write(mine)
    site.client(US, tenant="globex").write(theirs)
    client = site.client(US, tenant="acme")
    client.http.headers.update({"x-tenant": "globex", "tenant": "globex"})
    assert client.entity(mine["entity"]["id"]).status_code == 200
    assert_problem(client.entity(theirs["entity"]["id"]), 404, "not_found")


def test_an_analyst_reads_and_does_not_write(site: Site) -> None:
    analyst = site.client(US, role="analyst")
    assert analyst.get("/v1/entities").status_code == 200
    assert_problem(analyst.write(entity()), 403, "role_not_allowed")


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "tab\there", "ü"])
def test_a_write_needs_a_key_of_visible_characters(site: Site, key: str) -> None:
    headers = {
        b"authorization": f"Bearer {site.issuer.token('acme')}".encode(),
        b"content-type": b"application/json",
        b"idempotency-key": key.encode(),
    }
    body = json.dumps({"operations": [entity()]})
    answer = requests.post(f"{site.us.url}/v1/changes", data=body, headers=headers, timeout=WAIT_S)
    assert_problem(answer, 400, "key_required")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content-type": ""}, 415, "unsupported_media_type"),
        ({"content-encoding": "gzip"}, 415, "unsupported_media_type"),
    ],
)
def test_a_body_that_is_not_plain_json_is_refused(site: Site, headers: dict[str, str], status: int, code: str) -> None:
    assert_problem(site.client(US).post(b"{}", **headers), status, code)


def test_a_body_beyond_the_limit_is_refused_declared_or_not(site: Site) -> None:
    large = b"x" * (site.us.config.api.body_bytes_max + 1)
    assert_problem(site.client(US).post(large), 413, "body_too_large")
    chunks = (large[at : at + 65_536] for at in range(0, len(large), 65_536))
    client = site.client(US)
    try:
        answer = client.post(chunks)  # type: ignore[arg-type]
    except requests.ConnectionError:
        return  # the connection was closed while we still sent
    assert_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/", 404, "no_such_route"),
        ("/v1", 404, "no_such_route"),
        ("/v1/entities/", 404, "no_such_route"),
        ("/v1/entities/a/b", 404, "no_such_route"),
        ("/v1/entities/%ff", 400, "bad_request"),
        ("/v1/entities/%00", 400, "bad_request"),
        ("/v1/entities/" + "x" * 257, 400, "bad_request"),
        ("/v1/entities?limit=0", 400, "bad_request"),
        ("/v1/entities?limit=1001", 400, "bad_request"),
        ("/v1/entities?limit=-1", 400, "bad_request"),
        ("/v1/entities?limit=%D9%A1", 400, "bad_request"),
        ("/v1/entities?limit=1&limit=2", 400, "bad_request"),
        ("/v1/entities?colour=red", 400, "bad_request"),
        ("/v1/entities?after=%00", 400, "bad_request"),
        ("/v1/changes?after=here", 400, "bad_bookmark"),
        ("/v1/changes?after=us-east/1/1/999999999999999999999", 400, "bad_bookmark"),
        ("/v1/outcomes/two%20words", 400, "key_required"),
        ("/v1/entities/nothing-here", 404, "not_found"),
    ],
)
def test_a_wrong_path_or_query_is_refused(site: Site, path: str, status: int, code: str) -> None:
    assert_problem(site.client(US).get(path), status, code)


def test_a_wrong_method_is_told_which_are_right(site: Site) -> None:
    answer = site.client(US).http.delete(f"{site.us.url}/v1/changes", timeout=WAIT_S)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_a_bookmark_that_is_none_is_refused_and_one_that_has_not_arrived_is_too_far_behind(site: Site) -> None:
    client = site.client(EU)
    assert_problem(client.entity("e", "yesterday"), 400, "bad_bookmark")
    began = time.monotonic()
    problem = assert_problem(client.entity("e", "us-east/1/1/999999999"), 503, "too_far_behind")
    wait_s = site.eu.config.api.bookmark_wait_s
    assert wait_s <= time.monotonic() - began < stretched(wait_s + 2, began)
    assert problem["retry_after_s"] >= 1


def test_the_graph_s_refusals_have_their_codes_and_nothing_of_the_request_is_applied(site: Site) -> None:
    client = site.client(US)
    there, kept = entity(), entity()
    there_id, kept_id = there["entity"]["id"], kept["entity"]["id"]
    assert client.write(there).status_code == 200
    other_type = entity(there_id, type="tool")
    for operation, status, code in (
        (relationship(there_id, "missing"), 409, "dangling"),
        (other_type, 409, "type_changed"),
        ({**entity(there_id), "if_revision": 7}, 409, "revision_mismatch"),
        ({"op": "delete_entity", "id": "missing"}, 404, "not_found"),
    ):
        problem = assert_problem(client.write(kept, operation), status, code)
        assert problem["facts"]["index"] == 1
        assert client.entity(kept_id).status_code == 404


def test_an_erased_id_is_refused_for_ever(site: Site) -> None:
    client, operation = site.client(US, role="admin"), entity()
    erased_id = operation["entity"]["id"]
    client.write(operation)
    assert client.write({"op": "erase", "ids": [erased_id]}).status_code == 200
    assert client.entity(erased_id).status_code == 404
    assert_problem(client.write(operation), 409, "erased")


def test_a_deciding_header_given_twice_is_refused(site: Site) -> None:
    connection = HTTPConnection("127.0.0.1", site.us.config.api_port, timeout=WAIT_S)
    connection.putrequest("GET", "/v1/entities")
    for tenant in ("acme", "globex"):
        connection.putheader("Authorization", f"Bearer {site.issuer.token(tenant)}")
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (400, "bad_request")
    connection.close()


def test_what_became_of_a_key_is_told(site: Site) -> None:
    client, key = site.client(US), str(uuid.uuid4())
    bookmark = client.write(entity(), key=key).json()["bookmark"]
    outcomes = client.get(f"/v1/outcomes/{key}").json()["outcomes"]
    assert [(each["bookmark"], each["outcome"]) for each in outcomes] == [(bookmark, "home-only")]
    elsewhere = site.client(EU).get(f"/v1/outcomes/{key}", {"ig-bookmark": bookmark}).json()["outcomes"]
    assert [(each["bookmark"], each["outcome"]) for each in elsewhere] == [(bookmark, "remote")]
    assert client.get("/v1/outcomes/never-used").json() == {"outcome": "unknown", "outcomes": []}
