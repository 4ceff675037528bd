"""Subscriptions: a change of any region arrives once, filtered, and a stream that ended goes on behind its bookmark."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from tests.machine import WAIT_S

from .site import EU, US, Site, entity, relationship

pytestmark = pytest.mark.postgres
FOLLOW = (
    "subscription ($after: String, $filter: ChangeFilter) { changes(after: $after, filter: $filter) "
    "{ bookmark objects { kind id name deleted from: sourceId } } }"
)


@contextmanager
def subscribed(site: Site, region: str, query: str = FOLLOW, **variables: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """Open a subscription of globex; yields an iterator over its events: ``id``, ``event`` and ``data``."""
    headers = {
        "authorization": f"Bearer {site.issuer.token('globex', 'analyst')}",
        "accept": "text/event-stream",
        "content-type": "application/json",
    }
    body = json.dumps({"query": query, "variables": variables})
    url = site.regions[region].url + "/graphql"
    with requests.post(url, data=body, headers=headers, stream=True, timeout=WAIT_S) as answer:
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/event-stream"
        yield _events(answer)


def _events(answer: requests.Response) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        if not line and event:
            yield event
            event = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = json.loads(value) if name == "data" and value else value


def write(site: Site, *operations: dict[str, Any]) -> str:
    return str(site.client(US, tenant="globex").write(*operations).json()["bookmark"])


@pytest.mark.parametrize("region", [US, EU])
def test_a_change_made_in_one_region_is_told_in_the_other(site: Site, region: str) -> None:
    start = write(site, entity())
    ids = [f"s-{uuid.uuid4()}" for _ in range(2)]
    with subscribed(site, region, after=start) as events:
        bookmark = write(site, entity(ids[0], name="Told"), entity(ids[1]), relationship(ids[0], ids[1], ids[0] + "-r"))
        event = next(events)
    assert (event["event"], event["id"]) == ("next", bookmark)
    change = event["data"]["data"]["changes"]
    assert change["bookmark"] == bookmark
    assert change["objects"][0] == {"kind": "entity", "id": ids[0], "name": "Told", "deleted": False, "from": None}
    assert change["objects"][2]["from"] == ids[0]


def test_a_subscriber_that_moves_to_another_region_misses_nothing_and_sees_nothing_twice(site: Site) -> None:
    start = write(site, entity())
    wanted = [write(site, entity()) for _ in range(12)]
    with subscribed(site, US, after=start) as events:
        seen = [next(events)["id"] for _ in range(5)]
    wanted += [write(site, entity()) for _ in range(3)]
    with subscribed(site, EU, after=seen[-1]) as events:
        seen += [next(events)["id"] for _ in range(10)]
    assert seen == wanted


def test_a_filter_passes_over_what_it_does_not_name(site: Site) -> None:
    start = write(site, entity())
    wanted = f"s-{uuid.uuid4()}"
    write(site, entity(type="malware"))
    told = write(site, entity(wanted, type="tool"), entity(type="malware"))
    deleted = write(site, {"op": "delete_entity", "id": wanted})
    with subscribed(site, US, after=start, filter={"types": ["tool"], "kinds": ["entity"]}) as events:
        first, second = next(events), next(events)
    assert [first["id"], second["id"]] == [told, deleted]
    assert [o["id"] for o in first["data"]["data"]["changes"]["objects"]] == [wanted]
    assert second["data"]["data"]["changes"]["objects"] == [
        {"kind": "entity", "id": wanted, "name": None, "deleted": True, "from": None}
    ]


def test_another_tenants_changes_are_not_told(site: Site) -> None:
    start = write(site, entity())
    site.client(US, tenant="acme").write(entity())
    bookmark = write(site, entity())
    with subscribed(site, US, after=start) as events:
        assert next(events)["id"] == bookmark


def test_a_subscriber_that_reads_nothing_holds_nobody_else_and_loses_nothing(site: Site) -> None:
    start = write(site, entity())
    bulk = [write(site, entity(name="Large", properties={"text": "x" * 50_000})) for _ in range(60)]
    asks = FOLLOW.replace("id name", "id name properties")
    with subscribed(site, US, asks, after=start) as slow:
        seen = [next(slow)["id"]]
        with subscribed(site, US, after=bulk[-1]) as quick:
            last = write(site, entity())
            assert next(quick)["id"] == last
    with subscribed(site, EU, after=seen[-1]) as resumed:
        seen += [next(resumed)["id"] for _ in bulk]
    assert seen == [*bulk, last]
