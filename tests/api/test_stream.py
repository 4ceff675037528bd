"""The feed as server-sent events: in order, resumable, bounded, and ended with a reason."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from intelgraph.api.policy import StreamPolicy
from tests.machine import stretched

from .site import EU, US, Site, entity

pytestmark = pytest.mark.postgres


@dataclass(frozen=True, kw_only=True)
class Event:
    id: str | None
    name: str | None
    data: Any


@contextmanager
def streaming(site: Site, region: str, token: str, *, after: str | None = None, timeout_s: float = 10) -> Iterator[Any]:
    """Open a stream over a plain socket; yields an iterator over its events and comments."""
    with closing(socket.create_connection(("127.0.0.1", site.regions[region].config.api_port), timeout=timeout_s)) as s:
        resume = f"last-event-id: {after}\r\n" if after else ""
        s.sendall(
            f"GET /v1/changes HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n{resume}"
            f"authorization: Bearer {token}\r\n\r\n".encode()
        )
        yield events(s.makefile("rb"))


def events(file: Any) -> Iterator[Event]:
    """Read the head, then events out of the chunked body until it ends."""
    status = file.readline()
    assert b" 200 " in status, status + file.read(2_000)
    while file.readline().strip():
        pass
    text = b""
    # Without its last chunk the body is not whole: the connection was broken off.
    while size := int(file.readline() or b"0", 16):
        text += file.read(size)
        file.readline()
        while b"\n\n" in text:
            block, _, text = text.partition(b"\n\n")
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if not line.startswith(":"))
            if fields:
                yield Event(id=fields.get("id"), name=fields.get("event"), data=json.loads(fields["data"]))


def end_of(text: str) -> Any:
    """The data of an answer that is one ``end`` event."""
    name, data, *rest = text.split("\n")
    assert (name, rest) == ("event: end", ["", ""])
    return json.loads(data.removeprefix("data: "))


@pytest.mark.parametrize("region", [US, EU])
def test_every_write_arrives_once_in_order_and_the_stream_resumes_behind_the_last(site: Site, region: str) -> None:
    writer, token = site.client(US, tenant="globex"), site.issuer.token("globex", "analyst")
    start = writer.write(entity()).json()["bookmark"]
    names = [f"{region}-{n}" for n in range(30)]
    with streaming(site, region, token, after=start) as stream:
        first = [writer.write(entity(name)).json()["bookmark"] for name in names[:20]]
        got = [next(stream) for _ in range(20)]
    assert [event.id for event in got] == first
    assert [event.data["objects"][0]["id"] for event in got] == names[:20]
    assert {event.name for event in got} == {"change"}
    rest = [writer.write(entity(name)).json()["bookmark"] for name in names[20:]]
    with streaming(site, region, token, after=first[14]) as stream:
        assert [next(stream).id for _ in range(15)] == first[15:] + rest


def test_a_stream_says_something_soon_after_a_write(site: Site) -> None:
    writer = site.client(US)
    start = writer.write(entity()).json()["bookmark"]
    with streaming(site, US, site.issuer.token("acme"), after=start) as stream:
        writer.write(entity())
        next(stream)
        began = time.monotonic()
        writer.write(entity())
        next(stream)
        assert time.monotonic() - began < stretched(0.8, began)


def test_a_stream_sees_its_own_tenant_only(site: Site) -> None:
    mine, theirs = site.client(US, tenant="acme"), site.client(US, tenant="globex")
    start = mine.write(entity()).json()["bookmark"]
    with streaming(site, US, site.issuer.token("acme"), after=start) as stream:
        theirs.write(entity("not-mine"))
        mine.write(entity("mine"))
        assert next(stream).data["objects"][0]["id"] == "mine"


def test_a_stream_ends_with_a_reason_when_its_token_expires(site: Site) -> None:
    token = site.issuer.token("acme", ttl_s=-3)  # expired, but within the leeway for clocks
    start = site.client(US).write(entity()).json()["bookmark"]
    with streaming(site, US, token, after=start) as stream:
        last = list(stream)[-1]
    assert (last.name, last.data["code"], last.data["resumes"]) == ("end", "token_expired", True)


def test_a_stream_that_may_not_be_served_here_is_refused_before_it_begins(site: Site) -> None:
    client = site.client(US, tenant="hooli")
    for asking, resume, status, code in (
        (client, {}, 421, "region_not_allowed"),
        (site.client(US), {"last-event-id": "nonsense"}, 400, "bad_bookmark"),
    ):
        answer = asking.get("/v1/changes", {"accept": "text/event-stream", **resume})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/event-stream")
        assert end_of(answer.text)["code"] == code


def test_a_client_that_reads_nothing_holds_nobody_else(site: Site) -> None:
    writer, token = site.client(US, tenant="globex"), site.issuer.token("globex")
    large = "x" * 60_000
    for n in range(100):
        writer.write(entity(f"large-{n}", properties={"text": large}))
    idle = [socket.create_connection(("127.0.0.1", site.us.config.api_port), timeout=10) for _ in range(10)]
    try:
        for connection in idle:
            connection.sendall(
                b"GET /v1/changes HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nauthorization: Bearer "
                + token.encode()
                + b"\r\n\r\n"
            )
        time.sleep(0.5)
        start = writer.write(entity()).json()["bookmark"]
        with streaming(site, US, token, after=start) as stream:
            began = time.monotonic()
            written = writer.write(entity()).json()["bookmark"]
            assert next(stream).id == written
            assert time.monotonic() - began < stretched(2, began)
    finally:
        for connection in idle:
            connection.close()


def test_one_tenant_cannot_take_all_the_streams_of_a_worker(site: Site) -> None:
    greedy, other = site.issuer.token("cyberdyne"), site.client(US, tenant="tyrell")
    with ExitStack() as opened:
        for _ in range(StreamPolicy().open.each):
            connection = socket.create_connection(("127.0.0.1", site.us.config.api_port), timeout=10)
            opened.enter_context(closing(connection))
            connection.sendall(_opening(greedy))
            assert connection.recv(20).startswith(b"HTTP/1.1 200")
        told = site.client(US, tenant="cyberdyne").get("/v1/changes", {"accept": "text/event-stream"})
        assert told.status_code == 503
        answer = end_of(told.text)
        assert (answer["code"], answer["facts"]) == (
            "overloaded",
            {"open": StreamPolicy().open.each, "limit": StreamPolicy().open.each},
        )
        start = other.write(entity()).json()["bookmark"]
        with streaming(site, US, site.issuer.token("tyrell"), after=start) as stream:
            written = other.write(entity()).json()["bookmark"]
            assert next(stream).id == written
    # Streams whose clients have gone do not count.
    for _ in range(100):
        with closing(socket.create_connection(("127.0.0.1", site.us.config.api_port), timeout=10)) as again:
            again.sendall(_opening(greedy))
            if again.recv(20).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.05)
    raise AssertionError("the streams of clients that have gone are still counted")


def _opening(token: str) -> bytes:
    head = f"GET /v1/changes HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nauthorization: Bearer {token}"
    return head.encode() + b"\r\n\r\n"
