"""Which origins' pages may ask, and what browsers are told: a pure decision. A real page asks in ``console_e2e``."""

from __future__ import annotations

import pytest

from intelgraph.api.http.cors import Cors
from intelgraph.api.http.incoming import Incoming
from intelgraph.api.http.request import Request
from intelgraph.model.errors import PermanentError

APP, OTHER = "https://app.example", "https://app.example.evil"
METHODS = b"GET, HEAD, OPTIONS, POST"


def asked(origin: str | None, *, preflight: bool = True) -> Request:
    headers = {b"origin": origin.encode()} if origin is not None else {}
    if preflight:
        headers[b"access-control-request-method"] = b"POST"
    return Request("OPTIONS", b"/graphql", headers, None, Incoming(lambda: None), b"an-id")


def test_an_allowed_origin_is_told_what_it_may_send_and_read() -> None:
    cors = Cors([APP])
    given = [*cors.preflight(asked(APP), METHODS).headers, *cors.headers(asked(APP))]
    answer = dict(given)
    assert len(answer) == len(given), "browsers refuse an answer that allows an origin twice"
    assert answer[b"access-control-allow-origin"] == APP.encode()
    assert answer[b"access-control-allow-methods"] == METHODS
    assert {b"authorization", b"idempotency-key", b"ig-bookmark"} <= set(
        answer[b"access-control-allow-headers"].split(b", ")
    )
    assert b"access-control-allow-credentials" not in answer
    told = dict(Cors([APP]).headers(asked(APP)))
    assert {b"ig-bookmark", b"ig-staleness-ms"} <= set(told[b"access-control-expose-headers"].split(b", "))


@pytest.mark.parametrize("origins", [[], [APP]])
@pytest.mark.parametrize("origin", [OTHER, "null", "", "HTTPS://APP.EXAMPLE", APP + "/", "http://app.example"])
def test_another_origin_is_refused_and_never_told(origins: list[str], origin: str) -> None:
    with pytest.raises(PermanentError) as refused:
        Cors(origins).preflight(asked(origin), METHODS)
    assert refused.value.denied.code == "origin_not_allowed"
    assert Cors(origins).headers(asked(origin)) == []


def test_every_origin_may_be_allowed() -> None:
    assert dict(Cors(["*"]).headers(asked("null")))[b"access-control-allow-origin"] == b"*"
    assert Cors(["*"]).every == []
    assert Cors([APP]).every == [(b"vary", b"origin")]


@pytest.mark.parametrize("request_", [asked(None), asked(None, preflight=False), asked(OTHER, preflight=False)])
def test_options_that_is_no_preflight_tells_the_methods(request_: Request) -> None:
    answer = Cors([]).preflight(request_, METHODS)
    assert (answer.status, answer.headers) == (200, [(b"allow", METHODS)])
