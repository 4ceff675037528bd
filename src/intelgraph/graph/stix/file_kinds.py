"""What a file is that is no STIX 2.1 bundle, and what to do with it: one sentence each, for whoever chose the file.

``foreign_bytes`` looks at a file's first bytes, ``foreign_json`` at what its JSON turned out to be, ``json_fault`` at
the parser's complaint. Pure: nothing is read here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from intelgraph.graph.objects import Json

HEAD_BYTES = 1_024
ELEVATE = "`stix2_elevator FILE` (of the package stix2-elevator) makes STIX 2.1 of it"
_WRAP = 'put its objects into {"type":"bundle","id":"bundle--UUID","objects":[…]}'
_MISP = "`misp_stix_converter` (of the package misp-stix) makes STIX 2.1 of it"

_PACKED: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive", "unzip it and import what is in it"),
    (b"PK\x05\x06", "an empty zip archive", "there is nothing in it to import"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "zstd -dc FILE | intelgraph import -"),
    (b"BZh", "compressed by bzip2", "bzcat FILE | intelgraph import -"),
    (b"\xfd7zXZ\x00", "compressed by xz", "xzcat FILE | intelgraph import -"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and import what is in it"),
    (b"Rar!\x1a\x07", "a rar archive", "unpack it and import what is in it"),
    (b"\x04\x22\x4d\x18", "compressed by lz4", "lz4 -dc FILE | intelgraph import -"),
    (b"%PDF", "a PDF document", "STIX is JSON: ask its publisher for the bundle"),
    (b"SQLite format 3\x00", "an SQLite database", "export what it holds as STIX 2.1"),
)
_TAR_AT, _TAR = 257, b"ustar"
_ROOT = re.compile(rb"<([A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)")
_XML_PREFACE = re.compile(rb"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>]*>", re.DOTALL | re.IGNORECASE)
_WORD = re.compile(r"[-+]?[A-Za-z_]+|'")
_ARROW_COLUMN = 39
_STIX_TYPE = re.compile(r"[a-z0-9-]{3,40}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """``found``: what it is, after "it is"; ``remedy``: what to do."""

    found: str
    remedy: str

    @property
    def sentence(self) -> str:
        """The end of a refusal."""
        return f"it is {self.found}; {self.remedy}"


def foreign_bytes(head: bytes) -> Foreign | None:
    """What a file that begins with ``head`` is, if that tells that it is no JSON in UTF-8; ``head`` may be all."""
    if not head.strip():
        what = "empty" if not head else "empty: there is white space in it and nothing else"
        return Foreign(found=what, remedy="was it written to its end?") if len(head) < HEAD_BYTES else None
    for magic, found, remedy in _PACKED:
        if head.startswith(magic):
            return Foreign(found=found, remedy=remedy)
    if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        return Foreign(found="a tar archive", remedy="tar -xOf FILE NAME | intelgraph import -")
    encoding = _encoding(head)
    if encoding is not None:
        remedy = f"iconv -f {encoding} -t UTF-8 FILE | intelgraph import -"
        return Foreign(found=f"text in {encoding}, and JSON is UTF-8", remedy=remedy)
    text = head.lstrip()
    return _markup(text) if text.startswith(b"<") else None


def _encoding(head: bytes) -> str | None:
    """The encoding other than UTF-8 that a byte order mark, or zeros beside the first characters, tell."""
    for mark, name in (
        (b"\xff\xfe\x00\x00", "UTF-32"),
        (b"\x00\x00\xfe\xff", "UTF-32"),
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
    ):
        if head.startswith(mark):
            return name
    zeros = [byte == 0 for byte in head[:4]]
    patterns = {
        (True, True, True, False): "UTF-32BE",
        (False, True, True, True): "UTF-32LE",
        (True, False, True, False): "UTF-16BE",
        (False, True, False, True): "UTF-16LE",
    }
    return patterns.get((zeros[0], zeros[1], zeros[2], zeros[3])) if len(zeros) == 4 else None


def _markup(text: bytes) -> Foreign:
    root = _ROOT.search(_XML_PREFACE.sub(b"", text))
    name = root[2].decode("ascii", "replace") if root is not None else ""
    if name.lower() == "html" or text[:14].lower() == b"<!doctype html":
        remedy = "perhaps the answer of a login or an error was saved instead of the file"
        return Foreign(found="a page of HTML", remedy=remedy)
    if name == "STIX_Package" or b"stix.mitre.org" in text:
        return Foreign(found=f"STIX 1 (XML, its root is {name or 'unknown'})", remedy=ELEVATE)
    return Foreign(found=f"XML (its root is {name[:40] or 'unknown'})", remedy="STIX 2.1 is JSON")


def foreign_json(members: Sequence[str], type_: Json, *, has_type: bool) -> Foreign:
    """What a JSON object with these ``members`` is that does not say ``"type":"bundle"``."""
    named = set(members)
    if has_type and isinstance(type_, str):
        if _STIX_TYPE.fullmatch(type_) and type_ != "bundle":
            return Foreign(found=f"one object of type {type_!r}, and no bundle", remedy=_WRAP)
        return Foreign(found=f"an object of type {type_[:40]!r}, not 'bundle'", remedy="a bundle's type is 'bundle'")
    if has_type:
        return Foreign(found=f"an object whose type is {kind_of(type_)}, not 'bundle'", remedy=_WRAP)
    if named & {"Event", "Attribute", "response"}:
        return Foreign(found="JSON of MISP", remedy=_MISP)
    if named & {"stix_header", "STIX_Package"}:
        return Foreign(found="STIX 1 as JSON", remedy=ELEVATE)
    if "objects" in named:
        remedy = 'put "type":"bundle" and "id":"bundle--UUID" into it'
        return Foreign(found="an object with objects and without a type, as TAXII's envelopes are", remedy=remedy)
    listed = ", ".join(repr(name[:30]) for name in members[:5]) + (", …" if len(members) > 5 else "")
    found = f"an object without a type (its members are {listed})" if members else "an object with nothing in it"
    return Foreign(found=found, remedy="a STIX bundle has the type 'bundle'")


def foreign_list(members: Sequence[str], type_: Json, *, empty: bool) -> Foreign:
    """What a JSON list is whose first element has these ``members`` and this ``type_``."""
    if empty:
        return Foreign(found="a JSON list with nothing in it", remedy="a STIX bundle is a JSON object")
    if "Event" in members:
        return Foreign(found="a list of MISP's events", remedy=_MISP)
    what = f"objects, the first of type {type_[:40]!r}" if isinstance(type_, str) else "values, and no bundle"
    return Foreign(found=f"a JSON list of {what}", remedy=_WRAP)


def foreign_value(value: Json) -> Foreign:
    """What a JSON text is that is neither an object nor a list."""
    return Foreign(found=f"JSON, but {kind_of(value)}", remedy="a STIX bundle is a JSON object")


def kind_of(value: Json) -> str:
    """The word for a JSON value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "a number"


def json_fault(complaint: str) -> str:
    """What is wrong with a JSON text, from the parser's complaint; of what the file holds, only words are quoted that
    other languages have for values."""
    first, _, rest = complaint.strip().partition("\n")
    word = _word_at(rest.partition("\n")[0])
    if word.strip("+-").lower() in ("nan", "inf", "infinity"):
        return f"{word} is no JSON number; null says that there is none"
    if word in ("None", "True", "False", "undefined"):
        return f"{word} is no JSON value; JSON writes null, true, false"
    if word == "'":
        return "a name or a text is quoted by ' instead of \""
    if "premature EOF" in first:
        return "it ends too early: was it written to its end?"
    if "trailing garbage" in first:
        return "something follows the first JSON value; a bundle is one JSON object, not lines of them"
    return first.strip()[:120]


def _word_at(excerpt: str) -> str:
    """The word in the parser's excerpt to which its arrow points."""
    for found in _WORD.finditer(excerpt):
        if found.start() <= _ARROW_COLUMN < found.end():
            return found[0]
    return ""
