"""Hypothesis strategies of STIX 2.1 objects, as odd as the format allows, and of graph objects written by the API."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from intelgraph.graph.objects import Entity, Relationship
from intelgraph.graph.stix.mapping import OBSERVABLES
from intelgraph.model.content import problem_of
from tests.cases import cases

GENERATED = settings(deadline=None, max_examples=cases(80), suppress_health_check=[HealthCheck.too_slow])
NUL_FREE = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=20)
NUMBERS = (
    st.integers(-(10**64) + 1, 10**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: problem_of(number) is None)
    | st.sampled_from(
        [
            0.0,
            -0.0,
            1.0,
            1e22,
            9.999999999999999e63,
            1e-64,
            10**64 - 1,
            1.2345678901234568e29,
            123456789012345678901234567890,
            6.352348041570061e16,
            1.2345678901234567e22,
            2**53,
            2**53 + 1,
            -(2**63),
            2**64 - 1,
        ]
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | NUL_FREE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NUL_FREE, inner, max_size=3),
    max_leaves=4,
)
UUIDS = st.uuids().map(str)
TYPES = st.sampled_from(
    ["malware", "indicator", "ipv4-addr", "url", "file", "sighting", "marking-definition", "x-acme-thing", "note"]
)
TIMES = st.builds(
    lambda moment, fraction: f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + fraction + "Z",
    st.datetimes(),
    st.just("") | st.text(string.digits, min_size=1, max_size=9).map(lambda digits: f".{digits}"),
)
REFERENCES = st.lists(
    st.fixed_dictionaries({"source_name": NUL_FREE}, optional={"url": NUL_FREE, "external_id": NUL_FREE}), max_size=3
)


def _ids(stix_type: str) -> st.SearchStrategy[str]:
    return UUIDS.map(lambda number: f"{stix_type}--{number}")


def _common() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "spec_version": st.just("2.1"),
        "created": TIMES,
        "modified": TIMES,
        "confidence": st.integers(-5, 105) | VALUES.filter(lambda value: value is not None),
        "created_by_ref": _ids("identity") | VALUES,
        "external_references": REFERENCES | VALUES,
        "labels": VALUES,
        "aliases": st.lists(NUL_FREE, max_size=2),
        "value": NUL_FREE | VALUES,
        "x_intelgraph_sources": st.lists(NUL_FREE, max_size=2) | VALUES.filter(lambda value: value is not None),
        "object_marking_refs": st.lists(_ids("marking-definition"), max_size=2),
    }


def _but_version() -> dict[str, st.SearchStrategy[Any]]:
    return {name: strategy for name, strategy in _common().items() if name != "spec_version"}


def _with_more(stix: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in more.items() if name not in _TAKEN}, **stix}


_TAKEN = frozenset(
    {"type", "id", "spec_version", "created", "modified", "name", "confidence", "valid_from", "valid_until"}
    | {"start_time", "stop_time", "relationship_type", "source_ref", "target_ref", "x_intelgraph_sources"}
)
_MORE = st.dictionaries(NUL_FREE, VALUES, max_size=3)


def _entity(stix_type: str) -> st.SearchStrategy[dict[str, Any]]:
    optional = {
        **_common(),
        "name": NUL_FREE | VALUES.filter(lambda value: value is not None),
        "valid_from": TIMES,
        "valid_until": TIMES,
    }
    required = {"type": st.just(stix_type), "id": _ids(stix_type)}
    if stix_type not in OBSERVABLES:
        required["spec_version"] = optional.pop("spec_version")
    return st.builds(_with_more, st.fixed_dictionaries(required, optional=optional), _MORE)


ENTITIES = TYPES.flatmap(_entity)
RELATIONSHIPS = st.builds(
    _with_more,
    st.fixed_dictionaries(
        {
            "type": st.just("relationship"),
            "id": _ids("relationship"),
            "relationship_type": NUL_FREE.filter(bool),
            "source_ref": TYPES.flatmap(_ids),
            "target_ref": TYPES.flatmap(_ids),
            "spec_version": st.just("2.1"),
        },
        optional={**_but_version(), "start_time": TIMES, "stop_time": TIMES},
    ),
    _MORE,
)
STIX = ENTITIES | RELATIONSHIPS

EXACT_TIMES = st.datetimes().map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S.%f}".rjust(26, "0") + "Z")
_GRAPH_COMMON: dict[str, st.SearchStrategy[Any]] = {
    "id": NUL_FREE.filter(bool) | TYPES.flatmap(_ids) | _ids("relationship"),
    "type": NUL_FREE.filter(bool) | TYPES | st.just("relationship"),
    "properties": st.dictionaries(
        NUL_FREE | st.sampled_from(["name", "confidence", "created", "type", "id", "spec_version", "source_ref"]),
        VALUES,
        max_size=4,
    ),
    "confidence": st.none() | st.integers(0, 100),
    "valid_from": st.none() | EXACT_TIMES,
    "valid_until": st.none() | EXACT_TIMES,
    "sources": st.lists(NUL_FREE, max_size=3),
    "created": EXACT_TIMES,
    "updated": EXACT_TIMES,
}
GRAPH_ENTITIES = st.builds(Entity, **_GRAPH_COMMON, name=NUL_FREE)
GRAPH_RELATIONSHIPS = st.builds(
    Relationship, **_GRAPH_COMMON, source=TYPES.flatmap(_ids) | NUL_FREE, target=TYPES.flatmap(_ids)
)
GRAPH_OBJECTS = GRAPH_ENTITIES | GRAPH_RELATIONSHIPS
