"""STIX in and out are inverse: nothing of an object is lost on the way in, nothing invented on the way out."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given

from intelgraph.graph.content_digest import canonical_json
from intelgraph.graph.objects import Entity, GraphObject, Relationship, exact_time, normal_value, read_object
from intelgraph.graph.stix.bundle_source import BundleSource
from intelgraph.graph.stix.mapping import UNKNOWN_TIME, WRAPPER_TYPE, NotMapped, from_stix, to_stix
from intelgraph.graph.stix.read import Limits, Read, read_bundle

from .stix_objects import GENERATED, GRAPH_OBJECTS, STIX

MALWARE = {
    "type": "malware",
    "spec_version": "2.1",
    "id": "malware--31b940d4-6f7f-459a-80ea-9c1f17b5891b",
    "created": "2020-01-01T00:00:00.000Z",
    "modified": "2020-01-02T00:00:00.000Z",
    "name": "Poison Ivy",
    "is_family": True,
}


def as_read(stix: dict[str, Any]) -> GraphObject:
    """The object as it is read from a bundle."""
    data = msgspec.json.encode({"type": "bundle", "objects": [stix]})
    (result,) = read_bundle(BundleSource(io.BytesIO(data)), Limits())
    assert isinstance(result, Read), result
    return result.thing


def through_the_store(thing: GraphObject) -> GraphObject:
    """The object as a region gives it back: numbers are decimals written out in full, names are in another order."""

    def rewrite(value: Any) -> Any:
        if isinstance(value, float):
            decimal = Decimal(repr(value))
            return int(decimal) if decimal == decimal.to_integral_value() else value
        if isinstance(value, dict):
            return {name: rewrite(value[name]) for name in sorted(value, key=lambda name: (len(name), name))}
        return [rewrite(member) for member in value] if isinstance(value, list) else value

    given_back = json.loads(json.dumps({**rewrite(thing_as_dict(thing)), "revision": 7}))
    return read_object(thing.kind, given_back)


def thing_as_dict(thing: GraphObject) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in thing.__struct_fields__}


@GENERATED
@given(STIX)
@example({"type": "malware", "spec_version": "2.1", "id": MALWARE["id"], "confidence": 0.0})
def test_every_property_of_a_stix_object_comes_back(stix: dict[str, Any]) -> None:
    thing = through_the_store(as_read(stix))
    assert normal_value(to_stix(thing)) == normal_value(stix)


@GENERATED
@given(GRAPH_OBJECTS)
def test_every_graph_object_comes_back_whatever_it_holds(thing: GraphObject) -> None:
    stored = through_the_store(thing)
    again = through_the_store(as_read(to_stix(stored)))
    assert canonical_json(again) == canonical_json(stored)


@GENERATED
@given(STIX)
def test_the_store_may_rewrite_numbers_and_order_without_changing_the_digest(stix: dict[str, Any]) -> None:
    thing = as_read(stix)
    assert canonical_json(through_the_store(thing)) == canonical_json(thing)


def test_what_the_graph_knows_becomes_fields_and_the_rest_stays_in_properties() -> None:
    entity = from_stix(
        {
            **MALWARE,
            "confidence": 85,
            "created_by_ref": "identity--x",
            "external_references": [
                {"source_name": "mitre-attack", "external_id": "S0012"},
                {"source_name": "A report"},
            ],
        }
    )
    assert isinstance(entity, Entity)
    assert (entity.name, entity.confidence) == ("Poison Ivy", 85)
    assert entity.created == "2020-01-01T00:00:00.000000Z"
    assert entity.updated == "2020-01-02T00:00:00.000000Z"
    assert entity.sources == ["identity--x", "mitre-attack", "A report"]
    assert set(entity.properties) == {"is_family", "created_by_ref", "external_references"}


def test_a_relationship_keeps_its_ends_and_its_times() -> None:
    relationship = from_stix(
        {
            "type": "relationship",
            "id": "relationship--31b940d4-6f7f-459a-80ea-9c1f17b5891b",
            "spec_version": "2.1",
            "relationship_type": "uses",
            "source_ref": MALWARE["id"],
            "target_ref": MALWARE["id"],
            "created": "2020-01-01T00:00:00Z",
            "modified": "2020-01-01T00:00:00.000Z",
            "start_time": "2019-01-01T00:00:00.000Z",
            "stop_time": "2019-02-01T00:00:00.000Z",
        }
    )
    assert isinstance(relationship, Relationship)
    assert (relationship.type, relationship.source, relationship.target) == ("uses", MALWARE["id"], MALWARE["id"])
    assert relationship.valid_from == "2019-01-01T00:00:00.000000Z"
    assert relationship.properties == {"created": "2020-01-01T00:00:00Z"}  # a spelling that would not come back


def test_an_observable_is_called_by_its_value_and_has_no_time() -> None:
    stix = {"type": "ipv4-addr", "id": "ipv4-addr--31b940d4-6f7f-459a-80ea-9c1f17b5891b", "value": "198.51.100.3"}
    entity = from_stix(stix)
    assert isinstance(entity, Entity)
    assert (entity.name, entity.created, entity.properties) == ("198.51.100.3", UNKNOWN_TIME, {"value": "198.51.100.3"})
    assert to_stix(entity) == stix


def test_a_sighting_is_an_entity_whose_references_stay_in_its_properties() -> None:
    sighting = from_stix(
        {
            "type": "sighting",
            "id": "sighting--31b940d4-6f7f-459a-80ea-9c1f17b5891b",
            "spec_version": "2.1",
            "sighting_of_ref": MALWARE["id"],
            "count": 3,
        }
    )
    assert isinstance(sighting, Entity)
    assert sighting.properties["sighting_of_ref"] == MALWARE["id"]


def test_an_object_that_is_not_stix_travels_whole_in_a_wrapper() -> None:
    thing = Entity(id="host/1", type="Host", name="web", created=UNKNOWN_TIME, updated=UNKNOWN_TIME)
    stix = to_stix(thing)
    assert stix["type"] == WRAPPER_TYPE
    assert from_stix(stix) == thing


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": None}, "missing_type"),
        ({"type": 7}, "bad_type"),
        ({"type": "Malware"}, "bad_type"),
        ({"id": None}, "missing_id"),
        ({"id": "malware--1"}, "bad_id"),
        ({"id": "tool--31b940d4-6f7f-459a-80ea-9c1f17b5891b"}, "bad_id"),
        ({"id": "malware--31b940d4-6f7f-459a-80ea-9c1f17b5891b\n"}, "bad_id"),
        ({"spec_version": "2.0"}, "wrong_spec_version"),
        ({"spec_version": None}, "wrong_spec_version"),
        ({"spec_version": None, "created": None, "modified": None}, "wrong_spec_version"),
        ({"type": "x-y", "id": f"x-y--{MALWARE['id'][9:]}", "spec_version": None}, "wrong_spec_version"),
        ({"created": "yesterday"}, "bad_timestamp"),
        ({"created": "2020-01-01T00:00:00+01:00"}, "bad_timestamp"),
        ({"modified": "2020-02-30T00:00:00Z"}, "bad_timestamp"),
        ({"valid_from": 7}, "bad_timestamp"),
        ({"type": "relationship", "id": "relationship--31b940d4-6f7f-459a-80ea-9c1f17b5891b"}, "missing_property"),
    ],
)
def test_what_is_not_an_object_of_stix_2_1_is_refused_with_its_code(change: dict[str, Any], code: str) -> None:
    stix = {name: value for name, value in {**MALWARE, **change}.items() if value is not None}
    with pytest.raises(NotMapped) as refused:
        from_stix(stix)
    assert refused.value.code == code


def test_a_wrapper_cannot_claim_another_objects_id() -> None:
    stix = to_stix(Entity(id="host/1", type="Host", name="web", created=UNKNOWN_TIME, updated=UNKNOWN_TIME))
    stix["object"]["id"] = "host/2"
    with pytest.raises(NotMapped, match="bad_id"):
        from_stix(stix)


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
        ("2015-06-30T23:59:60.25Z", "2015-07-01T00:00:00.250000Z"),
    ],
)
def test_a_leap_second_is_taken_and_comes_back_as_it_was_written(written: str, exact: str) -> None:
    stix = {**MALWARE, "created": written, "modified": written, "valid_from": written}
    entity = through_the_store(as_read(stix))
    assert (entity.created, entity.updated, entity.valid_from) == (exact, exact, exact)
    assert to_stix(entity) == stix


@pytest.mark.parametrize(
    "written",
    [
        "2016-12-30T23:59:60Z",
        "2016-12-31T22:59:60Z",
        "2016-12-31T23:58:60Z",
        "9999-12-31T23:59:60Z",
        "2016-12-31T23:59:61Z",
    ],
)
def test_a_leap_second_that_cannot_be_is_no_time(written: str) -> None:
    with pytest.raises(NotMapped, match="bad_timestamp"):
        from_stix({**MALWARE, "created": written})


def test_a_leap_second_is_known_in_every_zone() -> None:
    assert exact_time("2017-01-01T01:59:60.5+02:00") == exact_time("2016-12-31T23:59:60.5Z")
    assert exact_time("2016-12-31T23:59:60+02:00") is None


def test_an_id_in_capitals_is_the_same_id() -> None:
    loud = {**MALWARE, "id": "malware--31B940D4-6F7F-459A-80EA-9C1F17B5891B"}
    assert from_stix(loud) == from_stix(MALWARE)
    ends = {"source_ref": loud["id"], "target_ref": loud["id"], "relationship_type": "uses"}
    head = {"type": "relationship", "spec_version": "2.1", "id": f"relationship--{loud['id'][9:]}"}
    relationship = from_stix({**head, **ends})
    assert isinstance(relationship, Relationship)
    assert (relationship.source, relationship.target) == (MALWARE["id"], MALWARE["id"])


def test_what_the_api_wrote_under_an_id_in_capitals_comes_back_as_it_is() -> None:
    thing = Entity(
        id="url--31B940D4-6F7F-459A-80EA-9C1F17B5891B", type="url", name="x", created=UNKNOWN_TIME, updated=UNKNOWN_TIME
    )
    assert from_stix(to_stix(thing)) == thing


def test_an_observable_and_a_custom_one_need_no_spec_version() -> None:
    for stix_type in ("file", "x-acme-thing"):
        assert from_stix({"type": stix_type, "id": f"{stix_type}--{MALWARE['id'][9:]}", "x": 1}).type == stix_type
