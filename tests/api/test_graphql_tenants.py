"""What is another tenant's is as if it were nowhere: in every argument of the schema that could name it.

The arguments are found by walking the schema: one that no case covers fails the walk.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, get_named_type

from intelgraph.graph.query.schema import load_schema

from .site import US, Client, Site, entity, relationship
from .test_graphql import post
from .test_graphql_subscriptions import FOLLOW, subscribed

pytestmark = pytest.mark.postgres
MARKER = "Sturnidae"
"""Stands in every field of the other tenant's objects."""
NAMES_NOTHING = {"Int", "Boolean", "DateTime"}
"""Types whose values cannot name an object."""

CASES = {
    "Query.entity.id": "query ($x: ID!) { entity(id: $x) { id name properties edges { items { neighborId } } } }",
    "Query.relationship.id": "query ($x: ID!) { relationship(id: $x) { id type source { name } } }",
    "Query.node.id": "query ($x: ID!) { node(id: $x) { __typename id properties sources } }",
    "Query.entities.filter.ids": (
        "query ($x: ID!) { entities(filter: {ids: [$x]}) { items { id name } total { count } } }"
    ),
    "Query.entities.filter.types": (
        "query ($t: String!) { entities(filter: {types: [$t]}) { items { id } total { count } } }"
    ),
    "Query.entities.filter.text": (
        "query ($t: String!) { entities(filter: {text: $t}) { items { id } total { count } } }"
    ),
    "Query.entities.filter.properties": (
        "query ($p: JSONObject!) { entities(filter: {properties: $p}) { items { id } total { count } } }"
    ),
    "Query.entities.after": "query ($c: Cursor!) { entities(after: $c, first: 1000) { items { name } next } }",
    "Query.neighborhood.of": "query ($x: ID!) { neighborhood(of: [$x], hops: 3) { items { hops entity { id } } } }",
    "Query.neighborhood.types": (
        "query ($x: ID!, $t: String!) { neighborhood(of: [$x], types: [$t]) { relationships { id } completeness } }"
    ),
    "Query.shortestPaths.from": (
        "query ($x: ID!, $o: ID!) { shortestPaths(from: $x, to: $o) { items { entities { id } } } }"
    ),
    "Query.shortestPaths.to": (
        "query ($x: ID!, $o: ID!) { shortestPaths(from: $o, to: $x) { items { entities { id } } } }"
    ),
    "Query.shortestPaths.types": (
        "query ($x: ID!, $y: ID!, $t: String!) { shortestPaths(from: $x, to: $y, types: [$t]) { completeness } }"
    ),
    "Entity.edges.after": (
        "query ($o: ID!, $e: Cursor!) { entity(id: $o) { edges(after: $e) { items { neighborId } next } } }"
    ),
    "Entity.edges.types": (
        "query ($o: ID!, $t: String!) { entity(id: $o) { edges(types: [$t]) { items { neighborId } next } } }"
    ),
    "Mutation.upsertEntities.entities.id": (
        'mutation ($x: ID!) { upsertEntities(entities: [{id: $x, type: "malware", name: "mine", ifRevision: 1}]) '
        "{ objects { id } } }"
    ),
    "Mutation.deleteEntities.ids": "mutation ($x: ID!) { deleteEntities(ids: [$x]) { objects { id } } }",
    "Mutation.relate.relationships.id": (
        'mutation ($r: ID!, $o: ID!) { relate(relationships: [{id: $r, type: "uses", source: $o, target: $o, '
        "ifRevision: 1}]) { objects { id } } }"
    ),
    "Mutation.relate.relationships.source": (
        'mutation ($x: ID!, $o: ID!) { relate(relationships: [{id: "guard-r", type: "uses", source: $x, target: $o}]) '
        "{ objects { id } } }"
    ),
    "Mutation.relate.relationships.target": (
        'mutation ($x: ID!, $o: ID!) { relate(relationships: [{id: "guard-r", type: "uses", source: $o, target: $x}]) '
        "{ objects { id } } }"
    ),
    "Mutation.unrelate.ids": "mutation ($r: ID!) { unrelate(ids: [$r]) { objects { id } } }",
    "Mutation.erase.ids": "mutation ($x: ID!) { erase(ids: [$x]) { objects { kind id revision } } }",
}
STREAMS = {
    "Subscription.changes.after": "after",
    "Subscription.changes.filter.kinds": "kinds",
    "Subscription.changes.filter.types": "types",
    "Subscription.changes.filter.ids": "ids",
}
CONTENT = {
    f"Mutation.{field}.{argument}.{name}"
    for field, argument in (("upsertEntities", "entities"), ("relate", "relationships"))
    for name in ("type", "name", "properties", "sources")
} - {"Mutation.relate.relationships.name"}
"""What is written, and names nothing."""


