"""Requests out of bytes: whole, in pieces, several at once, and what is no request at all. No socket is needed."""

from __future__ import annotations

import gc
import weakref

import pytest

from intelgraph.api.http.parser import NotARequest, RequestParser
from intelgraph.api.http.request import Request, RequestIds
from intelgraph.model.head_refusals import BAD_HOST, HEAD_BYTES_MAX, HEAD_TOO_LARGE, MALFORMED, TRANSFER_CODING


class Taken:
    """A connection's part: it keeps what its parser gives it."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.parts: list[bytes] = []
        self.parser = RequestParser(
            ids=RequestIds(), on_request=self.requests.append, on_part=self.parts.append, on_wanted=lambda: None
        )

    def refused(self, data: bytes) -> str:
        with pytest.raises(NotARequest) as caught:
            self.parser.feed(data)
        return caught.value.denied.code


def post(body: bytes, *lines: bytes) -> bytes:
    head = [b"POST /v1/changes HTTP/1.1", b"host: x", *lines, b"content-length: %d" % len(body), b"", b""]
    return b"\r\n".join(head) + body


def test_requests_that_come_in_one_piece_are_told_apart() -> None:
    taken = Taken()
    assert taken.parser.feed(post(b"one") + post(b"other"))
    assert [(each.method, each.raw_path, each.incoming.whole) for each in taken.requests] == [
        ("POST", b"/v1/changes", True)
    ] * 2
    assert taken.parts == [b"one", b"other"]


def test_a_request_in_single_bytes_is_the_same_request() -> None:
    taken = Taken()
    for byte in post(b"body", b"x-request-id: 01234567-89ab-4cde-8f01-23456789abcd"):
        assert taken.parser.feed(bytes([byte]))
    [request] = taken.requests
    assert (b"".join(taken.parts), request.incoming.whole) == (b"body", True)
    assert request.id == b"01234567-89ab-4cde-8f01-23456789abcd"


def test_a_request_id_that_no_program_made_is_replaced_and_ids_are_not_repeated() -> None:
    taken = Taken()
    taken.parser.feed(post(b"", b"x-request-id: the tenant's name") * 3)
    ids = [each.id for each in taken.requests]
    assert len(set(ids)) == 3 and all(len(each) == 36 for each in ids)


@pytest.mark.parametrize("around", [b"", b" ", b"\t", b" \t  "])
def test_white_space_around_a_value_is_not_part_of_it(around: bytes) -> None:
    taken = Taken()
    lines = [each + around for each in (b"idempotency-key:" + around + b"k", b"ig-bookmark: us-east/1/1/3", b"x:")]
    taken.parser.feed(
        b"\r\n".join([b"POST / HTTP/1.1", b"host: x" + around, *lines, b"content-length: 0" + around, b"", b""])
    )
    [request] = taken.requests
    names = (b"host", b"idempotency-key", b"ig-bookmark", b"x", b"content-length")
    assert [request.headers[name] for name in names] == [b"x", b"k", b"us-east/1/1/3", b"", b"0"]


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", BAD_HOST.code),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", BAD_HOST.code),
        (b"GET /#there HTTP/1.1\r\nhost: x\r\n\r\n", MALFORMED.code),
        (b"no HTTP at all\r\n\r\n", MALFORMED.code),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n", TRANSFER_CODING.code),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked \r\n\r\n", TRANSFER_CODING.code),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * HEAD_BYTES_MAX, HEAD_TOO_LARGE.code),
    ],
)
def test_what_is_no_request_is_refused_and_gives_none(head: bytes, code: str) -> None:
    taken = Taken()
    assert taken.refused(head) == code
    assert taken.requests == []


def test_what_follows_a_request_that_was_whole_is_refused_by_itself() -> None:
    taken = Taken()
    assert taken.refused(post(b"whole") + b"nonsense\r\n\r\n") == MALFORMED.code
    assert [each.incoming.whole for each in taken.requests] == [True]


def test_behind_a_request_for_another_protocol_no_request_follows() -> None:
    taken = Taken()
    upgrade = b"GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    assert not taken.parser.feed(upgrade)
    [request] = taken.requests
    assert request.flaw is not None and request.flaw.code == "no_upgrade"


def test_a_parser_that_was_closed_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        taken = Taken()
        taken.parser.feed(post(b"body"))
        parser = weakref.ref(taken.parser)
        taken.parser.close()
        del taken.parser
        assert parser() is None
    finally:
        gc.enable()


def head(size: int) -> bytes:
    """A head with lines of 1,000 bytes, ``size`` bytes of values together."""
    lines = [b"x%d: %b" % (number, b"a" * 1_000) for number in range(size // 1_000)]
    return b"\r\n".join([b"GET / HTTP/1.1", b"host: x", *lines, b"", b""])


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_a_head_that_is_too_large_is_refused_in_however_many_pieces_it_comes(pieces: int) -> None:
    taken, data = Taken(), head(90_000)
    with pytest.raises(NotARequest) as caught:
        for at in range(pieces):
            taken.parser.feed(data[at * len(data) // pieces : (at + 1) * len(data) // pieces])
    assert caught.value.denied == HEAD_TOO_LARGE
    assert taken.requests == []


def test_a_head_that_is_too_large_is_refused_behind_another_request_of_the_same_piece() -> None:
    taken = Taken()
    assert taken.refused(head(0) + head(90_000)) == HEAD_TOO_LARGE.code
    assert len(taken.requests) == 1
