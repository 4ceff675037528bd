"""Whatever is sent, the API answers with a type: no failure of ours, and nothing half-applied."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator
from importlib import resources

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from schemathesis.specs.openapi import checks

from intelgraph.settings import ApiPolicy
from tests.cases import cases
from tests.machine import WAIT_S, stretched

from .site import US, Site, two_regions

pytestmark = pytest.mark.postgres
QUIET = settings(
    max_examples=cases(80),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OPENAPI = json.loads(resources.files("intelgraph.api").joinpath("openapi.json").read_text())
DESCRIPTION = schemathesis.openapi.from_dict(OPENAPI)


@pytest.fixture(scope="module")
def garbage_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    policy = ApiPolicy(body_timeout_s=1.5, bookmark_wait_s=0.01)
    with two_regions(tmp_path_factory.mktemp("garbage"), policy=policy) as site:
        yield site
        log = site.us.log_path.read_text()
        assert '"request_failed"' not in log and '"stream_failed"' not in log and '"unknown_code"' not in log


def exchange(site: Site, raw: bytes, *, half_close: bool = False, timeout_s: float = 5) -> bytes:
    """Send bytes and return all that comes back until the API closes or is silent for 0.5 s after an answer."""
    with socket.create_connection(("127.0.0.1", site.us.config.api_port), timeout=timeout_s) as connection:
        got = b""
        try:
            connection.sendall(raw)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                got += part
                connection.settimeout(0.2)
        except (TimeoutError, ConnectionError):
            pass
        return got


def rows(site: Site) -> int:
    count: int = site.us.sql("select count(*) from ig.change where kind = 'write'")
    return count


def head(site: Site, *lines: str, length: int | None = None) -> bytes:
    """The head of a write by a good token."""
    common = [
        "POST /v1/changes HTTP/1.1",
        "host: x",
        "content-type: application/json",
        f"idempotency-key: {uuid.uuid4()}",
        f"authorization: Bearer {site.issuer.token('acme')}",
        *lines,
    ]
    if length is not None:
        common.append(f"content-length: {length}")
    return ("\r\n".join(common) + "\r\n\r\n").encode("latin-1")


WHOLE = json.dumps(
    {
        "operations": [
            {"op": "upsert_entity", "entity": {"id": f"half-{n}", "type": "t", "name": "n"}} for n in range(50)
        ]
    }
).encode()


def test_a_body_that_ends_early_writes_nothing_wherever_it_is_cut(garbage_site: Site) -> None:
    before = rows(garbage_site)
    for cut in (0, 1, 20, len(WHOLE) // 2, len(WHOLE) - 1):
        for half_close in (True, False):
            if half_close:
                exchange(garbage_site, head(garbage_site, length=len(WHOLE)) + WHOLE[:cut], half_close=True)
            chunk = b"%x\r\n%b\r\n" % (cut, WHOLE[:cut]) if cut else b""
            exchange(
                garbage_site,
                head(garbage_site, "transfer-encoding: chunked") + chunk,
                half_close=half_close,
                timeout_s=0.3,
            )
    time.sleep(1.7)
    assert rows(garbage_site) == before


def test_a_body_that_does_not_come_is_given_up_in_time(garbage_site: Site) -> None:
    began = time.monotonic()
    answer = exchange(garbage_site, head(garbage_site, length=1_000) + b"{")
    assert answer.startswith(b"HTTP/1.1 408 "), answer[:200]
    assert b"body_timeout" in answer
    assert 1.4 < time.monotonic() - began < stretched(4.5, began)


def test_a_whole_body_in_small_pieces_is_one_write(garbage_site: Site) -> None:
    before = rows(garbage_site)
    pieces = [WHOLE[at : at + 16] for at in range(0, len(WHOLE), 16)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    answer = exchange(garbage_site, head(garbage_site, "transfer-encoding: chunked") + chunks)
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:300]
    assert rows(garbage_site) == before + 1


def test_a_connection_goes_on_after_a_write_and_after_a_refusal(garbage_site: Site) -> None:
    client = garbage_site.client(US)
    for body in (WHOLE, b"{", WHOLE, b'{"operations":[{}]}'):
        assert client.post(body).status_code in (200, 400)
    adapter = client.http.adapters["http://"]
    assert isinstance(adapter, HTTPAdapter)
    [pool] = adapter.poolmanager.pools._container.values()
    assert pool.num_connections == 1


@QUIET
@given(raw=st.binary(max_size=300))
def test_any_bytes_instead_of_http_harm_nobody(garbage_site: Site, raw: bytes) -> None:
    answer = exchange(garbage_site, raw, half_close=True, timeout_s=2)
    assert answer == b"" or not answer.startswith(b"HTTP/1.1 5")


LATIN = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\x00"), max_size=60)
NAMES = st.sampled_from(
    [
        "authorization",
        "idempotency-key",
        "ig-bookmark",
        "ig-forwarded",
        "ig-unanswered",
        "content-type",
        "accept",
        "last-event-id",
        "x-request-id",
        "expect",
        "content-length",
        "transfer-encoding",
        "connection",
        "host",
    ]
)


@QUIET
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "X"]),
    path=st.sampled_from(["/v1/changes", "/v1/entities", "/v1/entities/", "/v1/outcomes/", "/", "*"]),
    tail=LATIN,
    headers=st.lists(st.tuples(NAMES, LATIN), max_size=5),
    signed=st.booleans(),
    body=st.binary(max_size=80),
)
def test_any_headers_paths_and_bodies_get_a_typed_answer(
    garbage_site: Site,
    method: str,
    path: str,
    tail: str,
    headers: list[tuple[str, str]],
    signed: bool,
    body: bytes,
) -> None:
    lines = [f"{method} {path}{tail.replace(' ', '')} HTTP/1.1", "host: x", f"content-length: {len(body)}"]
    if signed:
        lines.append(f"authorization: Bearer {garbage_site.issuer.token('acme')}")
    lines += [f"{name}: {value}" for name, value in headers]
    before = rows(garbage_site)
    answer = exchange(garbage_site, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    status = answer[9:12]
    assert status[:1] != b"5" or (status == b"503" and b"retry-after" in answer.lower()), answer[:400]
    assert rows(garbage_site) == before


@DESCRIPTION.parametrize()
@settings(max_examples=cases(50), deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_every_operation_keeps_to_its_description(garbage_site: Site, case: schemathesis.Case) -> None:
    """Requests made from the description, legal and not: the answer is one that the description names."""
    token = garbage_site.issuer.token("acme")
    answer = case.call(base_url=garbage_site.us.url, headers={"authorization": f"Bearer {token}"}, timeout=WAIT_S)
    case.validate_response(
        answer,
        checks=[
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
            checks.response_headers_conformance,
        ],
    )
    assert answer.status_code < 500 or answer.status_code == 503


def test_a_problem_has_every_member_that_its_description_names(garbage_site: Site) -> None:
    answer = requests.get(f"{garbage_site.us.url}/v1/entities", timeout=WAIT_S).json()
    assert set(OPENAPI["components"]["schemas"]["Problem"]["required"]) <= set(answer)