def arguments() -> Iterator[str]:
    """Yield ``Type.field.argument.inner`` of each argument that could name an object, a place or a text."""
    for type_ in load_schema().type_map.values():
        if not isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) or type_.name.startswith("__"):
            continue
        for name, field in type_.fields.items():
            for argument, definition in field.args.items():
                yield from _inner(f"{type_.name}.{name}.{argument}", get_named_type(definition.type))


def _inner(path: str, type_: Any) -> Iterator[str]:
    if isinstance(type_, GraphQLInputObjectType):
        for name, field in type_.fields.items():
            yield from _inner(f"{path}.{name}", get_named_type(field.type))
    elif not isinstance(type_, GraphQLEnumType) and type_.name not in NAMES_NOTHING:
        yield path


def test_every_argument_that_could_name_something_has_a_case() -> None:
    assert set(arguments()) == CASES.keys() | STREAMS.keys() | CONTENT


@dataclass(frozen=True, kw_only=True)
class Planted:
    """The variables that name the other tenant's objects, and the same for objects that are nowhere."""

    theirs: dict[str, Any]
    nowhere: dict[str, Any]


@pytest.fixture(scope="module")
def planted(site: Site) -> Planted:
    """Objects of acme; globex asks."""
    mine = _make(site.client(US, tenant="globex"), "Own", "~c")
    gone = _make(site.client(US, tenant="globex"), "Gone", "~b")
    theirs = _make(site.client(US, tenant="acme"), MARKER, "~b")
    client = site.client(US, tenant="globex")
    for one in ("x", "y"):
        assert client.write({"op": "delete_entity", "id": gone[one]}).status_code == 200
    never = {name: f"{value[:-4]}none" for name, value in theirs.items() if name in ("x", "y", "r")}
    told = {"t": "Nowhereness", "p": {"note": "Nowhereness"}}
    return Planted(
        theirs={**theirs, "o": mine["x"], "t": MARKER.lower(), "p": {"note": MARKER}},
        nowhere={**theirs, **never, "c": gone["c"], "e": gone["e"], **told, "o": mine["x"]},
    )


def _make(client: Client, marker: str, first: str) -> dict[str, Any]:
    """Write two entities and relationships between them, whose ids begin with ``first``; return ids and cursors."""
    ids = [f"{first}{uuid.uuid4()}" for _ in range(2)]
    edges = [f"{first}{uuid.uuid4()}" for _ in range(2)]
    fields = {"type": marker.lower(), "name": marker, "properties": {"note": marker}, "sources": [marker]}
    written = client.write(
        *(entity(id_, **fields) for id_ in ids),
        *(relationship(ids[0], ids[1], edge, type=marker.lower(), properties={"note": marker}) for edge in edges),
    )
    assert written.status_code == 200, written.text
    query = (
        "query ($x: ID!, $i: [ID!]) { entity(id: $x) { edges(first: 1) { next } } "
        "entities(filter: {ids: $i}, first: 1) { next } }"
    )
    data = post(client, query, {"x": ids[0], "i": ids}).json()["data"]
    cursors = {"c": data["entities"]["next"], "e": data["entity"]["edges"]["next"]}
    assert all(cursors.values())
    return {"x": ids[0], "y": ids[1], "r": edges[0], **cursors}


def _asked(client: Client, document: str, variables: dict[str, Any]) -> tuple[Any, ...]:
    """Send a document; returns all of its answer with the values that were sent taken out."""
    used = {name: value for name, value in variables.items() if f"${name}:" in document}
    answer = post(client, document, used)
    text = answer.text
    for name, value in used.items():
        if isinstance(value, str) and name != "o":
            text = text.replace(value, f"<{name}>")
    headers = {name.lower() for name in answer.headers}
    assert MARKER not in text
    assert MARKER not in str(answer.headers)
    return answer.status_code, text, headers, answer.headers["content-type"]


@pytest.mark.parametrize("argument", CASES)
def test_what_is_another_tenants_is_as_if_it_were_nowhere(site: Site, planted: Planted, argument: str) -> None:
    client = site.client(US, tenant="globex")
    theirs = _asked(client, CASES[argument], planted.theirs)
    assert theirs == _asked(client, CASES[argument], planted.nowhere)
    assert theirs[0] == 200, theirs


