"""Which of two forms of one object is newer, and whether two forms say the same.

STIX orders the forms of an id by ``modified``. A graph object holds microseconds; a time that was written with more
digits is kept in the properties as it came (``stix.mapping``), and it is that one which counts here. Two forms say the
same when only the spelling of their times or numbers differs.

An observable has no time at all: it has no versions (``is_versioned``), so neither of two forms is newer.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from intelgraph.graph.objects import Entity, GraphObject, Json, canonical_json, exact_time, normal_object
from intelgraph.graph.stix.mapping import UNKNOWN_TIME

_FINER = re.compile(r"\.\d{6}(\d+)", re.ASCII)
_VALIDITY = {"entity": ("valid_from", "valid_until"), "relationship": ("start_time", "stop_time")}


@dataclass(frozen=True, kw_only=True)
class Version:
    """One form of an object: ``modified`` orders as text, to the last digit written; ``content`` is equal for forms
    that say the same."""

    modified: str
    content: bytes
    is_versioned: bool


class Verdict(Enum):
    """What an import does with a form from the file, given the form that the tenant has."""

    WRITE = "write"
    UNCHANGED = "unchanged"
    OLDER = "older_version"
    CONTRADICTION = "contradiction"


def version_of(thing: GraphObject) -> Version:
    """The version of a graph object."""
    content = hashlib.sha256(canonical_json(_content(thing))).digest()[:16]
    versioned = exact_time(thing.updated) != UNKNOWN_TIME
    return Version(modified=_modified(thing), content=content, is_versioned=versioned)


def judge(ours: Version, theirs: Version, *, replace: bool) -> Verdict:
    """Decide about the file's form (``ours``) where the tenant has ``theirs``; with ``replace`` the file's wins.

    Of two forms of one time that differ, nobody can say which is newer: the tenant's stays, and the other is named.
    """
    if ours.content == theirs.content and ours.modified == theirs.modified:
        return Verdict.UNCHANGED
    if replace or ours.modified > theirs.modified:
        return Verdict.WRITE
    if ours.modified < theirs.modified:
        return Verdict.OLDER
    return Verdict.CONTRADICTION if ours.is_versioned else Verdict.WRITE


def ordered_time(text: str) -> str | None:
    """A time as text that orders to the last digit that was written; None when it is no time."""
    exact = exact_time(text)
    if exact is None:
        return None
    finer = _FINER.search(text)
    return exact[:-1] + (finer[1].rstrip("0") if finer else "")


def _modified(thing: GraphObject) -> str:
    """``modified`` as it was written; without one it is ``created``, as it was written."""
    name = "created" if thing.properties.get("modified", "") is None else "modified"
    written = thing.properties.get(name)
    if isinstance(written, str) and exact_time(written) == exact_time(thing.updated):
        return ordered_time(written) or thing.updated
    return ordered_time(thing.updated) or thing.updated


def _content(thing: GraphObject) -> dict[str, Json]:
    """What ``thing`` says, without how its times are spelled and without what marks a STIX property as absent."""
    content = normal_object(thing)
    properties = dict(content.pop("properties", {}))
    fields = zip(_VALIDITY[thing.kind], (thing.valid_from, thing.valid_until), strict=True)
    times: Mapping[str, str | None] = {"created": thing.created, "modified": thing.updated, **dict(fields)}
    for name, field in times.items():
        written = properties.get(name)
        ordered = ordered_time(written) if isinstance(written, str) else None
        if name in properties and (written is None or ordered == ordered_time(field or "")):
            del properties[name]
        elif ordered is not None:
            properties[name] = ordered
    if properties.get("spec_version", "") is None:
        del properties["spec_version"]
    if isinstance(thing, Entity) and properties.get("name", "") is None:
        del properties["name"]
    return {**content, "properties": properties}
