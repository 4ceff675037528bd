"""A value that is taken can be read by every reader; every other is refused the same way wherever it comes in."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from intelgraph.model.content import OUT_OF_RANGE, TOO_DEEP
from tests.machine import WAIT_S

from .site import EU, US, Client, Site, entity
from .test_graphql import post

pytestmark = pytest.mark.postgres

UPSERT = "mutation ($e: [EntityInput!]!) { upsertEntities(entities: $e) { bookmark } }"
KEPT = {
    # As it is written: the value that every reader is told.
    "99999999999999999999": 99999999999999999999,
    "9" * 64: int("9" * 64),
    "18446744073709551616": 2**64,
    "1e22": 10**22,
    "1e63": 10**63,
    "1E5": 100000.0,
    "1.10": 1.1,
    "-0": 0,
    "-0.0": 0.0,
    "1e-64": 1e-64,
    "0.1e1": 1.0,
}
REFUSED = ("9" * 65, "1e64", "-1e64", "1e400", "1e-65", "1e-400", "1" * 5_000)


def object_of(text: str) -> str:
    """An object that holds a number, a deep list, a long key and an empty one."""
    deep = "[" * 30 + text + "]" * 30
    return f'{{"k": {text}, "deep": {deep}, "": "", "{"l" * 1_000}": ["\\u2603", "\\ud83e\\udd8a"]}}'


def literal(text: str) -> str:
    """The same as a GraphQL literal, which has no such keys."""
    return f"{{k: {text}, deep: {'[' * 30}{text}{']' * 30}}}"


def by_rest(client: Client, id_: str, properties: str) -> requests.Response:
    given = f'{{"id": "{id_}", "type": "t", "name": "n", "properties": {properties}}}'
    return client.post(f'{{"operations": [{{"op": "upsert_entity", "entity": {given}}}]}}'.encode())


def graphql(client: Client, body: str) -> requests.Response:
    headers = {"content-type": "application/json", "idempotency-key": str(uuid.uuid4())}
    return client.http.post(client.url + "/graphql", data=body.encode(), headers=headers, timeout=WAIT_S)


def by_variables(client: Client, id_: str, properties: str) -> requests.Response:
    given = f'{{"id": "{id_}", "type": "t", "name": "n", "properties": {properties}}}'
    return graphql(client, f'{{"query": {json.dumps(UPSERT)}, "variables": {{"e": [{given}]}}}}')


def by_hash(client: Client, id_: str, properties: str) -> requests.Response:
    hash_ = hashlib.sha256(UPSERT.encode()).hexdigest()
    persisted = json.dumps({"persistedQuery": {"version": 1, "sha256Hash": hash_}})
    post(client, UPSERT, {"e": []}, extensions=json.loads(persisted))
    given = f'{{"id": "{id_}", "type": "t", "name": "n", "properties": {properties}}}'
    return graphql(client, f'{{"variables": {{"e": [{given}]}}, "extensions": {persisted}}}')


def by_literal(client: Client, id_: str, properties: str) -> requests.Response:
    return post(
        client,
        f'mutation {{ upsertEntities(entities: [{{id: "{id_}", type: "t", name: "n", properties: {properties}}}]) '
        "{ bookmark } }",
    )


WAYS = {"rest": by_rest, "variables": by_variables, "hash": by_hash, "literal": by_literal}


@pytest.fixture(scope="module")
def written(site: Site) -> dict[str, Any]:
    """Every number, written in every way: what was told of each by its id, and the bookmark before all of them."""
    client = site.client(US, tenant="umbrella")
    before = client.write(entity()).json()["bookmark"]
    ids: dict[str, Any] = {}
    last = before
    for way, write in WAYS.items():
        for text, value in KEPT.items():
            id_ = f"v-{uuid.uuid4()}"
            answer = write(client, id_, literal(text) if way == "literal" else object_of(text))
            assert answer.status_code == 200, (way, text, answer.text)
            assert "errors" not in answer.json(), (way, text, answer.text)
            ids[id_], last = value, answer.headers["ig-bookmark"]
    return {"ids": ids, "before": before, "last": last}


def deep(value: Any) -> Any:
    for _ in range(30):
        value = [value]
    return value


def check(properties: dict[str, Any], value: Any, where: str) -> None:
    assert properties["k"] == value, where
    assert properties["deep"] == deep(value), where
    if "" in properties:
        assert properties["l" * 1_000] == ["☃", "🦊"], where


@pytest.mark.parametrize("region", [US, EU])
def test_what_is_taken_is_read_with_its_value_by_every_reader(site: Site, written: dict[str, Any], region: str) -> None:
    client = site.client(region, tenant="umbrella")
    ids: dict[str, Any] = written["ids"]
    seen = {"ig-bookmark": written["last"]}
    query = (
        "query ($ids: [ID!], $one: ID!, $b: String!) { __schema { queryType { name } } "
        "entities(filter: {ids: $ids}, first: 1000) { items { id properties } } history(id: $one) { items "
        "{ object { id properties } } } asOf(bookmark: $b) { entity(id: $one) { id properties } } }"
    )
    for one, value in ids.items():
        told = post(client, query, {"ids": [one], "one": one, "b": written["last"]}, headers=seen).json()
        assert "errors" not in told, told
        data = told["data"]
        check(data["entities"]["items"][0]["properties"], value, "entities")
        check(data["history"]["items"][0]["object"]["properties"], value, "history")
        check(data["asOf"]["entity"]["properties"], value, "asOf")
        check(client.entity(one, written["last"]).json()["properties"], value, "REST")
    pages = {each["id"]: each for each in client.get("/v1/entities?limit=1000", seen).json()["objects"]}
    for one, value in ids.items():
        check(pages[one]["properties"], value, "page")


def events(client: Client, path: str, after: str, **sent: Any) -> Iterator[tuple[str, str]]:
    headers = {"accept": "text/event-stream", "last-event-id": after}
    method = "POST" if sent else "GET"
    with client.http.request(method, client.url + path, headers=headers, stream=True, timeout=20, **sent) as answer:
        assert answer.status_code == 200, answer.text
        name = ""
        answer.encoding = "utf-8"
        for line in map(str, answer.iter_lines(chunk_size=1, decode_unicode=True)):
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                yield name, line[6:]


@pytest.mark.parametrize("region", [US, EU])
def test_what_is_taken_is_told_by_every_stream(site: Site, written: dict[str, Any], region: str) -> None:
    client = site.client(region, tenant="umbrella")
    query = {"query": "subscription { changes { bookmark objects { id properties } } }"}
    left = dict(written["ids"])
    for name, data in events(client, "/graphql", written["before"], json=query):
        assert name == "next", (name, data)
        for made in json.loads(data)["data"]["changes"]["objects"]:
            check(made["properties"], left.pop(made["id"]), "subscription")
        if not left:
            break
    left = dict(written["ids"])
    for name, data in events(client, "/v1/changes", written["before"]):
        assert name == "change", (name, data)
        for made in json.loads(data)["objects"]:
            check(made["properties"], left.pop(made["id"]), "/v1/changes")
        if not left:
            break


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", [*REFUSED, "[" * 1_000 + "]" * 1_000, "[" * 32 + "]" * 32])
def test_what_is_not_taken_is_refused_by_the_name_of_its_place_in_every_way(site: Site, way: str, text: str) -> None:
    client, id_ = site.client(US), f"v-{uuid.uuid4()}"
    given = f"{{k: {text}}}" if way == "literal" else f'{{"a": 1, "k": {text}}}'
    answer = WAYS[way](client, id_, given)
    told = answer.json()
    if way == "rest":
        assert answer.status_code == 400, answer.text
        said, code, argument = told["reason"], told["code"], told["facts"].get("argument")
    else:
        (error,) = told["errors"]
        said, code = error["message"], error["extensions"]["code"]
        argument = error["extensions"].get("argument")
    if text == REFUSED[-1] and way in ("variables", "hash"):
        # No JSON reader of ours takes it: the whole body is refused.
        assert code in ("bad_json", "bad_variables"), said
    elif len(text) == 2_000:
        assert code in ("bad_json", "bad_document", "bad_variables", "bad_operation"), said
    else:
        place = {"rest": "operations[0].entity.properties", "literal": "entities[0].properties"}.get(
            way, "$e[0].properties"
        )
        if way == "literal":
            # Inside a literal object the value's rule speaks before the argument is known.
            assert argument is None or str(argument).startswith(place), said
        else:
            assert str(argument).startswith(place), said
            assert said.startswith(f"{argument} is refused: "), said
        assert said.endswith((OUT_OF_RANGE, TOO_DEEP)), said
    assert client.entity(id_).status_code == 404


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"\\ud800"', '"\\u0000"', "nan", "01", "1."])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_json_or_no_text_is_refused_in_every_way(site: Site, way: str, value: str) -> None:
    client, id_ = site.client(US), f"v-{uuid.uuid4()}"
    answer = WAYS[way](client, id_, f"{{k: {value}}}" if way == "literal" else f'{{"k": {value}}}')
    told = answer.json()
    assert told.get("code") or told["errors"][0]["extensions"]["code"], answer.text
    for word in ("None", "True", "`", "NoneType", "msgspec", "Traceback", "<class"):
        assert word not in answer.text
    assert client.entity(id_).status_code == 404


def test_the_database_holds_the_same_rule_against_whoever_appends_without_the_api(site: Site) -> None:
    def append(properties: str) -> str:
        given = f'{{"id": "x", "type": "t", "name": "n", "properties": {properties}}}'
        operations = f'[{{"op": "upsert_entity", "entity": {given}}}]'
        told = site.us.sql(
            "select ig.append('both', 1, 'acme', $1, '\\x00', $2::jsonb)",
            str(uuid.uuid4()),
            operations,
            role="ig_admin",
        )
        answer: dict[str, str] = json.loads(told)
        return answer.get("code", answer["status"])

    assert append('{"k": [1e63, -0, 1e-64, 99999999999999999999]}') == "ok"
    assert append(f'{{"k": {"[" * 31}{"]" * 31}}}') == "ok"
    for refused in ("1e64", "-1e64", "1e-65", "1e400", "[" * 32 + "]" * 32):
        assert append(f'{{"k": {refused}}}') == "bad_operation", refused


def test_a_change_without_the_form_of_one_is_told_so_and_the_stream_goes_on_behind_it(site: Site) -> None:
    client = site.client(US, tenant="wonka")
    before = client.write(entity()).json()["bookmark"]
    broken = client.write(entity()).json()["bookmark"]
    position = int(broken.rsplit("/", 1)[1])
    # What no way in would take, as if an older release had written it.
    site.us.sql(
        """update ig.change set body = '{"objects": [{"kind": "entity", "id": null}]}' where position = $1""", position
    )
    after = entity()
    client.write(after)
    query = {"query": "subscription { told: changes { bookmark objects { id } } }"}
    told = events(client, "/graphql", before, json=query)
    name, data = next(told)
    (error,) = json.loads(data)["errors"]
    assert (name, json.loads(data)["data"], error["path"]) == ("next", None, ["told"])
    assert (error["extensions"]["code"], error["extensions"]["facts"]["bookmark"]) == ("change_unreadable", broken)
    name, data = next(told)
    assert json.loads(data)["data"]["told"]["objects"] == [{"id": after["entity"]["id"]}]
