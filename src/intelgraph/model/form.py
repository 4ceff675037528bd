"""What is wrong with the form of decoded JSON, said as its client wrote it: msgspec's messages never leave here.

``misshapen`` takes msgspec's error apart: the place (``.operations[1].entity.confidence``) and one clause in the words
of JSON. A message that is not known is told as "it does not have the form it must have".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import msgspec

from intelgraph.model.content import OUT_OF_RANGE, Problem

_PLACE = re.compile(r"(.*?)(?: - at `(?:key in )?\$(.*)`)?", re.DOTALL)
_BYTE = re.compile(r"\(byte (\d+)\)")
_NO_NUMBER = re.compile(rb"[^A-Za-z]?(-?(?:NaN|Infinity|nan|inf))")
_MARKS = ((b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
_UNKNOWN_STEP = "[...]"
_SHOWN_MAX = 100
_TYPES = {
    "int": "a whole number",
    "float": "a number with a point or an exponent",
    "str": "a text",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
    "NoneType": "null",
    "datetime": "a time, such as 2026-01-31T08:00:00Z",
}


_LEAST = {">=": "least", "<=": "most"}


def misshapen(error: msgspec.ValidationError) -> Problem:
    """Return where the value is wrong, and what is."""
    found = _PLACE.fullmatch(str(error))
    assert found is not None
    message, path = found.groups()
    for pattern, clause in _CLAUSES:
        match = pattern.fullmatch(message)
        if match is not None:
            return Problem((path or "").replace(_UNKNOWN_STEP, ""), clause(match))
    return Problem((path or "").replace(_UNKNOWN_STEP, ""), "it does not have the form it must have")


def not_json(error: Exception, text: bytes) -> str:
    """Say why a text is not JSON: what was found, and where."""
    for mark, encoding in _MARKS:
        if text.startswith(mark):
            return f"it begins with the byte order mark of {encoding}; JSON is sent in UTF-8 without one"
    if b"\0" in text[:2]:
        return "it is UTF-16 or UTF-32; JSON is sent in UTF-8"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if not text.strip():
        return "it is empty"
    said = str(error)
    if "truncated" in said:
        return "it ends before it is complete"
    found = _BYTE.search(said)
    at = int(found[1]) if found is not None else None
    where = "" if at is None else f" at byte {at}"
    if "surrogate" in said:
        return f"a text holds half of a surrogate pair{where}"
    if "out of range" in said:
        return f"{OUT_OF_RANGE}{where}"
    word = _NO_NUMBER.match(text, max(0, at - 1)) if at is not None else None
    if word is not None:
        return f"it holds {word[1].decode()}{where}, which is no number of JSON"
    if at is not None and text[at : at + 1] == b"'":
        return f"a text stands in double quotation marks, not in single ones{where}"
    return f"it is malformed{where}"


def quoted(text: str) -> str:
    """A client's own text in a refusal: in quotation marks, and not longer than a sentence bears."""
    return json.dumps(text[:_SHOWN_MAX], ensure_ascii=False) + ("..." if len(text) > _SHOWN_MAX else "")


def _name(types: str) -> str:
    names = [_TYPES.get(name.strip(), name.strip()) for name in types.split("|")]
    return " or ".join(names)


def _expected(found: re.Match[str]) -> str:
    return f"it must be {_name(found[1])}{f', not {_name(found[2])}' if found[2] else ''}"


def _length(found: re.Match[str]) -> str:
    what = "character" if found[1].startswith("str") else "element"
    return f"it must have at {_LEAST[found[2]]} {found[3]} {what}{'' if found[3] == '1' else 's'}"


_CLAUSES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`)?"), _expected),
    (re.compile(r"Expected `([^`]*)` of length (>=|<=) (\d+)"), _length),
    (
        re.compile(r"Expected `int[^`]*` (>=|<=) (-?\d+)"),
        lambda found: f"it must be at {_LEAST[found[1]]} {found[2]}",
    ),
    (
        re.compile(r"Expected `datetime` with a timezone component"),
        lambda _: "the time must have an offset, such as Z",
    ),
    (re.compile(r"Invalid RFC3339 encoded datetime"), lambda _: f"it must be {_TYPES['datetime']}"),
    (re.compile(r"Object missing required field `(.*)`", re.DOTALL), lambda found: f"it lacks the member {found[1]}"),
    (
        re.compile(r"Object contains unknown field `(.*)`", re.DOTALL),
        lambda found: f"its member {quoted(found[1])} is not known here",
    ),
    (
        re.compile(r"Invalid (?:enum )?value '(.*)'", re.DOTALL),
        lambda found: f"{quoted(found[1])} is not known here",
    ),
    (re.compile(r"(?:Integer value|Number) out of range"), lambda _: OUT_OF_RANGE),
)
