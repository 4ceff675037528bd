"""Content negotiation: which type is answered, for headers as clients send them."""

from __future__ import annotations

import pytest

from intelgraph.api.http.accept import EVENTS, best, fits

JSON, GRAPHQL = b"application/json", b"application/graphql-response+json"
OFFERED = (JSON, GRAPHQL, EVENTS)
URQL = (
    b"application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, JSON),
        (b"", JSON),
        (b"  ", JSON),
        (b",", JSON),
        (b"*/*", JSON),
        (b"application/*", JSON),
        (b"text/*", EVENTS),
        (b"text/html", None),
        (b"text/html, */*;q=0.8", JSON),
        (b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON),
        (URQL, GRAPHQL),
        (b"text/event-stream, multipart/mixed", EVENTS),
        (b"application/json, text/event-stream", JSON),
        (b"text/event-stream, application/json", EVENTS),
        (b"APPLICATION/JSON", JSON),
        (b"Text/Event-Stream", EVENTS),
        (b"application/json;charset=utf-8", JSON),
        (b'application/json;profile="a,b;q=0", text/event-stream;q=0.1', JSON),
        (b'application/json;profile="never closed, text/event-stream', JSON),
        (b"application/json;q=0.1, text/event-stream;q=0.2", EVENTS),
        (b"application/json; Q=0.1, text/event-stream; Q=0.2", EVENTS),
        (b"*/*, text/event-stream", EVENTS),
        (b"*/*;q=0.9, text/event-stream;q=0.1", JSON),
        (b"text/*, text/event-stream;q=0", None),
        (b"*/*, application/json;q=0", GRAPHQL),
        (b"*/*;q=0", None),
        (b"application/json;q=0.000", None),
        (b"application/json;q=nan", JSON),
        (b"application/json;q=-1", JSON),
        (b"application/jsonp, text/event-streams", None),
    ],
)
def test_the_type_that_is_asked_for_is_answered(accept: bytes | None, answered: bytes | None) -> None:
    assert best(accept, OFFERED) == answered


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        (b"text/event-stream;q=0", False),
        (b"text/event-stream;q=0.0, application/json", False),
        (b"text/event-stream-not", False),
        (b"application/json;note=text/event-stream", False),
        (b"application/json, text/event-stream;q=0.001", True),
        (b"*/*", True),
    ],
)
def test_events_fit_where_they_are_asked_for(accept: bytes, streams: bool) -> None:
    assert fits(accept, EVENTS) is streams


def test_a_long_header_is_read_in_proportion_to_its_length() -> None:
    for text in (b'"\\' * 30_000, b"a/b," * 15_000, b";q=" * 20_000):
        assert best(text + b", */*", OFFERED) in (None, JSON)
