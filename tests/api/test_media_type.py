"""What a body says that it is: JSON in UTF-8, or it is refused; whatever else its content type tells."""

from __future__ import annotations

import time

import pytest

from intelgraph.api.http.incoming import Incoming
from intelgraph.api.http.media_type import check_media_type
from intelgraph.api.http.request import Request
from intelgraph.model.errors import IntelGraphError


def request(content_type: bytes) -> Request:
    return Request("POST", b"/graphql", {b"content-type": content_type}, None, Incoming(lambda: None), b"an-id")


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON ; Charset=UTF-8",
        b'application/json; charset="utf-8"',
        b'application/json; profile="a;charset=latin1"',
        b'application/json; profile="a\\";charset=latin1"; charset=utf-8',
        b'application/json; profile="never closed;charset=latin1',
        b"application/json;",
        b"application/json;; x=y",
    ],
)
def test_json_in_utf_8_is_taken_whatever_else_is_told(content_type: bytes) -> None:
    check_media_type(request(content_type))


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b";application/json",
        b"text/plain",
        b"application/json; charset=latin1",
        b"application/json; charset =latin1",
        b'application/json; profile="a;b"; charset="latin1"',
        b'application/json; profile="a;charset=utf-8"; charset=utf-16',
        b"application/json; charset=utf-8; charset=latin1",
    ],
)
def test_what_is_not_json_in_utf_8_is_refused(content_type: bytes) -> None:
    with pytest.raises(IntelGraphError) as caught:
        check_media_type(request(content_type))
    assert caught.value.denied.code == "unsupported_media_type"


def test_a_long_content_type_is_read_in_proportion_to_its_length() -> None:
    began_s = time.process_time()
    check_media_type(request(b"application/json;" + b'a="' * 20_000))
    assert time.process_time() - began_s < 1
