"""A bundle of any size and any quality: what can be read is read, the rest is named, and memory stays bounded."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import orjson
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.api.write.operations import STORED_BYTES_MAX
from intelgraph.graph.content_digest import canonical_json
from intelgraph.graph.objects import Entity
from intelgraph.graph.stix.bundle_source import BundleSource, PieceReader
from intelgraph.graph.stix.mapping import from_stix
from intelgraph.graph.stix.read import Limits, Read, read_bundle
from intelgraph.graph.stix.rejects import Rejected
from intelgraph.graph.stix.write import BundleWriter
from intelgraph.model.errors import IntelGraphError

from .stix_objects import GENERATED, STIX

GOOD = {"type": "url", "id": "url--31b940d4-6f7f-459a-80ea-9c1f17b5891b", "value": "https://example.org/"}
LIMITS = Limits()


class Dribble(io.RawIOBase):
    """Hands out ``data`` in pieces of odd sizes."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        super().__init__()
        self._data = io.BytesIO(data)
        self._sizes = sizes
        self._turn = 0

    def read(self, size: int = -1, /) -> bytes:
        self._turn += 1
        wanted = self._sizes[self._turn % len(self._sizes)]
        return self._data.read(wanted if size < 0 else min(size, wanted))


def read(data: bytes, limits: Limits = LIMITS) -> list[Read | Rejected]:
    return list(read_bundle(BundleSource(io.BytesIO(data)), limits))


def bundle(*elements: bytes) -> bytes:
    return b'{"type":"bundle","id":"bundle--1","objects":[' + b",".join(elements) + b"]}"


def codes(results: list[Read | Rejected]) -> list[str]:
    return [result.code if isinstance(result, Rejected) else "read" for result in results]


@GENERATED
@given(st.lists(STIX, max_size=4), st.lists(st.integers(1, 40), min_size=1, max_size=4), st.booleans())
def test_a_bundle_is_read_whatever_pieces_it_comes_in(
    stix: list[dict[str, Any]], sizes: list[int], ascii: bool
) -> None:
    data = json.dumps({"objects": stix, "type": "bundle"}, ensure_ascii=ascii).encode()
    results = list(read_bundle(BundleSource(Dribble(data, sizes)), LIMITS))
    read_ones = [canonical_json(result.thing) for result in results if isinstance(result, Read)]
    assert read_ones == [canonical_json(from_stix(one)) for one in stix]


@GENERATED
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_garbage_is_refused_with_a_type_and_never_with_a_traceback(data: bytes) -> None:
    with pytest.raises(IntelGraphError):
        read(data)


@GENERATED
@given(st.integers(0, 400), st.binary(max_size=3))
def test_a_damaged_bundle_is_read_or_refused_with_a_type(place: int, junk: bytes) -> None:
    data = bundle(orjson.dumps(GOOD), orjson.dumps({**GOOD, "x": [1, {"y": None}]}))
    try:
        read(data[:place] + junk + data[place + 1 :])
    except IntelGraphError as refused:
        assert refused.denied.code in ("not_json", "not_a_bundle", "bad_gzip", "wrong_spec_version")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_json"),
        (b"[]", "not_a_bundle"),
        (b'"bundle"', "not_a_bundle"),
        (b"{}", "not_a_bundle"),
        (b'{"type":"bundle","objects":{}}', "not_a_bundle"),
        (b'{"objects":{"a":[1]},"type":"bundle"}', "not_a_bundle"),
        (b'{"type":"bundle","objects":null}', "not_a_bundle"),
        (orjson.dumps(GOOD), "not_a_bundle"),
        (b'{"type":"bundle","spec_version":"2.0","objects":[]}', "wrong_spec_version"),
        (bundle(orjson.dumps(GOOD))[:-1], "not_json"),
        (bundle(orjson.dumps(GOOD)) + b"x", "not_json"),
        (bundle(b'{"type":"url","x":NaN}'), "not_json"),
        (bundle(b'{"type":"\xff"}'), "not_json"),
        (b"\x1f\x8b\x08\x00junk", "bad_gzip"),
        (gzip.compress(bundle(orjson.dumps(GOOD)))[:-9], "bad_gzip"),
    ],
)
def test_a_file_that_is_not_a_bundle_is_refused_as_a_whole(data: bytes, code: str) -> None:
    with pytest.raises(IntelGraphError) as refused:
        read(data)
    assert refused.value.denied.code == code


