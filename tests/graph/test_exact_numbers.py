"""A number that the API accepts is the same number after export and import, and after import and export."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intelgraph.client.api_client import Reply
from intelgraph.graph.content_digest import canonical_json
from intelgraph.graph.objects import GraphObject, read_object, upsert_operation
from intelgraph.graph.stix.bundle_source import BundleSource
from intelgraph.graph.stix.mapping import UNKNOWN_TIME
from intelgraph.graph.stix.read import Limits, Read, read_bundle
from intelgraph.graph.stix.rejects import Rejected
from intelgraph.graph.stix.versions import version_of
from intelgraph.graph.stix.write import BundleWriter
from intelgraph.model.content import problem_of, read_float, read_integer

from .stix_objects import GENERATED

_DIGITS = st.text("0123456789", min_size=1, max_size=80)
NUMBER_TEXTS = st.builds(
    lambda sign, whole, fraction, exponent: sign + (whole.lstrip("0") or "0") + fraction + exponent,
    st.sampled_from(["", "-"]),
    _DIGITS,
    st.just("") | _DIGITS.map(lambda digits: "." + digits),
    st.just("") | st.builds("{}{}".format, st.sampled_from(["e", "E+", "e-"]), st.integers(0, 130)),
)


def stored(text: str) -> Decimal | None:
    """The decimal that the API and PostgreSQL make of a number's text; None: it is refused."""
    is_whole = text.lstrip("-").isdigit()
    value = read_integer(text) if is_whole else read_float(text)
    return None if problem_of(value) is not None else Decimal(repr(value))


def answered(number: Decimal) -> bytes:
    """An object as the API answers it: its number is written out, without an exponent."""
    head = {"id": "host/1", "type": "Host", "name": "web", "created": UNKNOWN_TIME, "updated": UNKNOWN_TIME}
    return json.dumps(head)[:-1].encode() + f', "revision": 1, "properties": {{"k": [{number:f}]}}}}'.encode()


def read_answer(body: bytes) -> GraphObject:
    reply = Reply(status=200, body=body, region=None, bookmark=None, retry_after_s=None)
    return read_object("entity", reply.json())


def read_one(bundle: bytes) -> Read | Rejected:
    (element,) = read_bundle(BundleSource(io.BytesIO(bundle)), Limits())
    return element


def sent(thing: GraphObject) -> str:
    """The text of the number in the operation that an import sends."""
    operation = json.loads(upsert_operation(thing), parse_int=str, parse_float=str)
    return str(operation["entity"]["properties"]["k"][0])


@GENERATED
@given(NUMBER_TEXTS)
@example("9" * 64)
@example("123456789012345678901234567890")
@example("18446744073709551616")
@example("-9223372036854775809")
@example("1.2345678901234567e22")
@example("6.352348041570061e16")
@example("9.999999999999999e63")
@example("1e-64")
@example("-0.0")
def test_what_is_exported_is_imported_as_the_same_number(text: str) -> None:
    number = stored(text)
    if number is None:
        return
    thing = read_answer(answered(number))
    target = io.BytesIO()
    writer = BundleWriter(target)
    writer.add(thing)
    writer.finish()
    element = read_one(target.getvalue())
    assert isinstance(element, Read), element
    assert stored(sent(element.thing)) == number
    assert canonical_json(element.thing) == canonical_json(thing)
    assert version_of(element.thing) == version_of(thing)


@GENERATED
@given(NUMBER_TEXTS)
@example("9" * 64)
@example("1" + "0" * 64)
@example("1e64")
@example("1e-65")
@example("0.0e5")
@example("6.352348041570061e16")
def test_what_is_imported_is_stored_as_if_the_api_had_been_given_it(text: str) -> None:
    head = '{"type":"url","id":"url--31b940d4-6f7f-459a-80ea-9c1f17b5891b"'
    element = read_one(f'{{"type":"bundle","objects":[{head},"k":[{text}]}}]}}'.encode())
    number = stored(text)
    if number is None:
        assert isinstance(element, Rejected)
        assert element.code == "number_out_of_range"
        return
    assert isinstance(element, Read), element
    assert stored(sent(element.thing)) == number
    given_back = {"k": msgspec.json.decode(f"[{number:f}]".encode())}
    assert canonical_json(msgspec.structs.replace(element.thing, properties=given_back)) == canonical_json(
        element.thing
    )


@pytest.mark.parametrize(("one", "other"), [("1" * 30, "1" * 29 + "2"), (str(2**64), str(2**64 + 1))])
def test_numbers_that_a_double_cannot_tell_apart_have_two_digests_and_two_versions(one: str, other: str) -> None:
    things = [read_answer(answered(Decimal(text))) for text in (one, other)]
    assert len({canonical_json(thing) for thing in things}) == 2
    assert len({version_of(thing).content for thing in things}) == 2
