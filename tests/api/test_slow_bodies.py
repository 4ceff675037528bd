"""Bodies that come slowly: bounded for each tenant, in number and in bytes, and nobody else waits for them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from intelgraph.api.policy import WorkerPolicy
from tests.machine import is_over

from .layers import LAYERS, Layers, layers_before
from .site import US, Site, entity
from .test_vanishing import in_use

pytestmark = pytest.mark.postgres
GREEDY, OTHER = "cyberdyne", "tyrell"
MIB = 1 << 20
UNREACHED = b"ig-edge-unreached"


@pytest.fixture(scope="module")
def layers(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layers]:
    with layers_before(site, tmp_path_factory.mktemp("layers")) as found:
        yield found


def begin(port: int, token: str, length: int, sent: bytes = b"{") -> socket.socket:
    """Send a write's head and the beginning of its body."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(
        f"POST /v1/changes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nidempotency-key: slow\r\n"
        f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n".encode()
    )
    connection.sendall(sent)
    return connection


def until_in_use(site: Site, what: str, wanted: float) -> None:
    began_s = time.monotonic()
    while (found := in_use(site, what)) != wanted:
        assert not is_over(30, began_s), (what, found)


def read_status(connection: socket.socket) -> bytes:
    return connection.recv(4_096)


@pytest.mark.parametrize("layer", LAYERS)
def test_one_tenants_slow_bodies_have_a_share_and_leave_the_others_theirs(
    site: Site, layers: Layers, layer: str
) -> None:
    token, port = site.issuer.token(GREEDY), layers.ports[layer]
    with ExitStack() as slow:
        for _ in range(WorkerPolicy().bodies.each):
            slow.enter_context(closing(begin(port, token, 100)))
        until_in_use(site, "bodies", WorkerPolicy().bodies.each)
        said = UNREACHED
        while UNREACHED in said:  # on a busy machine the edge may think for a moment that nobody is there
            said = read_status(slow.enter_context(closing(begin(port, token, 100))))
        assert said.startswith(b"HTTP/1.1 503")
        assert b'"overloaded"' in said
        assert site.client(US, tenant=OTHER).write(entity()).status_code == 200
        limits = site.client(US).get("/readyz").json()["limits"]
        assert "bodies were refused" in limits["bodies"]
        assert GREEDY not in limits["bodies"]
        # What the region's agent asks, and makes a finding of: the limits that only the worker knows.
        assert site.client(US).get("/readyz?writes").json()["limits"] == {"bodies": limits["bodies"]}
    until_in_use(site, "bodies", 0)


def test_what_has_arrived_of_slow_bodies_is_bounded_in_bytes(site: Site) -> None:
    token, port = site.issuer.token(GREEDY), site.us.config.api_port
    part = b"{" + b" " * (7 * MIB)
    with ExitStack() as slow:
        whole = WorkerPolicy().body_bytes.each // len(part)
        for number in range(whole):
            slow.enter_context(closing(begin(port, token, 8 * MIB, part)))
            until_in_use(site, "body_bytes", len(part) * (number + 1))
        over = slow.enter_context(closing(begin(port, token, 8 * MIB, part)))
        assert b'"overloaded"' in read_status(over)
        assert in_use(site, "body_bytes") == len(part) * whole
        assert site.client(US, tenant=OTHER).write(entity()).status_code == 200
    until_in_use(site, "body_bytes", 0)
    until_in_use(site, "bodies", 0)