@pytest.mark.parametrize("version", ["2.1", "2", "true", "[]", "{}", "null"])
def test_a_spec_version_that_is_no_text_is_told_so(version: str) -> None:
    elsewhere = {**GOOD, "spec_version": json.loads(version)}
    with pytest.raises(IntelGraphError) as refused:
        read(f'{{"type":"bundle","spec_version":{version},"objects":[]}}'.encode())
    assert refused.value.denied.code == "wrong_spec_version"
    assert 'it must be the text "2.1"' in refused.value.denied.reason
    (result,) = read(bundle(orjson.dumps(elsewhere)))
    if version != "null":
        assert isinstance(result, Rejected)
        assert 'it must be the text "2.1"' in result.reason


@pytest.mark.parametrize("name", ["objects", "type", "spec_version", "id", "x"])
@pytest.mark.parametrize("between", [b"", b"".join(b'"m%d":0,' % number for number in range(2_000))])
def test_a_bundle_with_a_member_twice_is_refused_by_its_name(name: str, between: bytes) -> None:
    members = {"type": b'"bundle"', "spec_version": b'"2.1"', "id": b'"bundle--1"', "x": b"1"}
    members["objects"] = b"[" + orjson.dumps(GOOD) + b"]"
    first = b"".join(b'"%b":%b,' % (member.encode(), value) for member, value in members.items())
    with pytest.raises(IntelGraphError) as refused:
        read(b"{" + first + between + b'"%b":%b}' % (name.encode(), members[name]))
    assert refused.value.denied.code == "duplicate_name"
    assert f"its member '{name}' occurs twice" in refused.value.denied.reason


def test_one_bad_element_costs_only_itself() -> None:
    good = orjson.dumps(GOOD)
    deep = b'{"x":' * 40 + b"1" + b"}" * 40
    bad = {
        b"7": "not_an_object",
        b"[[1],{}]": "not_an_object",
        b"{}": "missing_type",
        deep: "too_deeply_nested",
        b'{"x":"' + b"a" * (12 * 1024**2) + b'","y":[1]}': "object_too_large",
        good[:-1] + b',"x":1e400}': "number_out_of_range",
        good[:-1] + b',"x":[1e-400]}': "number_out_of_range",
        good[:-1] + b',"x":1' + b"0" * 64 + b"}": "number_out_of_range",
        good[:-1] + b',"x":[1e64]}': "number_out_of_range",
        good[:-1] + b',"x":-1e-65}': "number_out_of_range",
        good[:-1] + b',"x":"a\\u0000b"}': "unstorable_text",
        good[:-1] + b',"x":"\\ud800"}': "unstorable_text",
        good[:-1] + b',"x\\udfff":1}': "unstorable_text",
        good[:-1] + b',"x":1,"x":2}': "duplicate_name",
    }
    elements = [part for one in bad for part in (one, good)]
    expected = [part for code in bad.values() for part in (code, "read")]
    assert codes(read(bundle(*elements))) == expected