def test_after_all_of_that_the_other_tenant_has_what_it_had(site: Site, planted: Planted) -> None:
    client = site.client(US, tenant="acme")
    data = post(client, CASES["Query.entity.id"], {"x": planted.theirs["x"]}).json()["data"]["entity"]
    assert data["name"] == MARKER
    assert [edge["neighborId"] for edge in data["edges"]["items"]] == [planted.theirs["y"]] * 2


@pytest.mark.parametrize("argument", STREAMS)
def test_a_stream_tells_nothing_of_another_tenant(site: Site, planted: Planted, argument: str) -> None:
    client, other = site.client(US, tenant="globex"), site.client(US, tenant="acme")
    mark = client.write(entity()).json()["bookmark"]
    theirs = other.write(entity(name=MARKER, type=MARKER.lower())).json()["bookmark"]
    last = client.write(entity(type="last")).json()["bookmark"]
    wanted: dict[str, Any] = {
        "after": {"after": theirs},
        "kinds": {"after": mark, "filter": {"kinds": ["entity"]}},
        "types": {"after": mark, "filter": {"types": [MARKER.lower(), "last"]}},
        "ids": {"after": mark, "filter": {"ids": [planted.theirs["x"]]}},
    }[STREAMS[argument]]
    if STREAMS[argument] == "ids":
        other.write(entity(planted.theirs["x"], name=MARKER, type=MARKER.lower()))
        wanted["filter"]["ids"].append(last_id := f"l-{uuid.uuid4()}")
        last = client.write(entity(last_id)).json()["bookmark"]
    with subscribed(site, US, FOLLOW, **wanted) as events:
        first = next(events)
    assert first["id"] == last
    assert MARKER not in json.dumps(first)


def test_another_tenants_hash_is_one_that_nobody_has_sent(site: Site) -> None:
    text = f"query Q{uuid.uuid4().hex} {{ stats {{ entities }} }}"
    hashes = [hashlib.sha256(part.encode()).hexdigest() for part in (text, text + " ")]
    named = [{"persistedQuery": {"version": 1, "sha256Hash": digest}} for digest in hashes]
    assert post(site.client(US, tenant="acme"), text, extensions=named[0]).status_code == 200
    told = [post(site.client(US, tenant="globex"), None, extensions=one) for one in named]
    assert told[0].content == told[1].content
    assert told[0].json()["errors"][0]["extensions"]["code"] == "document_not_kept"


def tokens(site: Site) -> dict[str, tuple[str, int]]:
    """Return tokens that are no good, and the status of their answer."""
    issuer, claims = site.issuer, site.issuer.claims("acme")
    header, payload, signature = issuer.token("acme").split(".")
    stranger = Ed25519PrivateKey.generate()
    public = json.loads(issuer.jwks.read_text())["keys"][0]["x"]
    good: dict[str, str] = {"kid": issuer.kid}
    without = {name: value for name, value in claims.items() if name != "tenant"}
    return {
        "tampered": (f"{header}.{payload}.{signature[:-6]}AAAAAA", 401),
        "another tenant's payload": (f"{header}.{issuer.token('globex').split('.')[1]}.{signature}", 401),
        "expired": (issuer.sign({**claims, "exp": 1}), 401),
        "not yet": (issuer.sign({**claims, "nbf": 4_000_000_000}), 401),
        "another key": (jwt.encode(claims, stranger, algorithm="EdDSA", headers=good), 401),
        "unknown key": (jwt.encode(claims, stranger, algorithm="EdDSA", headers={"kid": "other"}), 401),
        "another issuer": (issuer.sign({**claims, "iss": "https://elsewhere.test"}), 401),
        "another audience": (issuer.sign({**claims, "aud": "others"}), 401),
        "alg none": (jwt.encode(claims, "", algorithm="none", headers=good), 401),
        "HS256 with the public key": (jwt.encode(claims, public, algorithm="HS256", headers=good), 401),
        "no tenant": (issuer.sign(without), 401),
        "unknown tenant": (issuer.sign({**claims, "tenant": "nobody"}), 403),
    }


def test_a_token_that_is_no_good_is_refused_whatever_is_asked(site: Site) -> None:
    url = site.us.url + "/graphql"
    query = "{ stats { entities } }"
    for name, (token, status) in tokens(site).items():
        head = {"authorization": f"Bearer {token}"}
        stream = {**head, "accept": "text/event-stream"}
        for answer in (
            requests.get(url, params={"query": query}, headers=head, timeout=10),
            requests.post(url, json={"query": query}, headers=head, timeout=10),
            requests.post(url, json={"query": FOLLOW}, headers=stream, timeout=10),
        ):
            assert answer.status_code == status, (name, answer.text)
            assert answer.json()["errors"][0]["extensions"]["code"] in ("bad_token", "token_expired", "unknown_tenant")
