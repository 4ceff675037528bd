"""The door's client goes where the tenant may be, tries again what may pass, and writes once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.client import api_client
from intelgraph.client.api_client import ApiClient, ClientPolicy, Reply, backoff_s, check_url
from intelgraph.model.errors import IntelGraphError, PermanentError, TransientError
from intelgraph.operations.edges import Edges
from intelgraph.operations.transfer.access import AccessOptions, open_access, reach
from tests.fakes.door import FakeDoor, Refusal, Store
from tests.machine import stretched
from tests.operations.sites import PERSON, site_of

QUICK = ClientPolicy(retry_budget_s=2.0, backoff_first_s=0.01, backoff_max_s=0.05, connect_timeout_s=1.0)
ENTITY = {"id": "a", "type": "t", "name": "A"}
BODY = orjson.dumps({"operations": [{"op": "upsert_entity", "entity": ENTITY}]})


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), timeout=20))


def client(url: str, **more: Any) -> ApiClient:
    return ApiClient(url=url, token=lambda: "acme:writer", policy=QUICK, **more)


@pytest.mark.parametrize("trouble", ["503", "drop", "lose"])
def test_a_write_in_trouble_is_sent_again_under_its_key_and_counts_once(trouble: str) -> None:
    async def test() -> None:
        async with FakeDoor().serve() as door, client(door.url) as acme:
            door.trouble.extend([trouble, trouble])
            reply = await acme.post("/v1/changes", body=BODY, key="k1")
            assert reply.status == 200
            assert door.store.of("acme", "entity")["a"]["revision"] == 1
            assert acme.retries == 2

    run(test)


def test_no_body_reaches_a_region_where_the_tenant_may_not_be() -> None:
    async def test() -> None:
        store = Store()
        us = FakeDoor(region="us-east", store=store, allowed=["eu-west"])
        eu = FakeDoor(region="eu-west", store=store, allowed=["eu-west"])
        async with us.serve(), eu.serve():
            async with client(us.url, edges={"us-east": us.url, "eu-west": eu.url}) as acme:
                for number in range(3):
                    assert (await acme.post("/v1/changes", body=BODY, key=f"k{number}")).status == 200
                assert (await acme.get("/v1/entities/a")).status == 200
            assert us.requests == [("GET", "/v1/entities")]
            assert (us.bodies, eu.bodies) == (0, 3)

    run(test)


def test_no_body_reaches_a_region_that_another_only_named() -> None:
    """The tenant has moved; the region that took its writes does not know yet where it moved on to."""

    async def test() -> None:
        us = FakeDoor(region="us-east")
        eu = FakeDoor(region="eu-west", allowed=["eu-north"])
        async with us.serve(), eu.serve(), client(us.url, edges={"us-east": us.url, "eu-west": eu.url}) as acme:
            assert (await acme.post("/v1/changes", body=BODY, key="k1")).status == 200
            us.allowed = ("eu-west",)
            with pytest.raises(PermanentError) as refused:
                await acme.post("/v1/changes", body=BODY, key="k2")
            assert refused.value.denied.code == "region_not_allowed"
            assert [method for method, _ in eu.requests] == ["GET"]

    run(test)


def test_a_region_that_refuses_a_body_is_sent_no_other() -> None:
    async def test() -> None:
        async with FakeDoor().serve() as us, client(us.url) as acme:
            assert (await acme.post("/v1/changes", body=BODY, key="k1")).status == 200
            us.allowed = ("eu-west",)
            assert (await acme.post("/v1/changes", body=BODY, key="k2")).status == 421
            with pytest.raises(PermanentError):
                await acme.post("/v1/changes", body=BODY, key="k3")
            assert [method for method, _ in us.requests] == ["GET", "POST", "POST", "GET"]

    run(test)


def test_whoever_only_asks_where_to_write_waits_as_long_as_the_door_says(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float | None] = []

    def noted(failures: int, retry_after_s: float | None, policy: ClientPolicy, chance: float) -> float:
        waited.append(retry_after_s)
        return backoff_s(failures, None, policy, chance)

    async def refused(_door: FakeDoor, request: web.Request) -> web.StreamResponse:
        if waited:
            raise Refusal(404, "not_found")
        return web.json_response({"code": "overloaded"}, status=503, headers={"Retry-After": "30"})

    async def test() -> None:
        monkeypatch.setattr(api_client, "backoff_s", noted)
        monkeypatch.setattr(FakeDoor, "_route", refused)
        async with FakeDoor().serve() as door, client(door.url) as acme:
            with pytest.raises(PermanentError):
                await acme.post("/v1/changes", body=BODY, key="k")
        assert waited == [30.0]

    run(test)


def test_a_read_follows_a_421_too() -> None:
    async def test() -> None:
        us = FakeDoor(region="us-east", allowed=["eu-west"])
        eu = FakeDoor(region="eu-west", allowed=["eu-west"])
        async with us.serve(), eu.serve(), client(us.url, edges={"eu-west": eu.url}) as acme:
            assert (await acme.get("/v1/entities")).region == "eu-west"

    run(test)


def test_where_no_allowed_edge_is_known_the_refusal_is_the_doors() -> None:
    async def test() -> None:
        async with FakeDoor(allowed=["eu-west"]).serve() as us, client(us.url) as acme:
            assert (await acme.get("/v1/entities")).status == 421
            with pytest.raises(PermanentError) as refused:
                await acme.post("/v1/changes", body=BODY, key="k")
            assert refused.value.denied.code == "region_not_allowed"
            assert us.bodies == 0

    run(test)


def test_a_region_that_was_named_is_asked_and_no_other(tmp_path: Path) -> None:
    """Who names a region that may not serve the tenant wants to see its refusal."""

    async def test() -> None:
        us = FakeDoor(region="us-east", allowed=["eu-west"])
        eu = FakeDoor(region="eu-west", allowed=["eu-west"])
        async with us.serve(), eu.serve():
            edges = {"us-east": us.url, "eu-west": eu.url}
            found = Edges(site=site_of(tmp_path), url=us.url, edges=edges)
            url, known = reach(AccessOptions(tenant="acme", region="us-east"), found)
            async with client(url, edges=known) as acme:
                assert (await acme.get("/v1/entities")).status == 421
                with pytest.raises(PermanentError) as refused:
                    await acme.check_tenant()
                assert refused.value.denied.code == "region_not_allowed"
            url, known = reach(AccessOptions(tenant="acme"), found)
            async with client(url, edges=known) as acme:
                assert (await acme.get("/v1/entities")).region == "eu-west"

    run(test)


def test_a_region_that_dies_is_left_for_another() -> None:
    async def test() -> None:
        store = Store()
        first = FakeDoor(region="us-east", store=store, allowed=["us-east", "eu-west"])
        other = FakeDoor(region="eu-west", store=store, allowed=["us-east", "eu-west"])
        async with other.serve():
            edges = {"us-east": "http://127.0.0.1:1", "eu-west": other.url}
            async with first.serve() as front, client(front.url, edges=edges) as acme:
                assert (await acme.get("/v1/entities")).region == "us-east"  # and from now on to its dead edge
                front.region = "eu-west"
                assert (await acme.post("/v1/changes", body=BODY, key="k")).region == "eu-west"

    run(test)


def test_an_unreachable_door_is_given_up_in_bounded_time_with_a_type() -> None:
    async def test() -> None:
        began = time.monotonic()
        async with client("http://127.0.0.1:1") as acme:
            with pytest.raises(TransientError) as refused:
                await acme.get("/v1/entities")
        assert refused.value.denied.code == "door_unreachable"
        assert time.monotonic() - began < stretched(QUICK.retry_budget_s + 1, began)

    run(test)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 200_000, b'{"a": ' * 200_000, b"\xff"])
def test_an_answer_that_cannot_be_read_is_refused(body: bytes) -> None:
    reply = Reply(status=200, body=body, region=None, bookmark=None, retry_after_s=None)
    with pytest.raises(PermanentError, match="is not JSON"):
        reply.json()
    assert replace(reply, status=502).error().denied.code == "bad_answer"


def test_whoever_waits_is_told_why_now_and_then_and_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "_SAID_AFTER_S", 0.3)
    monkeypatch.setattr(api_client, "_SAID_EVERY_S", 0.5)
    told: list[tuple[str, float]] = []

    async def test() -> None:
        async with client(
            "http://127.0.0.1:9", on_wait=lambda error, left_s: told.append((str(error), left_s))
        ) as acme:
            with pytest.raises(TransientError):
                await asyncio.gather(*(acme.get("/v1/entities") for _ in range(4)))

    run(test)
    lefts_s = [left_s for _, left_s in told]
    assert {reason for reason, _ in told} == {"the API at http://127.0.0.1:9 cannot be reached: Connection refused"}
    assert lefts_s == sorted(lefts_s, reverse=True) and lefts_s[0] <= QUICK.retry_budget_s - 0.3
    assert 1 <= len(told) <= 4, "once for all requests together"


def test_a_permanent_refusal_is_not_tried_again() -> None:
    async def test() -> None:
        async with FakeDoor().serve() as door, client(door.url) as acme:
            assert (await acme.get("/v1/entities/nobody")).problem()[0] == "not_found"
            assert len(door.requests) == 1

    run(test)


@given(st.integers(1, 10_000), st.none() | st.floats(0, 100), st.floats(0, 1))
def test_waiting_is_bounded_and_never_shorter_than_the_door_asked(
    failures: int, after: float | None, chance: float
) -> None:
    wait_s = backoff_s(failures, after, QUICK, chance)
    if after is None:
        assert 0 < wait_s <= QUICK.backoff_max_s
    else:
        assert after <= wait_s <= after + QUICK.backoff_max_s


@pytest.mark.parametrize("url", ["http://localhost:8080", "https://h.example/", "http://[::1]:80", "http://h:65535"])
def test_a_url_of_a_door_is_taken_without_its_last_slash(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8080",
        "ftp://x",
        "http://",
        "http://x/?a=b",
        "http://[::1",
        "http://:80",
        "http://h:99999",
        "http://h:0",
        "http://h:²",
        "http://a..b",
        f"http://{'a' * 64}",
        "http://user:pw@127.0.0.1:1",
        "http://@127.0.0.1:1",
        "http://h\n.example",
        "http://h/\x01",
        "http://h/\x7f",
        "http://h/\x9b",
        "http://h/a b",
        " http://h",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(IntelGraphError, match="refused") as caught:
        check_url(url)
    assert "pw" not in caught.value.denied.reason
    assert caught.value.denied.reason.isprintable()


@pytest.mark.parametrize("typed", ["x\x01", "x\x7f", "x y", "x\n", "é", ""])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(typed: str) -> None:
    with pytest.raises(IntelGraphError, match="not one line of visible ASCII characters"):
        open_access(AccessOptions(tenant="t", url="http://127.0.0.1:1", token=typed), PERSON, role="analyst")