_UNIT = 64 * 1024
# The largest of their kind that an API with a limit of 12 units stores, when PostgreSQL has written them with spaces.
AS_LARGE_AS_STORED: dict[str, Any] = {
    "sources": {"sources": ["s"] * (2 * _UNIT)},
    "a text": {"properties": {"x": "é" * (4 * _UNIT - 1_000)}},
    "zeros": {"properties": {"x": [0] * (4 * _UNIT - 1_000)}},
    "empty lists": {"properties": {"x": [[]] * (3 * _UNIT - 1_000)}},
    "long numbers": {"properties": {"x": [10**63] * (12 * _UNIT // 66 - 1_000)}},
    "members": {"properties": {f"{number:x}": None for number in range(50_000)}},
}


@pytest.mark.prove
@pytest.mark.parametrize("name", AS_LARGE_AS_STORED)
def test_whatever_size_the_api_stores_is_taken_when_it_was_exported(name: str) -> None:
    assert LIMITS.object_bytes_max == STORED_BYTES_MAX
    exported = export(AS_LARGE_AS_STORED[name])
    assert codes(read(exported, Limits(object_bytes_max=12 * _UNIT))) == ["read"]
    assert codes(read(exported, Limits(object_bytes_max=len(exported) // 4))) == ["object_too_large"]


def test_an_entity_with_more_sources_than_anybody_needs_is_taken_when_it_was_exported() -> None:
    assert codes(read(export({"sources": ["s"] * 300_001}))) == ["read"]


def export(more: dict[str, Any]) -> bytes:
    members = {"created": "2026-01-01T00:00:00.000000Z", "updated": "2026-01-01T00:00:00.000000Z"}
    thing = Entity(id="host/1", type="Host", name="web", **members, **more)
    target = io.BytesIO()
    writer = BundleWriter(target)
    writer.add(thing)
    writer.finish()
    return target.getvalue()


def test_text_that_only_looks_like_half_a_surrogate_is_kept() -> None:
    texts = [r"C:\\ud800", r"\\\\ud800", r"\ud83d\ude00", r"\"\\udc00", r"\\\ud83d\ude00"]
    data = bundle(*(orjson.dumps(GOOD)[:-1] + f',"x":"{text}"}}'.encode() for text in texts))
    for sizes in ([1], [2], [5], [7, 3], [100_000]):
        results = list(read_bundle(BundleSource(Dribble(data, sizes)), LIMITS))
        got = [result.thing.properties["x"] for result in results if isinstance(result, Read)]
        assert got == [json.loads(f'"{text}"') for text in texts]


NINES = b"9" * 5_000
TOO_LONG = [
    NINES,
    b"-" + NINES,
    b"1." + NINES,
    b"1e" + NINES,
    b"1e999999999999999999999",
    b"1E+999999999999999999999",
    b"1e-999999999999999999999",
    b"0." + b"0" * 70_000 + b"1",
    b"9" * 200_000 + b"." + b"9" * 200_000 + b"e-" + b"9" * 200_000,
]


@pytest.mark.parametrize("number", TOO_LONG, ids=lambda number: f"{number[:6].decode()}-of-{len(number)}")
def test_a_number_that_is_too_long_costs_only_its_object(number: bytes) -> None:
    good = orjson.dumps(GOOD)
    elements = [good[:-1] + b',"x":%b}' % number, good, good[:-1] + b',"x":[1,%b ]}' % number, good, number, good]
    expected = ["number_out_of_range", "read", "number_out_of_range", "read", "not_an_object", "read"]
    assert codes(read(bundle(*elements))) == expected


@pytest.mark.parametrize("number", TOO_LONG, ids=lambda number: f"{number[:6].decode()}-of-{len(number)}")
@pytest.mark.parametrize("form", [b'{"x":%b,"type":"bundle"}', b'{"type":"bundle","x":{"y":[1,%b]}}'])
def test_a_number_that_is_too_long_in_the_bundle_itself_is_refused_by_the_members_name(
    form: bytes, number: bytes
) -> None:
    with pytest.raises(IntelGraphError) as refused:
        read(form % number)
    assert refused.value.denied.code == "number_out_of_range"
    assert "in its member 'x' a number is" in refused.value.denied.reason


@pytest.mark.parametrize("text", [NINES, b"[" + NINES, b'{"a"' + NINES, NINES + b"-", b"true" + NINES, b"0" + NINES])
def test_a_number_that_is_too_long_where_no_bundle_is_refuses_the_file(text: bytes) -> None:
    for sizes in ([1_000_000], [1], [700], [1_001, 3]):
        with pytest.raises(IntelGraphError) as refused:
            list(read_bundle(BundleSource(Dribble(text, sizes)), LIMITS))
        assert refused.value.denied.code in ("not_json", "not_a_bundle")
        assert "<" not in refused.value.denied.reason, "Python's words"


def test_a_number_without_an_end_is_refused_in_bounded_memory() -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"type":"bundle","objects":[{"type":'
        while True:
            yield b"9" * 65_536

    with pytest.raises(IntelGraphError) as refused:
        list(read_bundle(BundleSource(PieceReader(endless())), LIMITS))
    assert refused.value.denied.code == "value_too_large"


_RUNS = st.sampled_from(["9" * length for length in (1, 2, 300, 332, 999, 1_000, 1_001, 1_500)])
_NUMBER_TEXTS = st.builds(
    lambda sign, whole, fraction, exponent: sign + whole + fraction + exponent,
    st.sampled_from(["", "-"]),
    _RUNS | st.just("0"),
    st.just("") | _RUNS.map(lambda run: "." + run),
    st.just("")
    | st.builds(str.__add__, st.sampled_from(["e", "E+", "e-"]), st.sampled_from(["1", "0" * 30 + "3", "9" * 20])),
)
_LOOKALIKES = st.lists(
    _NUMBER_TEXTS | st.sampled_from(['"', "\\", "\n", ",", ":", "[", " ", "e", "1e" + "9" * 20, "é", "😀"])
).map("".join)


@GENERATED
@given(
    st.lists(st.tuples(_LOOKALIKES, _NUMBER_TEXTS), max_size=3),
    st.lists(st.integers(1, 900), min_size=1),
    st.booleans(),
)
def test_numbers_are_bounded_and_texts_are_not_touched_whatever_pieces_they_come_in(
    values: list[tuple[str, str]], sizes: list[int], ascii: bool
) -> None:
    texts = [(json.dumps(text, ensure_ascii=ascii), number) for text, number in values]
    data = ("[" + ",".join(f"{text}, {number} ,{text}" for text, number in texts) + "]").encode()
    is_short = {number: len(number) <= 1_000 and re.search("[eE][-+]?9{20}$", number) is None for _, number in texts}
    short = [(text, number if is_short[number] else "1e9999") for text, number in texts]
    expected = ("[" + ",".join(f"{text}, {number} ,{text}" for text, number in short) + "]").encode()
    source = BundleSource(Dribble(data, sizes))
    assert b"".join(iter(source.read, b"")) == expected


def test_gzip_and_a_byte_order_mark_are_understood_and_do_not_change_the_hash() -> None:
    data = bundle(orjson.dumps(GOOD))
    hashes = set()
    for variant in (data, gzip.compress(data), b"\xef\xbb\xbf" + data, gzip.compress(b"\xef\xbb\xbf" + data)):
        source = BundleSource(io.BytesIO(variant))
        assert codes(list(read_bundle(source, LIMITS))) == ["read"]
        hashes.add(source.content_hash)
    assert len(hashes) == 1


def test_a_single_value_that_would_not_fit_in_memory_is_refused() -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"type":"bundle","objects":[{"type":"'
        while True:
            yield b"a" * 65_536

    with pytest.raises(IntelGraphError) as refused:
        list(read_bundle(BundleSource(PieceReader(endless())), LIMITS))
    assert refused.value.denied.code == "value_too_large"


@pytest.mark.prove
def test_memory_does_not_grow_with_the_bundle() -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"type":"bundle","objects":['
        for number in range(60_000):
            stix_id = f"url--31b940d4-6f7f-459a-80ea-{number:012x}"
            yield orjson.dumps({**GOOD, "id": stix_id, "x_padding": "p" * 1_000}) + b","
        yield orjson.dumps(GOOD) + b"]}"

    process = psutil.Process()
    before = process.memory_info().rss
    count = sum(1 for _ in read_bundle(BundleSource(PieceReader(pieces())), LIMITS))
    assert count == 60_001
    assert process.memory_info().rss - before < 20 * 1024**2
