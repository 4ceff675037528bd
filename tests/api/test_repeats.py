"""A key's repeat is known by what is meant, however it is sent; what means something else is refused."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from intelgraph.api.idempotency_key import checked_key
from intelgraph.api.write.operations import check_operations, in_changes, read_operations
from intelgraph.model.errors import PermanentError
from tests.machine import WAIT_S

from .site import EU, US, Client, Site, entity, relationship

GRAPHQL = "application/graphql-response+json"
TEXT = "mutation Put($e: [EntityInput!]!) { upsertEntities(entities: $e) { status bookmark } }"
Send = Callable[[Client, str, str], requests.Response]


def given(id_: str) -> dict[str, Any]:
    return {
        "id": id_, "type": "malware", "name": "Émotet", "properties": {"a": {"x": 1, "y": [1.5, None]}, "b": "2"},
        "confidence": 80, "validFrom": "2026-01-31T08:00:00Z",
    }  # fmt: skip


def graphql(client: Client, key: str, **body: Any) -> requests.Response:
    headers = {"accept": GRAPHQL, "idempotency-key": key}
    return client.http.post(client.url + "/graphql", json=body, headers=headers, timeout=WAIT_S)


def by_text(client: Client, key: str, id_: str) -> requests.Response:
    return graphql(client, key, query=TEXT, variables={"e": [given(id_)]})


def by_hash(client: Client, key: str, id_: str) -> requests.Response:
    hashed = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(TEXT.encode()).hexdigest()}}
    answer = graphql(client, key, variables={"e": [given(id_)]}, extensions=hashed)
    if "PersistedQueryNotFound" in answer.text:
        answer = graphql(client, key, query=TEXT, variables={"e": [given(id_)]}, extensions=hashed)
    return answer


def spelled_otherwise(client: Client, key: str, id_: str) -> requests.Response:
    """Other white space, fields, names, order of members, escapes and a time's offset; null is what is not given."""
    text = (
        "# put\nmutation Other($e: [EntityInput!]!) {\n  __typename made: upsertEntities(entities: $e) "
        "{ __typename objects { __typename id } status } }"
    )
    members = dict(reversed({**given(id_), "validFrom": "2026-01-31T09:00:00.000+01:00", "sources": None}.items()))
    members["properties"] = {"b": "2", "a": {"y": [1.50, None], "x": 1}}
    body = {"variables": {"e": members, "unused": None}, "operationName": "Other", "query": text, "extensions": {}}
    headers = {"accept": "application/json", "idempotency-key": f'"{key}"', "content-type": "application/json"}
    return client.http.post(client.url + "/graphql", data=json.dumps(body), headers=headers, timeout=WAIT_S)


def with_literals(client: Client, key: str, id_: str) -> requests.Response:
    text = (
        f'mutation {{ upsertEntities(entities: [{{id: "{id_}", type: "malware", name: "\\u00c9motet", confidence: 80, '
        'properties: {b: "2", a: {y: [1.5, null], x: 1}}, validFrom: "2026-01-31T08:00:00+00:00"}]) { status } }'
    )
    return graphql(client, key, query=text)


def by_changes(client: Client, key: str, id_: str) -> requests.Response:
    members = given(id_)
    members["valid_from"] = members.pop("validFrom")
    body = json.dumps({"operations": [{"entity": members, "op": "upsert_entity"}]}, indent=2, ensure_ascii=False)
    return client.post(body.encode(), key=key)


WAYS: list[Send] = [by_text, by_hash, spelled_otherwise, with_literals, by_changes]


def status_of(answer: requests.Response) -> str:
    """The status of a write's outcome."""
    body = answer.json()
    if body.get("data"):
        (payload,) = (part for part in body["data"].values() if isinstance(part, dict))
        return str(payload["status"]).lower()
    return str(body.get("status") or body)


@pytest.mark.postgres
@pytest.mark.parametrize("first", WAYS)
def test_the_same_write_sent_in_another_way_is_a_repeat(site: Site, first: Send) -> None:
    key, id_ = str(uuid.uuid4()), f"k-{uuid.uuid4()}"
    assert status_of(first(site.client(US), key, id_)) == "ok"
    for again in WAYS:
        for region in (US, EU):
            assert status_of(again(site.client(region), key, id_)) == "repeated", (again.__name__, region)


