"""STIX 2.1 objects to graph objects and back, each the exact inverse of the other.

Forward, the properties that the graph knows become fields: ``name``, ``confidence``, ``created``, ``modified``
(``updated``), ``valid_from`` and ``valid_until`` (of a relationship: ``start_time`` and ``stop_time``), and a
relationship's type and endpoints. ``sources`` is derived: ``created_by_ref``, then the ``source_name`` of each external
reference. Everything else, embedded references included, stays in ``properties`` as it came. A ``sighting`` joins any
number of objects, so it is an entity whose references stay in its properties.

Backward, the fields are rendered. One rule makes the two inverse: a property that rendering would not give back word
for word stays in ``properties`` too, and a property that rendering would invent is marked absent there, by null.
(Null is no STIX value: a null of a mapped property means it is absent.) Absent times: an observable has none, so
``created`` is 1970 and is not rendered; ``modified`` is then ``created``.

A graph object that has no such form (its id is not a STIX id, say) travels whole inside an ``x-intelgraph-object``.
``to_stix`` checks its own work: what would not come back equal is wrapped.

Pure: no I/O, no clock. Reading files is ``stix.read``'s, writing them ``stix.write``'s.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, TypeGuard

import msgspec

from intelgraph.graph.objects import (
    Entity,
    GraphObject,
    Json,
    Relationship,
    exact_time,
    normal_object,
    read_object,
)
from intelgraph.graph.stix.file_kinds import kind_of
from intelgraph.graph.stix.names import fallback_name
from intelgraph.model.errors import PermanentError

WRAPPER_TYPE = "x-intelgraph-object"
SOURCES_PROPERTY = "x_intelgraph_sources"
UNKNOWN_TIME = "1970-01-01T00:00:00.000000Z"
ID_LENGTH_MAX = 256

_NAMESPACE = uuid.UUID("6f0a6d5e-9a58-5c38-8a37-1a7b5b0b2a61")
_TYPE = re.compile(r"[a-z0-9](?:-?[a-z0-9])*", re.ASCII)
_ID = re.compile(r"([a-z0-9-]+)--[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", re.ASCII)
_STIX_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)
_COMMON = ("spec_version", "confidence", "created", "modified", SOURCES_PROPERTY)
_ENTITY_MAPPED = (*_COMMON, "name", "valid_from", "valid_until")
_RELATIONSHIP_MAPPED = (*_COMMON, "start_time", "stop_time")
_ENDS = ("relationship_type", "source_ref", "target_ref")
OBSERVABLES = frozenset(
    """artifact autonomous-system directory domain-name email-addr email-message file ipv4-addr ipv6-addr mac-addr mutex
    network-traffic process software url user-account windows-registry-key x509-certificate""".split()  # noqa: SIM905
)
_VERSIONED = frozenset(
    """attack-pattern campaign course-of-action grouping identity incident indicator infrastructure intrusion-set
    location malware malware-analysis note observed-data opinion report threat-actor tool vulnerability relationship
    sighting language-content marking-definition extension-definition""".split()  # noqa: SIM905
)


class NotMapped(Exception):
    """A STIX object cannot be taken: ``code`` is one of ``stix.rejects.REASONS``."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


def from_stix(stix: Mapping[str, Json]) -> GraphObject:
    """The graph object of one STIX object; raises ``NotMapped``."""
    stix_type, stix_id = _check_identity(stix)
    _check_version(stix, stix_type)
    if stix_type == WRAPPER_TYPE:
        return _unwrap(stix, stix_id)
    if stix_type == "relationship":
        return _relationship(stix, stix_id)
    return _entity(stix, stix_id)


def to_stix(thing: GraphObject) -> dict[str, Json]:
    """The STIX object that ``from_stix`` turns back into ``thing``."""
    native = _render_all(thing)
    try:
        if native is not None:
            again = from_stix(native)
            if again == thing or normal_object(again) == normal_object(thing):
                return native
    except (NotMapped, PermanentError):
        pass
    return _wrap(thing)


def stix_time(exact: str) -> str:
    """An exact time as STIX usually prints it: milliseconds, or microseconds where they are needed."""
    return f"{exact[:-4]}Z" if exact.endswith("000Z") else exact


