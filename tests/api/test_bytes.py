"""Answers are bounded in bytes: pages end when they are full and say so, and what is too large in all is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.machine import WAIT_S

from .site import Client, Site, entity, relationship

PAGE, ANSWER, ROW = 4 * 2**20, 16 * 2**20, 12 * 2**20
LARGE, COUNT = 700_000, 14
"""Fourteen entities of 700 kB: three pages' worth."""
TENANT = "soylent"


@pytest.fixture(scope="module")
def large(site: Site) -> Client:
    client = site.client(tenant=TENANT)
    for number in range(COUNT):
        properties = {"n": number, "text": f"{number:07}" * (LARGE // 7)}
        answer = client.write(entity(f"large-{number:02}", properties=properties))
        assert answer.status_code == 200, answer.text
    client.write(entity("hub"), *(relationship("hub", f"large-{n:02}", f"to-{n:02}") for n in range(COUNT)))
    return client


def ask(client: Client, query: str, **variables: Any) -> Any:
    answer = client.http.post(f"{client.url}/graphql", json={"query": query, "variables": variables}, timeout=WAIT_S)
    assert len(answer.content) < ANSWER + PAGE
    return answer.json()


def test_a_list_that_is_full_says_so_and_goes_on(large: Client) -> None:
    query = """query ($after: Cursor) { entities(first: 1000, after: $after, filter: {types: ["malware"]})
        { completeness next items { id properties } } }"""
    seen: list[str] = []
    after = None
    pages = []
    while True:
        page = ask(large, query, after=after)["data"]["entities"]
        pages.append(page["completeness"])
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == ["hub", *(f"large-{n:02}" for n in range(COUNT))]
    assert pages == ["TRUNCATED", "TRUNCATED", "COMPLETE"]


def test_small_fields_of_large_objects_are_a_whole_list(large: Client) -> None:
    page = ask(large, "{ entities(first: 1000) { completeness next items { id name revision } } }")["data"]["entities"]
    assert page["completeness"] == "COMPLETE"
    assert len(page["items"]) == COUNT + 1


def test_a_list_that_could_not_say_that_it_is_cut_is_refused(large: Client) -> None:
    refused = ask(large, "{ entities(first: 1000) { items { id properties } } }")
    assert "data" not in refused
    assert refused["errors"][0]["extensions"]["code"] == "answer_too_large"


def test_edges_end_when_they_are_full(large: Client) -> None:
    query = """query ($after: Cursor) { entity(id: "hub") { edges(first: 1000, after: $after)
        { completeness next items { neighborId neighbor { properties } } } } }"""
    seen: list[str] = []
    after = None
    for _ in range(10):
        page = ask(large, query, after=after)["data"]["entity"]["edges"]
        seen += [item["neighborId"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
        assert page["completeness"] == "TRUNCATED"
    assert seen == [f"large-{n:02}" for n in range(COUNT)]


@pytest.mark.parametrize(
    "query",
    [
        "{" + " ".join(f"a{n}: entities(first: 1000) {{ next items {{ properties }} }}" for n in range(8)) + "}",
        "{" + " ".join(f'a{n}: entity(id: "large-00") {{ properties }}' for n in range(40)) + "}",
        '{ neighborhood(of: ["hub"], nodes: 1000) { items { entity { a: properties b: properties } } } }',
    ],
)
def test_what_is_too_large_in_all_is_refused_for_good(large: Client, query: str) -> None:
    refused = ask(large, query)
    assert refused["errors"][0]["extensions"]["code"] == "answer_too_large"
    assert "retry_after_s" not in refused["errors"][0]["extensions"]


def test_a_page_of_objects_ends_when_it_is_full(large: Client) -> None:
    seen: list[str] = []
    after = ""
    pages = 0
    while after is not None:
        answer = large.get(f"/v1/entities?limit=1000{f'&after={after}' if after else ''}")
        assert answer.status_code == 200
        assert len(answer.content) <= PAGE + LARGE + 1000
        page = answer.json()
        seen += [item["id"] for item in page["objects"]]
        after = page["next"]
        pages += 1
    assert seen == ["hub", *(f"large-{n:02}" for n in range(COUNT))]
    assert pages == 3


def test_a_page_of_changes_ends_when_it_is_full_and_says_that_there_are_more(large: Client) -> None:
    after, told, more = "", [], True
    while more:
        answer = large.get(f"/v1/changes?limit=1000{f'&after={after}' if after else ''}")
        assert answer.status_code == 200
        assert len(answer.content) <= PAGE + LARGE + 1000
        page = answer.json()
        told += [made["id"] for change in page["changes"] for made in change["objects"] if made["kind"] == "entity"]
        after, more = page["next"], page["more"]
    assert told[:COUNT] == [f"large-{n:02}" for n in range(COUNT)]


def test_the_past_is_bounded_too(site: Site, large: Client) -> None:
    for number in range(8):
        large.write(entity("often", properties={"text": f"{number}" * LARGE}))
    seen, after = 0, None
    query = """query ($after: Cursor) { history(id: "often", first: 1000, after: $after)
        { completeness next items { object { properties } } } }"""
    for _ in range(10):
        page = ask(large, query, after=after)["data"]["history"]
        seen += len(page["items"])
        after = page["next"]
        if after is None:
            break
    assert seen == 8


def test_a_write_is_refused_by_its_size_as_it_is_stored(site: Site) -> None:
    client = site.client(tenant="globex")
    numbers = [1e63] * 400_000
    body = json.dumps({"operations": [entity("wide", properties={"numbers": numbers})]}).replace("1e+63", "1e63")
    assert len(body) < 4 * 2**20
    answer = client.post(body.encode())
    assert (answer.status_code, answer.json()["code"]) == (413, "write_too_large")
    assert client.entity("wide").status_code == 404
    assert client.write(entity("wide", properties={"numbers": numbers[:1000]})).status_code == 200


def test_the_database_refuses_it_too(site: Site) -> None:
    operations = json.dumps([entity("wider", properties={"numbers": [1e60] * 210_000})])
    answer = json.loads(
        site.us.sql("select ig.append('both', 1, 'globex', 'wider', '\\x00', $1::text::jsonb)::text", operations)
    )
    assert (answer["status"], answer["code"]) == ("refused", "write_too_large")
