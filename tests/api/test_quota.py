"""What is bounded is given back by whoever took it, once; no tenant has more than its share."""

from __future__ import annotations

import pytest

from intelgraph.api.http.incoming import Incoming
from intelgraph.api.http.request import Request
from intelgraph.api.limits.quota import ConnectionLoad, Quota
from intelgraph.model.errors import TransientError


def request() -> Request:
    return Request("GET", b"/v1/changes", {}, None, Incoming(lambda: None), b"an-id")


def test_what_a_request_took_is_given_back_when_it_ends_and_only_once() -> None:
    quota = Quota("streams", limit=3, limit_of_tenant=2)
    one, other = request(), request()
    for each in (one, other):
        held = quota.hold("acme")
        held.take()
        each.at_end(held.give_back)
    assert quota.used == 2
    one.end()
    one.end()
    assert quota.used == 1
    other.end()
    assert quota.used == 0


def test_a_scope_gives_back_what_was_taken_before_it_failed() -> None:
    quota = Quota("body bytes", limit=100, limit_of_tenant=50)
    with pytest.raises(TransientError), quota.hold("acme") as held:
        held.take(30)
        held.take(30)
    assert quota.used == 0


def test_what_is_in_use_is_told_at_every_change() -> None:
    told: list[int] = []
    quota = Quota("streams", limit=3, limit_of_tenant=2, on_change=told.append)
    with quota.hold("acme") as held:
        held.take(2)
        with quota.hold("globex") as other:
            other.take()
    assert told == [2, 3, 2, 0]


def test_one_refused_connection_is_reported_for_a_while() -> None:
    load = ConnectionLoad(5)
    load.report(5, refused=0)
    assert load.why_used_up() is None, "full, and nobody else has come"
    load.report(5, refused=1)
    load.report(4, refused=0)
    told = load.why_used_up()
    assert told is not None and "4 are open in this process; the limit is 5" in told


def test_a_tenant_has_its_share_and_the_others_theirs() -> None:
    refused: list[None] = []
    quota = Quota("streams", limit=3, limit_of_tenant=2, on_refusal=lambda: refused.append(None))
    quota.hold("acme").take(2)
    assert quota.why_used_up() is None
    with pytest.raises(TransientError) as of_tenant:
        quota.hold("acme").take()
    assert (of_tenant.value.denied.code, of_tenant.value.denied.facts) == ("overloaded", {"open": 2, "limit": 2})
    quota.hold("globex").take()
    with pytest.raises(TransientError) as of_all:
        quota.hold("globex").take()
    assert of_all.value.denied.facts == {"open": 3, "limit": 3}
    assert len(refused) == 2
    told = quota.why_used_up()
    assert told is not None
    assert "acme" not in told
