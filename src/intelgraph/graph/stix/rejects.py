"""What an import does not take, and why: one value per refused object, counted, kept short, listed in full on request.

The reasons are a closed list (``REASONS``), one sentence each, so that a person and a program read the same. Memory is
bounded: counts and the first few are kept, the rest goes to the ``sink``, line by line.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO

import orjson

REASONS: dict[str, str] = {
    "bad_id": "the id does not read type--UUID with the object's own type, at most 256 characters",
    "bad_reference": "source_ref or target_ref does not read type--UUID",
    "bad_timestamp": "a time does not read YYYY-MM-DDTHH:MM:SS[.s+]Z, or there is no such time",
    "bad_type": "the type is not 3 to 250 of a-z, 0-9 and single dashes",
    "bad_wrapped_object": "an x-intelgraph-object does not hold an object of IntelGraph",
    "contradiction": "the same id with the same modified time says something else",
    "dangling": "an end is no entity of the file or of the tenant",
    "duplicate": "the file has the same id with the same modified time and content again",
    "duplicate_name": "a property occurs twice in one object",
    "missing_id": "there is no id",
    "missing_property": "relationship_type, source_ref or target_ref is missing",
    "missing_type": "there is no type",
    "not_an_object": "the element of objects is not a JSON object",
    "number_out_of_range": "a number is not 0 or of a magnitude from 1e-64 to below 1e64, or has over 1,000 characters",
    "object_too_large": "the object is larger than the limit",
    "older_version": "there is a newer modified time of the same id",
    "revision_mismatch": "somebody else wrote the object each time that it was about to be written",
    "too_deeply_nested": "the object nests deeper than the limit",
    "unstorable_text": "a text contains U+0000 or half of a surrogate pair",
    "wrong_spec_version": "it is not an object of STIX 2.1",
}

SHOWN_MAX = 20


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """One object not taken. ``position`` counts the elements of ``objects`` from 0; ``detail`` adds the fact."""

    position: int | None
    id: str | None
    code: str
    detail: str = ""

    @property
    def reason(self) -> str:
        """One sentence: the rule, then the fact."""
        rule = REASONS.get(self.code, "the API refused it")
        return f"{rule} ({self.detail})" if self.detail else rule

    def as_json(self) -> dict[str, object]:
        """What ``--rejects`` writes for it."""
        return {"position": self.position, "id": self.id, "code": self.code, "reason": self.reason}


class Rejects:
    """Counts refusals by code, keeps the first ``SHOWN_MAX``, writes each to ``sink`` as a JSON line."""

    def __init__(self, sink: BinaryIO | None = None) -> None:
        self._sink = sink
        self.by_code: Counter[str] = Counter()
        self.shown: list[Rejected] = []

    @property
    def total(self) -> int:
        """How many there are."""
        return self.by_code.total()

    def add(self, rejected: Rejected) -> None:
        """Take one refusal."""
        self.by_code[rejected.code] += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(rejected)
        if self._sink is not None:
            self._sink.write(orjson.dumps(rejected.as_json()) + b"\n")