@pytest.mark.postgres
def test_a_write_by_hash_is_repeated_with_its_text_when_the_worker_has_forgotten_the_hash(site: Site) -> None:
    client, key, id_ = site.client(US), str(uuid.uuid4()), f"k-{uuid.uuid4()}"
    text = TEXT.replace("Put", f"Put{uuid.uuid4().hex}")
    hashed = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}}
    assert graphql(client, "-", query="{ __typename }").status_code == 200
    graphql(client, str(uuid.uuid4()), query=text, variables={"e": []}, extensions=hashed)
    assert status_of(graphql(client, key, variables={"e": [given(id_)]}, extensions=hashed)) == "ok"
    site.us.stop("api")
    site.us.start("api")
    site.us.wait_ready()
    client = site.client(US)
    forgotten = graphql(client, key, variables={"e": [given(id_)]}, extensions=hashed)
    assert forgotten.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    again = graphql(client, key, query=text, variables={"e": [given(id_)]}, extensions=hashed)
    assert status_of(again) == "repeated", again.text


@pytest.mark.postgres
def test_a_key_is_refused_for_what_means_something_else(site: Site) -> None:
    client, key, id_ = site.client(US), str(uuid.uuid4()), f"k-{uuid.uuid4()}"
    assert status_of(by_text(client, key, id_)) == "ok"
    for other in (
        {"name": "emotet"},
        {"confidence": 81},
        {"confidence": None},
        {"properties": {"a": {"x": 1, "y": [None, 1.5]}, "b": "2"}},
        {"properties": {"a": {"x": "1", "y": [1.5, None]}, "b": "2"}},
        {"ifRevision": 1},
        {"id": id_ + "-other"},
    ):
        refused = graphql(client, key, query=TEXT, variables={"e": [{**given(id_), **other}]})
        assert refused.json()["errors"][0]["extensions"]["code"] == "key_reused", other


@pytest.mark.postgres
def test_a_quoted_key_is_the_key_that_is_quoted(site: Site) -> None:
    client, key, operation = site.client(US), str(uuid.uuid4()), entity()
    assert client.write(operation, key=f'"{key}"').json()["status"] == "ok"
    assert client.write(operation, key=key).json()["status"] == "repeated"
    outcomes = [client.get(f"/v1/outcomes/{name}").json() for name in (key, f"%22{key}%22")]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] != client.get(f"/v1/outcomes/{uuid.uuid4()}").json()


@pytest.mark.parametrize(
    ("written", "key"),
    [
        (b"a", "a"),
        (b'"a"', "a"),
        (b'"two words"', "two words"),
        (rb'"a \"b\" \\c"', 'a "b" \\c'),
        (b'it"s', 'it"s'),
        (b"back\\slash", "back\\slash"),
        (b"x" * 255, "x" * 255),
        (b'"%b"' % (b"x" * 255), "x" * 255),
    ],
)
def test_a_key_is_read_bare_or_quoted(written: bytes, key: str) -> None:
    assert checked_key(written) == key


@pytest.mark.parametrize(
    "written",
    [b"", b'""', b'"', b'"a', b'"a"b', b'"a";p=1', rb'"a\b"', b"two words", b"x" * 256, b'"\xc3\xa9"', b"\x7f"],
)
def test_what_is_no_key_is_refused(written: bytes) -> None:
    with pytest.raises(PermanentError) as refused:
        checked_key(written)
    assert refused.value.denied.code == "key_required"


def test_a_fingerprint_is_the_same_whatever_the_order_of_members() -> None:
    one = {
        "op": "upsert_entity",
        "entity": {"id": "a", "type": "t", "name": "n", "properties": {"x": 1, "y": {"p": 1, "q": 2}}},
    }
    other = {
        "entity": {"properties": {"y": {"q": 2, "p": 1}, "x": 1}, "name": "n", "id": "a", "type": "t"},
        "op": "upsert_entity",
    }
    made = [read_operations(json.dumps({"operations": [each]}).encode(), operations_max=9) for each in (one, other)]
    made.append(check_operations([one], in_changes, operations_max=9))
    assert len({each.fingerprint() for each in made}) == 1


def test_the_order_of_operations_is_part_of_a_fingerprint() -> None:
    operations = [entity("a"), entity("b"), relationship("a", "b", "r")]
    forth, back = (
        check_operations(made, in_changes, operations_max=9)
        for made in (operations, [operations[1], operations[0], operations[2]])
    )
    assert forth.fingerprint() != back.fingerprint()
