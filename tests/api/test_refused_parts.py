"""A part of a request is refused by its name, with what was given for it."""

from __future__ import annotations

import hashlib

import pytest

from intelgraph.api.graphql.http import GraphQLRequest
from intelgraph.api.graphql.persisted import PersistedDocuments
from intelgraph.api.http.request import Request
from intelgraph.api.read.parameters import limit_of
from intelgraph.graph.query.document import QueryRefused
from intelgraph.model.errors import PermanentError


def asked(target: bytes) -> Request:
    return Request("GET", target, {}, None, None, b"an-id")


@pytest.mark.parametrize(
    ("target", "known", "told"),
    [
        (b"/?lmit=3", frozenset({"after", "limit"}), '"lmit" is not known here; known are after, limit'),
        (b"/?a=1", frozenset(), '"a" is not known here; none is'),
        (b"/?%1b]0;x=1", frozenset({"after"}), r"\u001b]0;x"),
    ],
)
def test_an_unknown_query_parameter_is_named(target: bytes, known: frozenset[str], told: str) -> None:
    with pytest.raises(PermanentError) as refused:
        asked(target).query(known)
    assert told in refused.value.denied.reason


@pytest.mark.parametrize("given", ["x", "0", "100000", "-1", ""])
def test_a_limit_is_refused_with_what_was_given(given: str) -> None:
    with pytest.raises(PermanentError, match=f'limit is "{given}"; it must be a number from 1 to 1000'):
        limit_of({"limit": given}, 1000)


@pytest.mark.parametrize("digest", ["zz", "", "0" * 63, "g" * 64, "0" * 65])
@pytest.mark.parametrize("query", ["", "{ __typename }"])
def test_what_is_no_sha256_is_not_merely_unknown(digest: str, query: str) -> None:
    with pytest.raises(PermanentError, match="must be 64 hexadecimal digits") as refused:
        PersistedDocuments().whole("acme", _named(digest, query))
    assert refused.value.denied.code == "bad_request"


def test_a_sha256_that_is_not_known_is_asked_for() -> None:
    with pytest.raises(QueryRefused):
        PersistedDocuments().whole("acme", _named(hashlib.sha256(b"{ a }").hexdigest().upper(), ""))


def _named(digest: str, query: str) -> GraphQLRequest:
    return GraphQLRequest(query=query, extensions={"persistedQuery": {"version": 1, "sha256Hash": digest}}, body=b"")
