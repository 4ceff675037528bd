"""Clients that vanish at every point of a stream leave nothing behind: no place, no request in work, no connection."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import quote

import pytest

from .site import US, Site, entity

pytestmark = pytest.mark.postgres
CLIENTS = 1_000
AT_ONCE = 16
POINTS = ("in the request", "before the head", "in the head", "in an event", "behind an event")
TENANT = "massive"
WAIT_S = 60.0


def opening(site: Site, number: int) -> bytes:
    """A stream's request: of ``/v1/changes``, or a subscription by GET or by POST."""
    token = site.issuer.token(TENANT)
    lines = f"host: x\r\naccept: text/event-stream\r\nauthorization: Bearer {token}\r\n"
    document = "subscription { changes { bookmark } }"
    if number % 3 == 0:
        return f"GET /v1/changes HTTP/1.1\r\n{lines}\r\n".encode()
    if number % 3 == 1:
        return f"GET /graphql?query={quote(document)} HTTP/1.1\r\n{lines}\r\n".encode()
    body = json.dumps({"query": document}).encode()
    lines += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"POST /graphql HTTP/1.1\r\n{lines}\r\n".encode() + body


def vanish(site: Site, number: int) -> None:
    """Go at one of the points, every second time by a reset."""
    point, request = POINTS[number % len(POINTS)], opening(site, number)
    address = ("127.0.0.1", site.us.config.api_port)
    with closing(socket.create_connection(address, timeout=30)) as connection:
        if number % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(request[:-10] if point == "in the request" else request)
        if point == "in the head":
            connection.recv(1)
        elif point in ("in an event", "behind an event"):
            marker = b"data: " if point == "in an event" else b"\n\n"
            came = b""
            while marker not in came.partition(b"\r\n\r\n")[2] and b" 503 " not in came[:20]:
                came += connection.recv(200)


def in_use(site: Site, what: str) -> float:
    text = site.us.metrics()
    return sum(float(count) for count in re.findall(rf'^ig_quota_used{{what="{what}"}} (\S+)', text, re.MULTILINE))


def in_flight(site: Site) -> float:
    [count] = re.findall(r"^ig_http_in_flight (\S+)", site.us.metrics(), re.MULTILINE)
    return float(count)


def test_a_thousand_clients_that_vanish_at_every_point_leave_no_place_taken(site: Site) -> None:
    for _ in range(3):
        assert site.client(US, tenant=TENANT).write(entity()).status_code == 200
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: vanish(site, number), range(CLIENTS)))
    until = time.monotonic() + WAIT_S
    while in_use(site, "streams") and time.monotonic() < until:
        pass  # a scrape takes its time
    assert in_use(site, "streams") == 0
    assert in_use(site, "bodies") == 0
    assert in_flight(site) == 0
    with closing(socket.create_connection(("127.0.0.1", site.us.config.api_port), timeout=20)) as stream:
        stream.sendall(opening(site, 0))
        assert stream.recv(15).startswith(b"HTTP/1.1 200")
