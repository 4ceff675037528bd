"""One table of what is refused of a request's head or body's kind, the same at the worker and at both edges.

``docs/http.md`` shows it. What is not here is the same because only the worker judges it.
"""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from intelgraph.model.head_refusals import HEAD_BYTES_MAX, HEADERS_MAX

from .layers import LAYERS, Layers, ask, layers_before
from .site import Site, entity

pytestmark = pytest.mark.postgres
HOST, JSON, TOKEN = "host: x", "content-type: application/json", "authorization: Bearer {token}"
QUERY = json.dumps({"query": "{ __typename }"})
FILLER = "y" * 1_000


@pytest.fixture(scope="module")
def layers(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layers]:
    with layers_before(site, tmp_path_factory.mktemp("layers")) as found:
        yield found


def head(path: str, *lines: str, method: str = "GET", version: str = "1.1") -> str:
    return "\r\n".join([f"{method} {path} HTTP/{version}", *lines, "", ""])


def post(path: str, *lines: str, body: str = QUERY, length: bool = True) -> str:
    counted = (f"content-length: {len(body)}",) if length else ()
    return head(path, HOST, TOKEN, "idempotency-key: k", *lines, *counted, method="POST") + body


def posts(*lines: str, status: int, code: str | None) -> dict[str, tuple[str, int, str | None]]:
    """The same at every route that takes a body."""
    return {
        f"{path} with {' and '.join(lines)}": (post(path, *lines), status, code) for path in ("/graphql", "/v1/changes")
    }


CHUNKED = "\r\n".join([f"{len(QUERY):x}", QUERY, "0", "", ""])
WEBSOCKET = ("connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: eA==")
REFUSED: dict[str, tuple[str, int, str | None]] = {
    **posts("content-type: text/plain", status=415, code="unsupported_media_type"),
    **posts("content-type: application/json; charset=latin-1", status=415, code="unsupported_media_type"),
    **posts(JSON, "content-encoding: gzip", status=415, code="unsupported_media_type"),
    **posts(JSON, "content-encoding: br", status=415, code="unsupported_media_type"),
    **posts('content-type: Application/JSON; Charset="ISO-8859-1"', status=415, code="unsupported_media_type"),
    **{
        f"transfer-encoding: {coding}": (
            post("/graphql", JSON, f"transfer-encoding: {coding}", body=CHUNKED, length=False),
            400,
            "unsupported_transfer_coding",
        )
        for coding in ("gzip", "gzip, chunked", "identity", "banana")
    },
    "two transfer codings in two lines": (
        post("/graphql", JSON, "transfer-encoding: gzip", "transfer-encoding: chunked", body=CHUNKED, length=False),
        400,
        "unsupported_transfer_coding",
    ),
    "a length and a transfer coding": (
        post("/graphql", JSON, "transfer-encoding: chunked", body=CHUNKED),
        400,
        "bad_request",
    ),
    "two lengths": (post("/graphql", JSON, "content-length: 3"), 400, "bad_request"),
    "a length that is no number": (
        post("/graphql", JSON, "content-length: 1e3", length=False),
        400,
        "bad_request",
    ),
    "no host": (head("/healthz"), 400, "bad_request"),
    "two hosts": (head("/healthz", HOST, "host: y"), 400, "bad_request"),
    "the same host twice": (head("/healthz", HOST, HOST), 400, "bad_request"),
    "a host that is none": (head("/healthz", "host: a/b"), 400, "bad_request"),
    "two tokens": (head("/v1/entities?limit=1", HOST, TOKEN, TOKEN), 400, "bad_request"),
    "a long header": (head("/healthz", HOST, "x: " + "y" * (HEAD_BYTES_MAX + 2_000)), 431, "head_too_large"),
    "many long headers": (head("/healthz", HOST, *(f"x{n}: {FILLER}" for n in range(70))), 431, "head_too_large"),
    "a long header, repeated": (head("/healthz", HOST, *[f"x: {FILLER}"] * 70), 431, "head_too_large"),
    "a long target": (head("/healthz?" + "y" * (HEAD_BYTES_MAX + 2_000), HOST), 431, "head_too_large"),
    "many headers": (head("/healthz", HOST, *(f"x{n}: y" for n in range(HEADERS_MAX))), 431, "head_too_large"),
    "a websocket": (head("/graphql", HOST, TOKEN, *WEBSOCKET), 400, "no_upgrade"),
    "another protocol": (head("/healthz", HOST, "connection: upgrade", "upgrade: irc"), 400, "no_upgrade"),
    "the numbers": (head("/metrics", HOST), 404, "no_such_route"),
    "the numbers, by a detour": (head("/v1/../metrics", HOST), 404, "no_such_route"),
    "what is nowhere": (head("/nowhere", HOST), 404, "no_such_route"),
    "a method that is not taken": (head("/graphql", HOST, TOKEN, method="DELETE"), 405, "method_not_allowed"),
    "a method that is none": (head("/graphql", HOST, TOKEN, method="BREW"), 400, "bad_request"),
    "a space before the colon": (head("/healthz", HOST, "x : y"), 400, "bad_request"),
    "a NUL": (head("/healthz", HOST, "x: \0"), 400, "bad_request"),
    "a fragment": (head("/healthz#x", HOST), 400, "bad_request"),
    "a page of an origin that is not allowed": (
        head("/graphql", HOST, "origin: https://a.example", "access-control-request-method: POST", method="OPTIONS"),
        403,
        "origin_not_allowed",
    ),
}
TAKEN: dict[str, tuple[str, bytes]] = {
    "a charset in quotes": (post("/graphql", 'content-type: application/json; charset="utf-8"'), b'"Query"'),
    "a charset in capitals": (post("/graphql", "content-type: APPLICATION/JSON;Charset=UTF-8"), b'"Query"'),
    "a content encoding that is none": (post("/graphql", JSON, "content-encoding: identity"), b'"Query"'),
    "chunks": (post("/graphql", JSON, "transfer-encoding: Chunked", body=CHUNKED, length=False), b'"Query"'),
    "HTTP/1.0": (head("/healthz", version="1.0"), b"true"),
    "an underscore in a name": (head("/healthz", HOST, "x_y: z", "IG_Hop: 1"), b"true"),
    "an offer of HTTP/2": (
        head("/healthz", HOST, "connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABk"),
        b"true",
    ),
    "HEAD": (head("/healthz", HOST, method="HEAD"), b""),
    "HEAD of a list": (head("/v1/entities?limit=1", HOST, TOKEN, method="HEAD"), b""),
    "HEAD of a query": (head("/graphql?query=%7B__typename%7D", HOST, TOKEN, method="HEAD"), b""),
    "HEAD of a stream": (head("/v1/changes", HOST, TOKEN, "accept: text/event-stream", method="HEAD"), b""),
    "OPTIONS": (head("/v1/changes", HOST, method="OPTIONS"), b""),
}


