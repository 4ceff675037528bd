"""A region where a tenant may not be says so without reading the body, and keeps nothing of the request."""

from __future__ import annotations

import secrets
import socket
import time
import uuid

import pytest
import requests

from tests.machine import WAIT_S

from .site import EU, US, Site, entity

pytestmark = pytest.mark.postgres


def test_a_tenant_of_other_regions_is_sent_there_with_the_reason(site: Site) -> None:
    client = site.client(US, tenant="hooli")
    for answer in (client.get("/v1/entities"), client.entity("e"), client.get("/v1/changes"), client.write(entity())):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (421, "region_not_allowed")
        assert problem["facts"]["regions"] == [EU]
        assert US in problem["reason"] and EU in problem["reason"]
    assert site.client(EU, tenant="hooli").write(entity()).status_code == 200


def test_the_body_of_a_refused_tenant_is_not_read(site: Site) -> None:
    token = site.issuer.token("hooli")
    with socket.create_connection(("127.0.0.1", site.us.config.api_port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/changes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nidempotency-key: k\r\n"
            b"expect: 100-continue\r\ncontent-length: 4000000\r\nauthorization: Bearer " + token.encode() + b"\r\n\r\n"
        )
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 421 "), answer[:200]
        assert b"connection: close" in answer.lower()


def log_of(site: Site) -> str:
    """The log of ``us-east``, with what was asked until now: a request of ours is seen in it behind that."""
    last = str(uuid.uuid4())
    requests.get(f"{site.us.url}/v1/entities", headers={"x-request-id": last}, timeout=WAIT_S)
    began_s = time.monotonic()
    while last not in (log := site.us.log_path.read_text()):
        assert time.monotonic() - began_s < WAIT_S, "a request is not in the log"
        time.sleep(0.02)
    return log


def test_nothing_of_a_refused_request_is_in_the_region_s_log_or_metrics(site: Site) -> None:
    marker = f"marker{secrets.token_hex(12)}"
    headers = {
        "authorization": f"Bearer {site.issuer.token('hooli')}",
        "idempotency-key": marker,
        "content-type": "application/json",
        "ig-bookmark": marker,
        "x-request-id": marker,
        "user-agent": marker,
        "x-tenant": marker,
    }
    url = site.us.url
    requests.post(
        f"{url}/v1/changes?q={marker}", data=f'{{"operations":["{marker}"]}}', headers=headers, timeout=WAIT_S
    )
    for path in (f"/v1/entities/{marker}", f"/v1/entities?after={marker}", f"/v1/outcomes/{marker}", f"/{marker}"):
        requests.get(url + path, headers=headers, timeout=WAIT_S)
    requests.request(marker.upper(), f"{url}/v1/entities", headers=headers, timeout=WAIT_S)
    log = log_of(site)
    metrics = site.us.metrics()
    assert '"code":"region_not_allowed"' in log
    for kept in (log, metrics):
        assert marker.lower() not in kept.lower()
        assert "hooli" not in kept
    assert 'ig_refusals_total{code="region_not_allowed"}' in metrics


def test_the_log_of_an_allowed_region_holds_no_payload_id_key_or_tenant_either(site: Site) -> None:
    marker = f"marker{secrets.token_hex(12)}"
    client = site.client(US)
    client.write(entity(marker, name=marker, properties={marker: marker}), key=marker)
    client.write(entity(marker, name=marker, type=marker), key=f"{marker}2")
    client.entity(marker)
    client.post(f'{{"operations":[{{"op":"{marker}"}}]}}'.encode(), key=f"{marker}3")
    for kept in (log_of(site), site.us.metrics()):
        assert marker not in kept
        assert "acme" not in kept


def test_a_request_is_found_in_the_log_by_the_id_it_was_answered_with(site: Site) -> None:
    given = str(uuid.uuid4())
    answer = site.client(US).get("/v1/entities", {"x-request-id": given})
    assert answer.headers["x-request-id"] == given
    made = site.client(US).get("/v1/entities", {"x-request-id": "a person's name"}).headers["x-request-id"]
    assert str(uuid.UUID(made)) == made
    log = log_of(site)
    assert given in log and made in log
