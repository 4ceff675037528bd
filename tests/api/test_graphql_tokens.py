"""Tokens that are worth nothing open nothing of ``/graphql``, whatever is asked for."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.machine import WAIT_S

from .site import US, Client, Site, entity, two_regions

pytestmark = pytest.mark.postgres


def tokens(site: Site) -> dict[str, str | None]:
    """By what is wrong with them."""
    claims, now = site.issuer.claims("globex"), int(time.time())
    head, body, signature = site.issuer.sign(claims).split(".")
    others = site.issuer.sign(site.issuer.claims("acme")).split(".")[1]
    published = json.loads(site.issuer.jwks.read_text())["keys"][0]["x"]
    known, stranger = {"kid": site.issuer.kid}, Ed25519PrivateKey.generate()
    return {
        "none": None,
        "not signed": jwt.encode(claims, None, algorithm="none"),
        "signed with the published key": jwt.encode(claims, published * 2, algorithm="HS256", headers=known),
        "another issuer's key": jwt.encode(claims, stranger, algorithm="EdDSA", headers=known),
        "a key that nobody knows": jwt.encode(claims, stranger, algorithm="EdDSA", headers={"kid": "nobody"}),
        "claims exchanged": f"{head}.{others}.{signature}",
        "signature cut": f"{head}.{body}.{signature[:-4]}",
        "expired": site.issuer.sign(claims | {"exp": now - 60}),
        "not valid yet": site.issuer.sign(claims | {"nbf": now + 600}),
        "another issuer": site.issuer.sign(claims | {"iss": "https://elsewhere.example"}),
        "another audience": site.issuer.sign(claims | {"aud": "elsewhere"}),
        "no tenant": site.issuer.sign({name: value for name, value in claims.items() if name != "tenant"}),
        "no such tenant": site.issuer.sign(claims | {"tenant": "nobody-here"}),
        "no such role": site.issuer.sign(claims | {"role": "owner"}),
        "nonsense": "nonsense",
    }


WAYS = {
    "get": ("GET", "application/json", "{ entities { items { id } } }"),
    "post": ("POST", "application/json", "{ entities { items { id } } }"),
    "mutation": ("POST", "application/json", 'mutation { erase(ids: ["x"]) { status } }'),
    "subscription": ("POST", "text/event-stream", "subscription { changes { bookmark } }"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_token_that_is_worth_nothing_opens_nothing(site: Site, way: str) -> None:
    marker = uuid.uuid4().hex
    site.client(US, tenant="globex").write(entity(f"e-{marker}", name=marker))
    for name, token in tokens(site).items():
        told = ask(Client(site.us.url, token), WAYS[way])
        assert told.status_code in (401, 403), (name, told.text)
        body = told.text.partition("data: ")[2].partition("\n")[0] if way == "subscription" else told.text
        assert set(json.loads(body)) == {"errors"}, name
        assert marker not in told.text


SENT = (
    "select coalesce(sum(s.calls), 0)::int from pg_stat_statements s join pg_roles r on r.oid = s.userid "
    "where r.rolname = 'ig_api'"
)


def test_a_token_that_is_worth_nothing_asks_the_database_nothing(tmp_path: Path) -> None:
    with two_regions(tmp_path, settings={"shared_preload_libraries": "pg_stat_statements"}) as site:
        site.us.sql("create extension pg_stat_statements")
        good = site.client(US, tenant="globex")
        for read in ("/v1/entities", "/graphql?query={ entities { items { id } } }"):
            assert good.get(read).status_code == 200
        site.us.sql("select pg_stat_statements_reset()")
        for name, token in tokens(site).items():
            bad = Client(site.us.url, token)
            asked = [ask(bad, way) for way in WAYS.values()]
            asked += [bad.get("/v1/entities"), bad.get("/v1/changes"), bad.write(entity())]
            assert {told.status_code for told in asked} <= {401, 403}, name
        assert site.us.sql(SENT) == 0
        # What is counted is what is asked: a good token's read is seen.
        assert good.get("/graphql?query={ entities { items { id } } }").status_code == 200
        assert site.us.sql(SENT) > 0


def ask(client: Client, way: tuple[str, str, str]) -> requests.Response:
    method, accept, query = way
    headers = {"accept": accept, "idempotency-key": str(uuid.uuid4())}
    if method == "GET":
        return client.http.get(client.url + "/graphql", params={"query": query}, headers=headers, timeout=WAIT_S)
    return client.http.post(client.url + "/graphql", json={"query": query}, headers=headers, timeout=WAIT_S)
