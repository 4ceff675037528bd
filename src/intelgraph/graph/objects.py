"""Entities and relationships as the API takes and gives them, whole, and the one normal form they are compared in.

An ``Entity`` or ``Relationship`` is what an upsert carries (docs/log.md, "Rows"): no revision, no tenant. Reading one
from JSON ignores members that are not content (``kind``, ``revision``). What does not belong here: STIX (see
``stix.mapping``), HTTP, files.

Numbers are whole and exact, or IEEE 754 doubles (``model.content``): whatever stores them may print ``1e2`` as ``100``,
so comparisons are made on values, never on digits. JSON is read and written by msgspec, which keeps a whole number of
any length; orjson makes a double of one beyond 64 bits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import msgspec

from intelgraph.model.errors import refuse
from intelgraph.model.form import misshapen

Json = Any
Kind = Literal["entity", "relationship"]

_CANONICAL = msgspec.json.Encoder(order="deterministic")
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)


class _Described(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What both kinds of object say: ``confidence`` is 0..100; times are RFC 3339 UTC with microseconds and ``Z``."""

    id: str
    type: str
    properties: dict[str, Json] = {}
    confidence: int | None = None
    valid_from: str | None = None
    valid_until: str | None = None
    sources: list[str] = []
    created: str
    updated: str


class Entity(_Described, frozen=True, kw_only=True, omit_defaults=True):
    """A node."""

    name: str

    @property
    def kind(self) -> Kind:
        """The word the log uses for this kind of object."""
        return "entity"


class Relationship(_Described, frozen=True, kw_only=True, omit_defaults=True):
    """An edge from the entity ``source`` to the entity ``target``."""

    source: str
    target: str

    @property
    def kind(self) -> Kind:
        """The word the log uses for this kind of object."""
        return "relationship"


GraphObject = Entity | Relationship


def read_object(kind: Kind, value: object) -> GraphObject:
    """Read an object of the API's JSON; refuses with ``bad_object`` what is not one."""
    try:
        return msgspec.convert(value, Entity) if kind == "entity" else msgspec.convert(value, Relationship)
    except msgspec.ValidationError as error:
        problem = misshapen(error)
        raise refuse("bad_object", f"the {kind}{problem.path} is refused: {problem.what}", kind=kind) from error


def upsert_operation(thing: GraphObject) -> bytes:
    """The JSON of the operation that stores ``thing`` whole."""
    return msgspec.json.encode({"op": f"upsert_{thing.kind}", thing.kind: thing})


def canonical_json(value: Json) -> bytes:
    """The JSON of a value: members sorted by name, no spaces."""
    return _CANONICAL.encode(value)


@lru_cache(maxsize=8_192)
def exact_time(text: str) -> str | None:
    """``text`` (RFC 3339) as UTC with microseconds and ``Z``, finer digits cut off; None when it is not a time.

    A leap second, 23:59:60 at the end of a month, is the first second of the next one, as in PostgreSQL.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    seconds, fraction, zone = match.groups()
    try:
        leaps = seconds.endswith(":60")
        moment = datetime.fromisoformat(seconds[:-2] + "59" if leaps else seconds).replace(tzinfo=UTC)
        if zone != "Z":
            hours, minutes = int(zone[1:3]), int(zone[4:6])
            if hours > 23 or minutes > 59:
                return None
            offset = timedelta(hours=hours, minutes=minutes)
            moment = moment - offset if zone[0] == "+" else moment + offset
        if leaps:
            moment += timedelta(seconds=1)
            if (moment.day, moment.hour, moment.minute) != (1, 0, 0):
                return None
    except (ValueError, OverflowError):
        return None
    micros = (fraction or "")[:6].ljust(6, "0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f".{micros}Z"


def normal_number(number: float) -> int | float:
    """The one form of a number: exact if it is whole, otherwise a double.

    Of a whole double beyond 2^53 its shortest spelling counts, as for a store of decimals: 6.352348041570061e16 is
    63523480415700610, whatever the double's last digits are.
    """
    if isinstance(number, int) or not number.is_integer():
        return number
    return int(number) if abs(number) < 2**53 else int(Decimal(repr(number)))


def normal_value(value: Json) -> Json:
    """``value`` with every number in its one form; mappings and lists are copied, order of names is kept."""
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return normal_number(value)
    if isinstance(value, Mapping):
        return {name: normal_value(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [normal_value(member) for member in value]
    raise TypeError(f"not a JSON value: {type(value).__name__}")


def normal_object(thing: GraphObject) -> dict[str, Json]:
    """Everything that is content of ``thing``, with its kind and without its revision, in normal form: what is at its
    default (null, or nothing in it) is left out."""
    content: dict[str, Json] = normal_value(msgspec.to_builtins(thing))
    for name in ("created", "updated", "valid_from", "valid_until"):
        if name in content:
            content[name] = exact_time(content[name]) or content[name]
    return {"kind": thing.kind, **content}