def _check_identity(stix: Mapping[str, Json]) -> tuple[str, str]:
    stix_type, stix_id = stix.get("type"), stix.get("id")
    if stix_type is None:
        raise NotMapped("missing_type")
    if not isinstance(stix_type, str) or not 3 <= len(stix_type) <= 250 or not _TYPE.fullmatch(stix_type):
        raise NotMapped("bad_type")
    if stix_id is None:
        raise NotMapped("missing_id")
    match = _ID.fullmatch(stix_id) if isinstance(stix_id, str) else None
    if match is None or match[1] != stix_type or len(stix_id) > ID_LENGTH_MAX:
        raise NotMapped("bad_id")
    return stix_type, _lower(stix_id)


def _lower(stix_id: str) -> str:
    """The one spelling of an id: a UUID is the same in capitals (RFC 4122, section 3)."""
    return stix_id.lower()


def _check_version(stix: Mapping[str, Json], stix_type: str) -> None:
    """An object without ``spec_version`` is of STIX 2.0, unless it is an observable (STIX 2.1, section 3.2); of
    the types that STIX does not have, those without times are observables."""
    version = stix.get("spec_version")
    if version == "2.1" or (version is None and stix_type in OBSERVABLES):
        return
    if isinstance(version, str):
        raise NotMapped("wrong_spec_version", f"its spec_version is {version[:20]!r}")
    if version is not None:
        raise NotMapped("wrong_spec_version", f'its spec_version is {kind_of(version)}, and it must be the text "2.1"')
    if stix_type in _VERSIONED or stix.get("created") is not None or stix.get("modified") is not None:
        raise NotMapped("wrong_spec_version", f"a {stix_type} without spec_version is of STIX 2.0")


def _entity(stix: Mapping[str, Json], stix_id: str) -> Entity:
    rest = {name: value for name, value in stix.items() if name not in ("type", "id")}
    name = rest.get("name")
    created, updated = _times(rest)
    entity = Entity(
        id=stix_id,
        type=stix["type"],
        name=name if isinstance(name, str) and name else fallback_name(rest, stix_id),
        properties=rest,
        confidence=_confidence(rest),
        valid_from=_time(rest, "valid_from"),
        valid_until=_time(rest, "valid_until"),
        sources=_sources(rest),
        created=created,
        updated=updated,
    )
    left = _remainder(rest, _render(entity), _ENTITY_MAPPED)
    return msgspec.structs.replace(entity, properties=left)


def _relationship(stix: Mapping[str, Json], stix_id: str) -> Relationship:
    rest = {name: value for name, value in stix.items() if name not in ("type", "id", *_ENDS)}
    ends = [stix.get(name) for name in _ENDS]
    for name, end in zip(_ENDS, ends, strict=True):
        if not isinstance(end, str) or not end:
            raise NotMapped("missing_property", name)
        if name != "relationship_type" and (not _ID.fullmatch(end) or len(end) > ID_LENGTH_MAX):
            raise NotMapped("bad_reference", name)
    created, updated = _times(rest)
    relationship = Relationship(
        id=stix_id,
        type=str(ends[0]),
        source=_lower(str(ends[1])),
        target=_lower(str(ends[2])),
        properties=rest,
        confidence=_confidence(rest),
        valid_from=_time(rest, "start_time"),
        valid_until=_time(rest, "stop_time"),
        sources=_sources(rest),
        created=created,
        updated=updated,
    )
    left = _remainder(rest, _render(relationship), _RELATIONSHIP_MAPPED)
    return msgspec.structs.replace(relationship, properties=left)


def _time(rest: Mapping[str, Json], name: str) -> str | None:
    value = rest.get(name)
    if value is None:
        return None
    exact = exact_time(value) if isinstance(value, str) and _STIX_TIME.fullmatch(value) else None
    if exact is None:
        raise NotMapped("bad_timestamp", name)
    return exact


def _times(rest: Mapping[str, Json]) -> tuple[str, str]:
    created = _time(rest, "created") or UNKNOWN_TIME
    return created, _time(rest, "modified") or created


def _confidence(rest: Mapping[str, Json]) -> int | None:
    value = rest.get("confidence")
    return int(value) if _is_number(value) and 0 <= value <= 100 and value == int(value) else None


