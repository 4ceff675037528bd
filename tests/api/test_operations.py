"""Operations are refused with their index and what is wrong, and what passes is re-encoded, never passed through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.api.operations import DEPTH_MAX, read_operations
from intelgraph.model.errors import IntelGraphError


def passed(body: str | bytes) -> Any:
    raw = body.encode() if isinstance(body, str) else body
    return json.loads(read_operations(raw, operations_max=1_000).body)


def refused(body: str | bytes) -> IntelGraphError:
    with pytest.raises(IntelGraphError) as caught:
        passed(body)
    return caught.value


def upsert(**fields: Any) -> dict[str, Any]:
    return {"op": "upsert_entity", "entity": {"id": "e", "type": "t", "name": "n", **fields}}


def body_of(*operations: dict[str, Any]) -> str:
    return json.dumps({"operations": list(operations)})


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"operations":[{"op":"delete_entity","id":"a"}]}x',
        b'{"operations":[{"op":"delete_entity","id":"\xff"}]}',
        b'{"operations":[{"op":"delete_entity","id":"\\ud800"}]}',
        b'{"operations":[NaN]}',
        b'{"operations":[{"op":"upsert_entity","entity":{"id":"e","type":"t","name":"n","properties":{"n":NaN}}}]}',
        b'{"operations":[{"op":"upsert_entity","entity":{"id":"e","type":"t","name":"n","properties":{"n":'
        + b"[" * 5000
        + b"]" * 5000
        + b"}}}]}",
        b"\xef\xbb\xbf" + b'{"operations":[]}',
    ],
)
def test_what_is_not_json_is_bad_json(body: bytes) -> None:
    assert refused(body).denied.code == "bad_json"


@pytest.mark.parametrize("number", [b"9" * 5_000, b"1e400", b"-1e400", b"9" * 65])
def test_a_number_that_is_too_long_is_refused_whatever_reads_it(number: bytes) -> None:
    raw = b'{"operations":[{"op":"upsert_entity","entity":{"id":"e","type":"t","name":"n","properties":{"n":%b}}}]}'
    assert refused(raw % number).denied.code in ("bad_json", "bad_operation")


def test_brackets_without_end_are_refused() -> None:
    assert refused(b'{"operations":' + b"[" * 100_000).denied.code in ("bad_json", "bad_operation")


@pytest.mark.parametrize(
    "body", ["null", "[]", "{}", '{"operations":{}}', '{"operations":[]}', '{"operations":[],"x":1}']
)
def test_json_that_is_not_a_list_of_operations_is_a_bad_request(body: str) -> None:
    assert refused(body).denied.code == "bad_request"


@pytest.mark.parametrize(
    ("operation", "what"),
    [
        ({}, "op"),
        (3, "object"),
        (None, "object"),
        ({"op": "drop_table"}, "drop_table"),
        ({"op": 3}, "str"),
        ({"op": "delete_entity"}, "id"),
        ({"op": "delete_entity", "id": ""}, "length"),
        ({"op": "delete_entity", "id": "x" * 257}, "length"),
        ({"op": "delete_entity", "id": 7}, "str"),
        ({"op": "delete_entity", "id": "a", "if_revision": 1}, "if_revision"),
        ({"op": "delete_entity", "id": "a\x00b"}, "NUL"),
        ({"op": "erase", "ids": []}, "length"),
        ({"op": "erase", "ids": ["a\x00"]}, "NUL"),
        ({"op": "upsert_entity", "entity": {"id": "e", "type": "t"}}, "name"),
        (upsert(colour="red"), "colour"),
        (upsert(confidence=101), "<= 100"),
        (upsert(confidence=1.5), "float"),
        (upsert(properties=[1]), "array"),
        (upsert(properties={"a": 1e65}), "64 digits"),
        (upsert(properties={"a": -1e-65}), "64 digits"),
        (upsert(properties={"a": 10**64}), "64 digits"),
        (upsert(properties={"a": nested(DEPTH_MAX)}), "nested"),
        (upsert(properties={"a": "x\x00"}), "NUL"),
        (upsert(properties={"a\x00": 1}), "NUL"),
        (upsert(name="x\x00"), "NUL"),
        (upsert(sources=["x\x00"]), "NUL"),
        (upsert(valid_from="yesterday"), "RFC3339"),
        (upsert(valid_from="2020-01-01T00:00:00"), "timezone"),
        (upsert(valid_from="2020-02-30T00:00:00Z"), "RFC3339"),
        (upsert(valid_from="0001-01-01T00:00:00+14:00"), "calendar"),
        (upsert(valid_from="9999-12-31T23:59:59-14:00"), "calendar"),
        ({**upsert(), "if_revision": -1}, ">= 0"),
        ({**upsert(), "if_revision": 2**63}, "<="),
    ],
)
def test_a_wrong_operation_is_refused_with_its_index_and_what_is_wrong(operation: Any, what: str) -> None:
    denied = refused(json.dumps({"operations": [upsert(), operation]})).denied
    assert (denied.code, denied.facts["index"]) == ("bad_operation", 1), denied.reason
    assert what in denied.reason


def test_more_operations_than_allowed_are_refused_and_every_erased_id_counts() -> None:
    assert refused(body_of(*(upsert() for _ in range(1_001)))).denied.code == "too_many_operations"
    assert refused(body_of({"op": "erase", "ids": ["a"] * 1_001})).denied.code == "too_many_operations"
    assert len(passed(body_of(*(upsert() for _ in range(1_000))))) == 1_000


def test_of_a_repeated_key_the_last_counts_and_is_the_only_one_passed_on() -> None:
    raw = '{"operations":[{"op":"delete_entity","id":"a","id":"b","i\\u0064":"c"}]}'
    assert read_operations(raw.encode(), operations_max=10).body == b'[{"op":"delete_entity","id":"c"}]'


def test_times_are_passed_on_in_utc_and_nulls_are_not_passed_on() -> None:
    [operation] = passed(body_of(upsert(valid_from="2020-01-01T02:00:00+02:00", confidence=None, sources=None)))
    assert operation["entity"] == {"id": "e", "type": "t", "name": "n", "valid_from": "2020-01-01T00:00:00Z"}


def test_the_text_backslash_u0000_is_legal_though_the_character_is_not() -> None:
    [operation] = passed('{"operations":[{"op":"delete_entity","id":"\\\\u0000"}]}')
    assert operation["id"] == "\\u0000"


def test_properties_at_the_limit_pass() -> None:
    given = {"deep": nested(DEPTH_MAX - 1), "large": 1e63, "small": 1e-63, "zero": 0.0, "text": "☃ 🦊"}
    [operation] = passed(body_of(upsert(properties=given)))
    assert operation["entity"]["properties"] == given


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.one_of(JSON, st.builds(lambda v: {"operations": v}, JSON), st.builds(lambda v: {"operations": [v]}, JSON)))
def test_any_json_is_passed_or_refused_with_a_type(value: Any) -> None:
    raw = json.dumps(value).encode()
    try:
        json.loads(read_operations(raw, operations_max=1_000).body)
    except IntelGraphError as error:
        assert error.denied.code in ("bad_json", "bad_request", "bad_operation", "too_many_operations")


@given(st.binary(max_size=200))
def test_any_bytes_are_passed_or_refused_with_a_type(raw: bytes) -> None:
    try:
        read_operations(raw, operations_max=1_000)
    except IntelGraphError as error:
        assert error.denied.code in ("bad_json", "bad_request", "bad_operation")
