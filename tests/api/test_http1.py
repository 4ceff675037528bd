"""HTTP/1.1 to the letter where it matters: whose bytes are whose, who closes when, and what a client is told."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from intelgraph.api.http.policy import HttpPolicy
from intelgraph.model.head_refusals import HEAD_BYTES_MAX
from tests.machine import WAIT_S, stretched

from .site import US, Site

pytestmark = pytest.mark.postgres
ALIVE = b'{"alive":true}'


@pytest.fixture
def wire(site: Site) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", site.us.config.api_port), timeout=5)) as connection:
        yield connection


def get(path: str = "/healthz", *lines: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/{version}", "host: x", *lines, "", ""]).encode()


def answer(file: socket.SocketIO | object, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
    """Read one answer with a content length."""
    status = file.readline()  # type: ignore[attr-defined]
    headers: dict[str, str] = {}
    while line := file.readline().strip():  # type: ignore[attr-defined]
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    length = int(headers.get("content-length", 0)) if body else 0
    return int(status[9:12]), headers, file.read(length)  # type: ignore[attr-defined]


def test_requests_that_come_in_one_piece_are_answered_in_their_order(wire: socket.socket) -> None:
    count = 3 * HttpPolicy().pipelined_max
    wire.sendall(b"".join(get("/healthz" if n % 3 else "/nowhere") for n in range(count)))
    file = wire.makefile("rb")
    assert [answer(file)[0] for _ in range(count)] == [200 if n % 3 else 404 for n in range(count)]


def test_a_request_in_single_bytes_is_one_request(wire: socket.socket) -> None:
    for byte in get():
        wire.sendall(bytes([byte]))
    status, headers, body = answer(wire.makefile("rb"))
    assert (status, body) == (200, ALIVE)
    assert {"date", "content-type", "x-request-id", "ig-region", "ig-release"} <= set(headers)


def test_the_answer_to_head_has_no_body(wire: socket.socket) -> None:
    wire.sendall(get().replace(b"GET", b"HEAD") + get())
    file = wire.makefile("rb")
    status, headers, _ = answer(file, body=False)
    assert (status, int(headers["content-length"])) == (200, len(ALIVE))
    assert answer(file)[2] == ALIVE


@pytest.mark.parametrize(
    ("version", "lines", "stays"),
    [("1.1", (), True), ("1.1", ("connection: close",), False), ("1.0", (), False)],
)
def test_who_wants_the_connection_closed_gets_it_closed(
    wire: socket.socket, version: str, lines: tuple[str, ...], stays: bool
) -> None:
    wire.sendall(get("/healthz", *lines, version=version))
    file = wire.makefile("rb")
    status, headers, body = answer(file)
    assert (status, body, headers.get("connection") != "close") == (200, ALIVE, stays)
    if stays:
        wire.sendall(get())
        assert answer(file)[0] == 200
    else:
        assert file.read() == b""


def test_a_body_that_is_asked_for_is_sent_for(site: Site, wire: socket.socket) -> None:
    body = json.dumps({"query": "{ __typename }"}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n"
        f"authorization: Bearer {site.issuer.token('acme')}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    wire.sendall(head.encode())
    file = wire.makefile("rb")
    assert file.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert file.readline() == b"\r\n"
    wire.sendall(body)
    assert json.loads(answer(file)[2]) == {"data": {"__typename": "Query"}}


def test_a_body_that_nobody_wants_does_not_hide_the_answer_nor_become_a_request(wire: socket.socket) -> None:
    evil = get("/readyz")
    wire.sendall(b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (len(evil) * 100))
    file = wire.makefile("rb")
    assert answer(file)[0] == 401
    wire.sendall(evil * 100 + get())
    status, _, body = answer(file)
    assert (status, body) == (200, ALIVE)


def test_what_lies_here_of_a_body_that_nobody_wants_does_not_end_the_reading(wire: socket.socket) -> None:
    wire.settimeout(WAIT_S)
    wire.sendall(b"POST /v1/nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n" + b"x" * 300_000)
    file = wire.makefile("rb")
    assert answer(file)[0] == 404
    wire.sendall(b"x" * 600_000 + get())
    assert answer(file)[::2] == (200, ALIVE)


def test_a_body_that_is_far_too_large_ends_the_connection_after_the_answer(wire: socket.socket) -> None:
    wire.sendall(b"POST /v1/nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n")
    file = wire.makefile("rb")
    assert answer(file)[0] == 404
    with pytest.raises(OSError):
        while True:
            wire.sendall(b"x" * 65_536)


@pytest.mark.parametrize(("path", "status"), [("/v1/changes", 413), ("/v1/nowhere", 404)])
def test_a_client_that_sends_all_of_a_refused_body_first_is_told(
    site: Site, wire: socket.socket, path: str, status: int
) -> None:
    """An edge is one: where its connection is reset before it has read the answer, it says that nobody was reached."""
    lines = (
        f"POST {path} HTTP/1.1",
        "host: x",
        f"authorization: Bearer {site.issuer.token('acme')}",
        "content-type: application/json",
        "idempotency-key: far-too-large",
        "content-length: 12000000",
    )
    wire.settimeout(WAIT_S)
    wire.sendall("\r\n".join([*lines, "", ""]).encode() + b"x" * 12_000_000)
    assert answer(wire.makefile("rb"))[0] == status


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n folded: y\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
def test_what_two_readers_could_read_differently_is_refused_and_ends_the_connection(
    wire: socket.socket, raw: bytes
) -> None:
    wire.sendall(raw + get())
    file = wire.makefile("rb")
    status, headers, _ = answer(file)
    assert 400 <= status < 500
    assert file.read() == b"" or headers.get("connection") != "close"


def test_requests_before_what_is_none_are_answered_first(wire: socket.socket) -> None:
    wire.sendall(get() + get("/nowhere") + b"nonsense\r\n\r\n")
    file = wire.makefile("rb")
    told = [answer(file) for _ in range(3)]
    assert [status for status, _, _ in told] == [200, 404, 400]
    assert [headers.get("connection") for _, headers, _ in told] == [None, None, "close"]
    assert file.read() == b""


def test_a_body_that_breaks_off_is_refused_at_once(site: Site, wire: socket.socket) -> None:
    head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n"
    began = time.monotonic()
    wire.sendall(f"{head}authorization: Bearer {site.issuer.token('acme')}\r\n\r\n1\r\n{{\r\nnonsense".encode())
    file = wire.makefile("rb")
    status, headers, body = answer(file)
    assert (status, headers["connection"]) == (400, "close")
    assert b"what comes within its body is not well-formed HTTP" in body
    assert time.monotonic() - began < stretched(5, began)


def test_another_protocol_is_not_begun(wire: socket.socket) -> None:
    wire.sendall(get("/healthz", "connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABk"))
    file = wire.makefile("rb")
    status, headers, body = answer(file)
    assert (status, headers["connection"], body) == (200, "close", ALIVE)
    assert file.read() == b""


def test_a_target_may_name_the_host_too(wire: socket.socket) -> None:
    wire.sendall(get("http://x/healthz") + get("http://x"))
    file = wire.makefile("rb")
    assert [answer(file)[0] for _ in range(2)] == [200, 404]


def test_a_head_that_does_not_end_is_refused(wire: socket.socket) -> None:
    wire.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * (2 * HEAD_BYTES_MAX))
    file = wire.makefile("rb")
    assert answer(file)[0] == 431


QUESTION = json.dumps({"query": "{ __typename }"})
WRITE = json.dumps({"operations": [{"op": "upsert_entity", "entity": {"id": "trailed", "type": "t", "name": "n"}}]})


def chunked(site: Site, *trailers: str, path: str = "/graphql", body: str = QUESTION) -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", "transfer-encoding: chunked"]
    head += [f"authorization: Bearer {site.issuer.token('acme')}", f"idempotency-key: {uuid.uuid4()}", ""]
    return "\r\n".join([*head, f"{len(body):x}", body, "0", *trailers, "", ""]).encode()


@pytest.mark.parametrize(
    "trailer", ["ig-deadline-ms: abc", "idempotency-key: ", "authorization: x", "host: y", "content-type: text/plain"]
)
def test_a_trailer_changes_nothing_of_the_request(site: Site, wire: socket.socket, trailer: str) -> None:
    wire.sendall(chunked(site, trailer) + chunked(site, trailer, path="/v1/changes", body=WRITE) + get())
    file = wire.makefile("rb")
    assert answer(file)[::2] == (200, b'{"data":{"__typename":"Query"}}')
    status, _, told = answer(file)
    assert status == 200, told
    assert answer(file)[::2] == (200, ALIVE)


@pytest.mark.parametrize(
    "trailers",
    [["x: " + "y" * 2_000_000], ["x: " + "y" * 1_000] * 100, ["x: y"] * 101],
    ids=["a long one", "long together", "many"],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_trailers_beyond_the_bounds_of_a_head_are_refused_as_one(
    site: Site, wire: socket.socket, trailers: list[str], *, at_once: bool
) -> None:
    raw = chunked(site, *trailers)
    cut = raw.index(b"\r\n0\r\n") + 2
    pieces = [raw] if at_once else [raw[:cut], *(raw[at : at + 10_000] for at in range(cut, len(raw), 10_000))]
    with contextlib.suppress(ConnectionError):  # the worker takes no more
        for piece in pieces:
            wire.sendall(piece)
            time.sleep(0 if at_once else 0.01)
    file = wire.makefile("rb")
    status, headers, body = answer(file)
    assert (status, headers["connection"]) == (431, "close")
    assert json.loads(body)["errors"][0]["extensions"]["code"] == "head_too_large"


def test_a_head_and_trailers_each_within_the_bounds_are_taken(site: Site, wire: socket.socket) -> None:
    lines = [f"x-{number}: {'y' * 500}" for number in range(70)]
    raw = chunked(site, *lines)
    wire.sendall(raw.replace(b"\r\n", ("\r\n" + "\r\n".join(lines) + "\r\n").encode(), 1) + get())
    file = wire.makefile("rb")
    assert [answer(file)[0] for _ in range(2)] == [200, 200]


def test_a_client_that_has_gone_is_no_failure(site: Site) -> None:
    before = site.us.log_path.read_text().count('"client_gone"')
    body = json.dumps({"query": "{ stats { entities } }"}).encode()
    token = site.issuer.token("acme")
    head = f"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {token}\r\n"
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        with closing(socket.create_connection(("127.0.0.1", site.us.config.api_port), timeout=5)) as connection:
            connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.25)
        if site.us.log_path.read_text().count('"client_gone"') > before:
            break
    else:
        raise AssertionError("no client was seen to go")
    assert site.client(US).get("/healthz").status_code == 200