def _sources(rest: Mapping[str, Json]) -> list[str]:
    explicit = rest.get(SOURCES_PROPERTY)
    if isinstance(explicit, list) and all(isinstance(source, str) for source in explicit):
        return explicit
    return _derived_sources(rest)


def _derived_sources(properties: Mapping[str, Json]) -> list[str]:
    references = properties.get("external_references")
    named = [properties.get("created_by_ref")]
    if isinstance(references, list):
        named += [reference.get("source_name") for reference in references if isinstance(reference, Mapping)]
    return list(dict.fromkeys(name for name in named if isinstance(name, str) and name))


def _render(thing: GraphObject) -> dict[str, Json]:
    """The mapped properties as the fields alone give them; what is None is not there."""
    known = thing.created != UNKNOWN_TIME
    rendered: dict[str, Json] = {
        "spec_version": "2.1" if known else None,
        "confidence": thing.confidence,
        "created": stix_time(thing.created) if known else None,
        "modified": stix_time(thing.updated) if known or thing.updated != thing.created else None,
        SOURCES_PROPERTY: thing.sources if thing.sources != _derived_sources(thing.properties) else None,
    }
    valid_from = stix_time(thing.valid_from) if thing.valid_from else None
    valid_until = stix_time(thing.valid_until) if thing.valid_until else None
    if isinstance(thing, Entity):
        named = thing.name != fallback_name(thing.properties, thing.id)
        rendered |= {"name": thing.name if named else None, "valid_from": valid_from, "valid_until": valid_until}
    else:
        rendered |= {"start_time": valid_from, "stop_time": valid_until}
    return {name: value for name, value in rendered.items() if value is not None}


def _remainder(rest: Mapping[str, Json], rendered: Mapping[str, Json], mapped: tuple[str, ...]) -> dict[str, Json]:
    """What ``properties`` must hold so that ``rendered`` overlaid with it is ``rest`` again."""
    kept = {name: value for name, value in rest.items() if name not in mapped}
    for name in mapped:
        original, again = rest.get(name), rendered.get(name)
        if original is None and again is not None:
            kept[name] = None
        elif original is not None and not _same(original, again):
            kept[name] = original
    return kept


def _same(left: Json, right: Json) -> bool:
    numbers = _is_number(left) and _is_number(right)  # 0 and 0.0 are one number, as JSON and the database have it
    return (numbers or type(left) is type(right)) and bool(left == right)


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _render_all(thing: GraphObject) -> dict[str, Json] | None:
    """The native form of ``thing``, or None where there plainly is none."""
    head: dict[str, Any] = {"id": thing.id}
    if isinstance(thing, Relationship):
        head |= {"type": "relationship", **dict(zip(_ENDS, (thing.type, thing.source, thing.target), strict=True))}
    else:
        head["type"] = thing.type
    mapped = _ENTITY_MAPPED if isinstance(thing, Entity) else _RELATIONSHIP_MAPPED
    if not head.keys().isdisjoint(thing.properties):
        return None
    both = {**head, **_render(thing), **thing.properties}
    return {name: value for name, value in both.items() if value is not None or name not in mapped}


def _wrap(thing: GraphObject) -> dict[str, Json]:
    created, updated = exact_time(thing.created), exact_time(thing.updated)
    return {
        "type": WRAPPER_TYPE,
        "spec_version": "2.1",
        "id": f"{WRAPPER_TYPE}--{uuid.uuid5(_NAMESPACE, thing.kind + ' ' + thing.id)}",
        "created": stix_time(created or UNKNOWN_TIME),
        "modified": stix_time(updated or UNKNOWN_TIME),
        "kind": thing.kind,
        "object": msgspec.to_builtins(thing),
    }


def _unwrap(stix: Mapping[str, Json], stix_id: str) -> GraphObject:
    kind = stix.get("kind")
    if kind not in ("entity", "relationship"):
        raise NotMapped("bad_wrapped_object", "kind")
    try:
        thing = read_object(kind, stix.get("object"))
    except PermanentError as error:
        raise NotMapped("bad_wrapped_object", error.denied.reason) from error
    if not 1 <= len(thing.id) <= ID_LENGTH_MAX or _wrap(thing)["id"] != stix_id:
        raise NotMapped("bad_id", "it is not the id of the object it wraps")
    return thing
