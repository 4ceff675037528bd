"""Operations are refused with their index and what is wrong, and what passes is re-encoded, never passed through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.api.write.operations import read_operations
from intelgraph.model.content import DEPTH_MAX, NUL, OUT_OF_RANGE, TOO_DEEP, shown
from intelgraph.model.errors import IntelGraphError

KNOWN = "known are upsert_entity, upsert_relationship, delete_entity, delete_relationship, erase"


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


def test_brackets_without_end_are_refused() -> None:
    assert refused(b'{"operations":' + b"[" * 100_000).denied.code in ("bad_json", "bad_operation")


@pytest.mark.parametrize(
    "body", ["null", "[]", "{}", '{"operations":{}}', '{"operations":[]}', '{"operations":[],"x":1}']
)
def test_json_that_is_not_a_list_of_operations_is_a_bad_request(body: str) -> None:
    assert refused(body).denied.code == "bad_request"


@pytest.mark.parametrize(
    ("operation", "argument", "what"),
    [
        ({}, "", f"it lacks the member op; {KNOWN}"),
        (3, "", "it must be an object, not a whole number"),
        (None, "", "it must be an object, not null"),
        ({"op": "drop_table"}, ".op", f'"drop_table" is not known here; {KNOWN}'),
        ({"op": 3}, ".op", f"it must be a text; {KNOWN}"),
        ({"op": "delete_entity"}, "", "it lacks the member id"),
        ({"op": "delete_entity", "id": ""}, ".id", "it must have at least 1 character"),
        ({"op": "delete_entity", "id": "x" * 257}, ".id", "it must have at most 256 characters"),
        ({"op": "delete_entity", "id": 7}, ".id", "it must be a text, not a whole number"),
        ({"op": "delete_entity", "id": "a", "if_revision": 1}, "", 'its member "if_revision" is not known here'),
        ({"op": "delete_entity", "id": "a\x00b"}, ".id", NUL),
        ({"op": "erase", "ids": []}, ".ids", "it must have at least 1 element"),
        ({"op": "erase", "ids": ["a\x00"]}, ".ids[0]", NUL),
        ({"op": "erase", "ids": ["a", None]}, ".ids[1]", "it must be a text, not null"),
        ({"op": "upsert_entity", "entity": {"id": "e", "type": "t"}}, ".entity", "it lacks the member name"),
        (upsert(colour="red"), ".entity", 'its member "colour" is not known here'),
        (upsert(confidence=101), ".entity.confidence", "it must be at most 100"),
        (upsert(confidence=-1), ".entity.confidence", "it must be at least 0"),
        (
            upsert(confidence=1.5),
            ".entity.confidence",
            "it must be a whole number or null, not a number with a point or an exponent",
        ),
        (upsert(confidence=True), ".entity.confidence", "it must be a whole number or null, not true or false"),
        (upsert(properties=[1]), ".entity.properties", "it must be an object or null, not a list"),
        (upsert(properties={"a": 1e65}), ".entity.properties.a", OUT_OF_RANGE),
        (upsert(properties={"a": [0, -1e-65]}), ".entity.properties.a[1]", OUT_OF_RANGE),
        (upsert(properties={"a b": 10**64}), '.entity.properties["a b"]', OUT_OF_RANGE),
        (upsert(properties={"a": nested(DEPTH_MAX)}), f".entity.properties.a{'[0]' * (DEPTH_MAX - 1)}", TOO_DEEP),
        (upsert(properties={"a": "x\x00"}), ".entity.properties.a", NUL),
        (upsert(properties={"a\x00": 1}), ".entity.properties", "a key contains the character NUL"),
        (upsert(name="x\x00"), ".entity.name", NUL),
        (upsert(sources=["x\x00"]), ".entity.sources[0]", NUL),
        (upsert(sources=[1]), ".entity.sources[0]", "it must be a text, not a whole number"),
        (upsert(valid_from="yesterday"), ".entity.valid_from", "it must be a time, such as 2026-01-31T08:00:00Z"),
        (upsert(valid_from="2020-01-01T00:00:00"), ".entity.valid_from", "the time must have an offset, such as Z"),
        (
            upsert(valid_from="2020-02-30T00:00:00Z"),
            ".entity.valid_from",
            "it must be a time, such as 2026-01-31T08:00:00Z",
        ),
        (
            upsert(valid_from="0001-01-01T00:00:00+14:00"),
            ".entity.valid_from",
            "in UTC the time lies beyond the calendar",
        ),
        (
            upsert(valid_from="9999-12-31T23:59:59-14:00"),
            ".entity.valid_from",
            "in UTC the time lies beyond the calendar",
        ),
        (upsert(type="ä" * 129), ".entity.type", "it has 258 bytes of UTF-8; the limit is 256"),
        (upsert(id="☃" * 171), ".entity.id", "it has 513 bytes of UTF-8; the limit is 512"),
        ({**upsert(), "if_revision": -1}, ".if_revision", "it must be at least 0"),
        ({**upsert(), "if_revision": 2**63}, ".if_revision", f"it must be at most {2**53}"),
    ],
)
def test_a_wrong_operation_is_refused_by_its_clients_name_for_the_place(
    operation: Any, argument: str, what: str
) -> None:
    denied = refused(json.dumps({"operations": [upsert(), operation]})).denied
    assert (denied.code, denied.facts["index"]) == ("bad_operation", 1), denied.reason
    assert denied.facts["argument"] == shown(f"operations[1]{argument}")
    assert denied.reason == f"{denied.facts['argument']} is refused: {what}"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("0", 0),
        ("-0", 0),
        ("-0.0", 0),
        ("0e-400", 0),
        ("99999999999999999999", 99999999999999999999),
        ("9" * 64, int("9" * 64)),
        ("-" + "9" * 64, -int("9" * 64)),
        ("1.10", 1.1),
        ("1E5", 1e5),
        ("1e63", 1e63),
        ("1e-64", 1e-64),
        ("9" * 65, None),
        ("9" * 5_000, None),
        ("1e64", None),
        ("1e400", None),
        ("-1e400", None),
        ("1e-65", None),
        ("1e-400", None),
        ("1e-99999999999", None),
        ("1e99999999999", None),
    ],
)
def test_a_number_is_stored_as_the_one_rule_says_or_refused_by_its_place(text: str, stored: Any) -> None:
    body = '{"operations":[{"op":"upsert_entity","entity":{"id":"e","type":"t","name":"n","properties":{"n":%s}}}]}'
    if stored is None:
        denied = refused(body % text).denied
        assert denied.code == "bad_operation"
        assert denied.reason == f"{denied.facts['argument']} is refused: {OUT_OF_RANGE}"
        assert str(denied.facts["argument"]).startswith("operations[0].entity.properties")
    else:
        [operation] = passed(body % text)
        assert operation["entity"]["properties"]["n"] == stored


UUID = "31B940d4-6f7f-459a-80ea-9c1f17b58abc"


@pytest.mark.parametrize("id_", [UUID, f"malware--{UUID}"])
def test_a_uuid_has_one_spelling(id_: str) -> None:
    denied = refused(body_of(upsert(id=id_))).denied
    assert denied.facts["argument"] == "operations[0].entity.id"
    assert "lower case" in denied.reason
    assert passed(body_of(upsert(id=id_.lower())))
    assert passed(body_of(upsert(id="CVE-2021-44228"), upsert(id="T1059")))


@pytest.mark.parametrize("key", ["", "k" * 100_000, "\u2603", "a.b", "$", "__proto__", "op"])
def test_any_text_is_a_key(key: str) -> None:
    [operation] = passed(body_of(upsert(properties={key: 1})))
    assert operation["entity"]["properties"] == {key: 1}


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
