"""The content digest speaks of content alone, and only of content in order."""

from __future__ import annotations

import msgspec
import pytest

from intelgraph.graph.content_digest import ContentDigest
from intelgraph.graph.objects import Entity, GraphObject, Relationship, read_object
from intelgraph.model.errors import IntelGraphError

TIME = "2020-01-01T00:00:00.000000Z"
A = Entity(id="a", type="t", name="A", created=TIME, updated=TIME)
B = Entity(id="b", type="t", name="B", created=TIME, updated=TIME)
R = Relationship(id="a", type="uses", source="a", target="b", created=TIME, updated=TIME)


def digest(*things: GraphObject) -> str:
    content = ContentDigest()
    for thing in things:
        content.add(thing)
    return content.hexdigest()


def test_the_digest_of_nothing_is_the_hash_of_nothing() -> None:
    assert digest() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_every_field_counts() -> None:
    changes = [
        {"id": "c"},
        {"type": "u"},
        {"name": ""},
        {"properties": {"x": None}},
        {"confidence": 0},
        {"valid_from": TIME},
        {"valid_until": TIME},
        {"sources": ["s"]},
        {"created": "2020-01-01T00:00:00.000001Z"},
        {"updated": "2020-01-01T00:00:00.000001Z"},
    ]
    digests = {digest(msgspec.structs.replace(A, **change)) for change in [{}, *changes]}  # type: ignore[type-var]
    assert len(digests) == len(changes) + 1


def test_revisions_spelling_and_empty_fields_do_not_count() -> None:
    plain = {"id": "a", "type": "t", "name": "A", "created": TIME, "updated": TIME}
    spelled = {**plain, "kind": "entity", "revision": 9, "properties": {}, "confidence": None, "sources": []}
    spelled["created"] = "2020-01-01T01:00:00+01:00"
    assert digest(read_object("entity", spelled)) == digest(read_object("entity", plain))


def test_an_object_out_of_order_is_refused() -> None:
    assert digest(A, B, R)
    for wrong in ((B, A), (A, A), (R, A)):
        with pytest.raises(IntelGraphError, match="order"):
            digest(*wrong)
