"""Every answer has the form that was asked for, and the operation's kind chooses among the forms that fit."""

from __future__ import annotations

import json
import socket
import uuid
from typing import Any

import pytest
import requests

from tests.machine import WAIT_S

from .site import EU, US, Client, Site, entity

pytestmark = pytest.mark.postgres
JSON, GRAPHQL, EVENTS = "application/json", "application/graphql-response+json", "text/event-stream"
URQL = f"{GRAPHQL}, application/graphql+json, {JSON}, {EVENTS}, multipart/mixed"
FOLLOW = "subscription ($after: String) { changes(after: $after) { bookmark } }"
WRITE = 'mutation ($id: ID!) { upsertEntities(entities: [{id: $id, type: "t", name: "n"}]) { status } }'


def ask(client: Client, query: str, accept: str, **more: Any) -> requests.Response:
    """Send an operation; its answer's body is not read yet."""
    variables = more.pop("variables", {})
    headers = {"accept": accept, "idempotency-key": str(uuid.uuid4()), **more}
    body = {"query": query, "variables": variables}
    return client.http.post(client.url + "/graphql", json=body, headers=headers, timeout=20, stream=True)


def kind_of(answer: requests.Response) -> str:
    return answer.headers["content-type"].partition(";")[0]


def first_event(answer: requests.Response) -> tuple[str, Any]:
    """The name and data of the first event of an answer."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines(chunk_size=1):
        if not line:
            break
        name, _, value = line.decode().partition(": ")
        fields[name] = value
    return fields["event"], json.loads(fields["data"])


def only_events(answer: requests.Response) -> Any:
    """The data of an answer that is one ``next`` and ``complete``."""
    assert kind_of(answer) == EVENTS
    next_, complete, *rest = answer.text.replace("\r\n", "\n").split("\n\n")
    assert (complete, rest) == ("event: complete\ndata: ", [""])
    name, data = next_.split("\n")
    assert name == "event: next"
    return json.loads(data.removeprefix("data: "))


@pytest.mark.parametrize("accept", [f"{JSON}, {EVENTS}", URQL, f"{EVENTS}, {JSON}", f"{EVENTS}, */*;q=0.1"])
@pytest.mark.parametrize("region", [US, EU])
def test_an_accept_that_offers_events_too_is_answered_in_json(site: Site, region: str, accept: str) -> None:
    client = site.client(region)
    for query in ("{ __typename }", "{ stats { __typename } }", WRITE):
        answer = ask(client, query, accept, variables={"id": f"f-{uuid.uuid4()}"} if query == WRITE else {})
        assert (answer.status_code, kind_of(answer)) == (200, GRAPHQL if accept == URQL else JSON), answer.text
        assert "data" in answer.json()


@pytest.mark.parametrize("accept", [f"{JSON}, {EVENTS}", f"{JSON}, {EVENTS};q=0.1", EVENTS.upper(), "*/*", "text/*"])
def test_a_subscription_is_a_stream_whatever_else_is_offered(site: Site, accept: str) -> None:
    client = site.client(US)
    start = client.write(entity()).json()["bookmark"]
    written = client.write(entity()).json()["bookmark"]
    with ask(client, FOLLOW, accept, variables={"after": start}) as answer:
        assert (answer.status_code, kind_of(answer)) == (200, EVENTS)
        assert first_event(answer) == ("next", {"data": {"changes": {"bookmark": written}}})


@pytest.mark.parametrize(
    ("query", "accept", "form"),
    [
        (FOLLOW, JSON, JSON),
        (FOLLOW, f"{GRAPHQL}, {JSON};q=0.9, multipart/mixed", GRAPHQL),
        (FOLLOW, f"{EVENTS};q=0, {JSON}", JSON),
        ("{ __typename }", "text/html", GRAPHQL),
        ("{ __typename }", "multipart/mixed", GRAPHQL),
    ],
)
def test_only_what_fits_nowhere_is_not_acceptable(site: Site, query: str, accept: str, form: str) -> None:
    answer = ask(site.client(US), query, accept)
    assert (answer.status_code, kind_of(answer)) == (406, form)
    assert answer.json()["errors"][0]["extensions"]["code"] == "not_acceptable"


@pytest.mark.parametrize("region", [US, EU])
def test_one_answer_is_sent_as_events_to_whoever_takes_nothing_else(site: Site, region: str) -> None:
    client, id_ = site.client(region), f"f-{uuid.uuid4()}"
    assert only_events(ask(client, "{ __typename }", EVENTS)) == {"data": {"__typename": "Query"}}
    written = ask(client, WRITE, EVENTS, variables={"id": id_})
    assert only_events(written) == {"data": {"upsertEntities": {"status": "OK"}}}
    read = f'{{ entities(filter: {{ ids: ["{id_}"] }}) {{ items {{ id name }} }} }}'
    found = ask(site.client(US), read, EVENTS)
    assert only_events(found) == {"data": {"entities": {"items": [{"id": id_, "name": "n"}]}}}


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("subscription { changes { nothing } }", {}, "bad_document"),
        ("subscription {", {}, "bad_document"),
        (FOLLOW, {"after": 7}, "bad_variables"),
        (FOLLOW, {"after": "nonsense"}, "bad_bookmark"),
        ("subscription { changes @skip(if: true) { bookmark } }", {}, "bad_document"),
        ("{ entities(first: 100000) { items { id } } }", {}, "query_too_expensive"),
        ('mutation { relate(relationships: [{id: "r", type: "t", source: "no", target: "ne"}]) { status } }', {},
         "dangling"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_as_events_to_whoever_asked_for_events(
    site: Site, query: str, variables: dict[str, Any], code: str
) -> None:
    answer = ask(site.client(US), query, EVENTS, variables=variables)
    assert answer.status_code == 200
    assert only_events(answer)["errors"][0]["extensions"]["code"] == code


def test_what_repeating_may_help_keeps_its_status_and_its_form(site: Site) -> None:
    expired = Client(site.us.url, site.issuer.token("acme", ttl_s=-3600))
    nobody = Client(site.us.url, None)
    elsewhere = site.client(US, tenant="hooli")
    for client, status, code in (
        (expired, 401, "token_expired"),
        (nobody, 401, "no_token"),
        (elsewhere, 421, "region_not_allowed"),
    ):
        answer = ask(client, FOLLOW, EVENTS)
        assert (answer.status_code, only_events(answer)["errors"][0]["extensions"]["code"]) == (status, code)
    reader = site.client(US, role="analyst")
    answer = ask(reader, WRITE, EVENTS, variables={"id": "x"})
    assert (answer.status_code, only_events(answer)["errors"][0]["extensions"]["code"]) == (403, "role_not_allowed")


def test_an_accept_on_several_lines_is_one_list(site: Site) -> None:
    token = site.issuer.token("acme")
    for first, second, form in (
        (b"text/html", b"application/json", JSON),
        (b"text/event-stream", b"image/png", EVENTS),
    ):
        with socket.create_connection(("127.0.0.1", site.us.config.api_port), timeout=10) as s:
            s.sendall(
                b"GET /graphql?query={__typename} HTTP/1.1\r\nhost: x\r\naccept: %b\r\naccept: %b\r\n"
                b"authorization: Bearer %b\r\nconnection: close\r\n\r\n" % (first, second, token.encode())
            )
            head = s.makefile("rb").read().lower()
        assert head.startswith(b"http/1.1 200"), head
        assert f"content-type: {form}".encode() in head


def test_a_page_of_changes_is_answered_unless_a_stream_is_preferred(site: Site) -> None:
    client = site.client(US)
    for accept in ("*/*", JSON, f"{EVENTS};q=0, {JSON}", f"{JSON}, {EVENTS};q=0.5", f"{JSON}, {EVENTS}", "text/html"):
        answer = client.get("/v1/changes?limit=1", {"accept": accept})
        assert "changes" in answer.json(), accept


@pytest.mark.parametrize(
    "more",
    [
        {"operationName": "", "variables": "", "extensions": ""},
        {"operationName": ""},
        {"variables": "null", "extensions": "null"},
        {"variables": "{}", "extensions": "{}"},
    ],
)
def test_a_get_parameter_without_a_value_is_not_given(site: Site, more: dict[str, str]) -> None:
    client = site.client(US)
    answer = client.http.get(client.url + "/graphql", params={"query": "{ __typename }", **more}, timeout=WAIT_S)
    assert answer.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "more",
    [
        {"operationName": ""},
        {"operationName": None, "variables": None, "extensions": None},
        {"operationName": "", "variables": "", "extensions": ""},
    ],
)
@pytest.mark.parametrize("query", ["{ __typename }", "query Named { __typename }"])
def test_an_empty_operation_name_is_none(site: Site, query: str, more: dict[str, Any]) -> None:
    client = site.client(US)
    body = {"query": query, **more}
    answer = client.http.post(client.url + "/graphql", json=body, timeout=WAIT_S)
    assert answer.json() == {"data": {"__typename": "Query"}}
