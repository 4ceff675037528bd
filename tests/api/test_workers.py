"""Several workers behind one port are one API: their numbers are added up, and they stop together and soon."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
import requests

from tests.machine import WAIT_S, is_over, stretched

from .site import EU, US, Site, entity, two_regions

pytestmark = pytest.mark.postgres
WORKERS = 3


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with two_regions(tmp_path_factory.mktemp("crowd")) as site:
        site.us.stop("api")
        site.us.start("api", "--workers", str(WORKERS))
        site.us.wait_ready()
        yield site


def counted(site: Site) -> int:
    text = site.us.metrics()
    [count] = re.findall(r'ig_http_requests_total\{method="POST",route="/v1/changes",status="200"\} (\d+)', text)
    return int(count)


@pytest.mark.prove
def test_whichever_worker_is_asked_the_numbers_are_those_of_all(crowd: Site) -> None:
    for _ in range(40):
        assert crowd.client(US).write(entity()).status_code == 200
    assert {counted(crowd) for _ in range(10)} == {40}


def test_reads_with_bookmarks_are_never_stale(crowd: Site) -> None:
    us, eu = crowd.client(US), crowd.client(EU)
    for n in range(300):
        answer = us.write(entity("counter", properties={"n": n})).json()
        read = eu.entity("counter", answer["bookmark"])
        assert (read.status_code, read.json().get("properties")) == (200, {"n": n})


def test_the_staleness_that_is_told_is_never_below_the_truth_nor_far_above_it(crowd: Site) -> None:
    us, eu = crowd.client(US), crowd.client(EU)
    us.write(entity("clock", properties={"at_ns": time.monotonic_ns()}))
    began, excess = time.monotonic(), []
    for _ in range(100):
        us.write(entity("clock", properties={"at_ns": time.monotonic_ns()}))
        read = eu.entity("clock")
        told_ms = int(read.headers["ig-staleness-ms"])
        missing = us.entity("clock").json()["revision"] - read.json()["revision"]
        true_ms = (time.monotonic_ns() - read.json()["properties"]["at_ns"]) / 1e6 if missing else 0.0
        excess.append(told_ms - true_ms)
    assert sorted(excess)[len(excess) // 2] < stretched(100, began)


def until_in_work(crowd: Site, wanted: int) -> None:
    """Wait until so many requests are in work at EU; a worker writes the number when it has answered another one."""
    began_s = time.monotonic()
    while f"\nig_http_in_flight {wanted}.0\n" not in crowd.eu.metrics():
        assert not is_over(WAIT_S, began_s), f"never were {wanted} requests in work"
        crowd.client(EU).entity("counter")


def test_what_is_in_work_when_the_server_stops_is_answered(crowd: Site) -> None:
    never = crowd.us.sql("select 'us-east/1/1/' || (last_value + 1000000) from ig.position")
    answers: list[requests.Response] = []

    def read_on() -> None:
        """Each waits for its bookmark and is refused; one follows the other until nobody listens."""
        with contextlib.suppress(requests.ConnectionError):
            while True:
                answers.append(crowd.client(EU).entity("counter", never))

    reader = threading.Thread(target=read_on)
    reader.start()
    until_in_work(crowd, 1)
    crowd.eu.stop("api")
    reader.join(WAIT_S)
    answer = answers[-1]
    assert (answer.status_code, answer.headers.get("connection")) == (503, "close"), answer.text
    assert answer.json()["code"] == "too_far_behind"
    crowd.eu.start("api")
    crowd.eu.wait_ready()


def test_a_server_with_open_streams_stops_within_seconds_and_leaves_nobody(crowd: Site) -> None:
    token = crowd.issuer.token("acme")
    server = psutil.Process(crowd.us.processes["api"].pid)
    family = [server, *server.children(recursive=True)]
    assert len(crowd.us.workers()) == WORKERS
    streams = [socket.create_connection(("127.0.0.1", crowd.us.config.api_port), timeout=10) for _ in range(5)]
    for stream in streams:
        stream.sendall(
            b"GET /v1/changes HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nauthorization: Bearer "
            + token.encode()
            + b"\r\n\r\n"
        )
        assert stream.recv(100).startswith(b"HTTP/1.1 200")
    began = time.monotonic()
    crowd.us.stop("api")
    assert time.monotonic() - began < stretched(4, began)
    assert not any(process.is_running() for process in family)
    for stream in streams:
        stream.close()