def filled(raw: str, site: Site) -> bytes:
    return raw.replace("{token}", site.issuer.token("acme")).encode("latin-1")


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_alike(site: Site, layers: Layers, layer: str, name: str) -> None:
    raw, status, code = REFUSED[name]
    answer = layers.ask(layer, filled(raw, site))
    assert (answer.status, answer.code) == (status, code)
    problem = json.loads(answer.body)
    told = problem.get("reason") or problem["errors"][0]["message"]
    assert "refused" in told or "nothing at this path" in told


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_is_taken_everywhere(site: Site, layers: Layers, layer: str, name: str) -> None:
    raw, part = TAKEN[name]
    answer = layers.ask(layer, filled(raw, site))
    assert answer.status == 200, answer
    assert part in answer.body


def write(site: Site, *lines: str) -> bytes:
    body = json.dumps({"operations": [entity()]})
    sent = [HOST, TOKEN, JSON, f"idempotency-key: {uuid.uuid4()}", f"content-length: {len(body)}", *lines]
    return filled(head("/v1/changes", *sent, method="POST") + body, site)


def test_a_client_cannot_say_that_its_request_is_forwarded(site: Site, layers: Layers) -> None:
    hop = ("ig-hop: 1", "ig-unanswered: us-east")
    for layer in LAYERS[1:]:
        assert layers.ask(layer, write(site, *hop)).status == 200
    # The region that is not the home hands a write on, once: between regions the word counts.
    forwarded = ask(layers.ports["worker"], write(site))
    assert forwarded.status == 200
    assert hopped_is_heard(site, layers, *hop)


def hopped_is_heard(site: Site, layers: Layers, *hop: str) -> bool:
    """A forwarded write that is refused after an unanswered attempt is told as perhaps written."""
    body = json.dumps({"operations": [{**entity(), "if_revision": 7}]})
    sent = [HOST, TOKEN, JSON, f"idempotency-key: {uuid.uuid4()}", f"content-length: {len(body)}", *hop]
    raw = filled(head("/v1/changes", *sent, method="POST") + body, site)
    codes = {layer: layers.ask(layer, raw).code for layer in LAYERS[1:]}
    assert "maybe_written" not in codes.values(), codes
    return ask(layers.peers, raw).code == "maybe_written"


def test_a_client_cannot_steer_an_edge(site: Site, layers: Layers) -> None:
    lines = ("x-envoy-upstream-rq-timeout-ms: 1", "x-envoy-max-retries: 1000", "x-envoy-retry-on: 5xx")
    for _ in range(20):
        for layer in LAYERS[1:]:
            assert layers.ask(layer, filled(head("/v1/entities?limit=1", HOST, TOKEN, *lines), site)).status == 200


def test_a_header_with_an_underscore_is_dropped_over_http_2_too(layers: Layers) -> None:
    for layer in LAYERS[1:]:
        frames = over_http_2(layers.ports[layer], [(b"x_y", b"z"), (b"ig_hop", b"1")])
        assert (frames[1][:1], 3 in frames) == (b"\x88", False)  # HEADERS with :status 200; no RST_STREAM


def over_http_2(port: int, headers: list[tuple[bytes, bytes]]) -> dict[int, bytes]:
    """Ask for /healthz with prior knowledge; return the payload of each type of frame on the stream, up to its end."""

    def literal(name: bytes, value: bytes) -> bytes:
        return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    given = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/healthz"), (b":authority", b"x"), *headers]
    block = b"".join(literal(*header) for header in given)
    found: dict[int, bytes] = {}
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, block))
        file = connection.makefile("rb")
        while True:
            start = file.read(9)
            payload = file.read(int.from_bytes(start[:3], "big"))
            if int.from_bytes(start[5:], "big") == 1:
                found[start[3]] = payload
                if start[4] & 1 or start[3] == 3:
                    return found
