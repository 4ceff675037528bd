"""What a client may ask to be written: the operations of ``POST /v1/changes``, validated and re-encoded.

What is sent to the database is the *re-encoding* of what was validated here, never the client's bytes: two JSON readers
then cannot disagree about a repeated key, an escape or a number. Of a repeated key the last one counts.

Refused here, before the database sees it: unknown operations and fields, NUL characters, times without an offset or
beyond the calendar, nesting beyond ``DEPTH_MAX``, numbers beyond ``NUMBER_DIGITS_MAX`` digits (PostgreSQL would write
1e308 out in full), and what has more than ``STORED_BYTES_MAX`` bytes when its numbers are written out. Whether an
operation fits the graph is the database's part.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct

from intelgraph.model.errors import PermanentError, refuse

DEPTH_MAX = 32
NUMBER_DIGITS_MAX = 64
STORED_BYTES_MAX = 12 * 1024 * 1024
"""A row of the log has no more, as it is stored and sent: the same as `ig.row_bytes_max`, which has the last word."""
_GROWS_AT_MOST = 16
"""A number has five characters at least where its exponent is written, and 66 at most where it is written out."""
_PLAIN_DIGITS = 16
"""A number of fewer digits is written without an exponent."""
_EXPONENT = re.compile(rb"[0-9]e[-+]?[0-9]")
_LARGE, _SMALL = 10**NUMBER_DIGITS_MAX, 10.0**-NUMBER_DIGITS_MAX

Id = Annotated[str, Meta(min_length=1, max_length=256)]
Type = Annotated[str, Meta(min_length=1, max_length=256)]
Text = Annotated[str, Meta(max_length=65_536)]
Source = Annotated[str, Meta(max_length=4_096)]
Confidence = Annotated[int, Meta(ge=0, le=100)]
Revision = Annotated[int, Meta(ge=0, le=2**53)]
Time = Annotated[datetime, Meta(tz=True)]


class _Strict(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An unknown field is refused; one that is not given is not passed on."""


class _Described(_Strict, kw_only=True):
    """What entities and relationships share; a field that is null is one that is not given."""

    id: Id
    type: Type
    properties: dict[str, Any] | None = None
    confidence: Confidence | None = None
    valid_from: Time | None = None
    valid_until: Time | None = None
    sources: list[Source] | None = None
    created: Time | None = None
    updated: Time | None = None


class Entity(_Described, kw_only=True):
    """An entity as it is given, whole."""

    name: Text


class Relationship(_Described, kw_only=True):
    """A relationship as it is given, whole."""

    source: Id
    target: Id


class UpsertEntity(
    Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="op", tag="upsert_entity"
):
    """Write an entity whole; ``if_revision`` 0 means that it must not exist."""

    entity: Entity
    if_revision: Revision | None = None


class UpsertRelationship(
    Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="op", tag="upsert_relationship"
):
    """Write a relationship whole."""

    relationship: Relationship
    if_revision: Revision | None = None


class DeleteEntity(
    Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="op", tag="delete_entity"
):
    """Delete an entity and its relationships."""

    id: Id


class DeleteRelationship(
    Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="op", tag="delete_relationship"
):
    """Delete a relationship."""

    id: Id


class Erase(_Strict, kw_only=True, tag_field="op", tag="erase"):
    """Redact whatever has these ids, everywhere and for ever."""

    ids: Annotated[list[Id], Meta(min_length=1)]


Operation = UpsertEntity | UpsertRelationship | DeleteEntity | DeleteRelationship | Erase


class Changes(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/changes``."""

    operations: Annotated[list[Operation], Meta(min_length=1)]


_DECODER = msgspec.json.Decoder(Changes)
_ENCODER = msgspec.json.Encoder(order="deterministic")
_AT_OPERATION = re.compile(r"(.*) - at `(\$\.operations\[(\d+)\].*)`", re.DOTALL)
_SHOWN_MAX = 200


class Operations(Struct, frozen=True, kw_only=True):
    """What a request appends: the JSON array that ``ig.append`` takes, and what it holds."""

    body: bytes
    """Canonical: one text for whatever means the same, in the order of the request."""
    count: int
    only_upserts: bool

    def fingerprint(self) -> bytes:
        """Return what a repeat of an ``Idempotency-Key`` is known by: what is meant, however it was sent.

        GraphQL or not, by hash or by text, with variables or without, in whichever order of members.
        """
        return hashlib.sha256(self.body).digest()


def read_operations(body: bytes, *, operations_max: int) -> Operations:
    """Validate the body of a request."""
    return _checked(_decode(lambda: _DECODER.decode(body)), operations_max=operations_max)


def check_operations(made: list[dict[str, Any]], *, operations_max: int) -> Operations:
    """Validate operations that are no text yet, in the same way."""
    return _checked(_decode(lambda: msgspec.convert({"operations": made}, Changes)), operations_max=operations_max)


def _checked(changes: Changes, *, operations_max: int) -> Operations:
    operations = changes.operations
    count = sum(len(operation.ids) if isinstance(operation, Erase) else 1 for operation in operations)
    if count > operations_max:
        raise refuse(
            "too_many_operations",
            f"the request is refused: it has {count} operations (every erased id counts); the limit is "
            f"{operations_max}",
            operations=count,
            limit=operations_max,
        )
    for index, operation in enumerate(operations):
        problem = _problem(operation)
        if problem is not None:
            raise _bad_operation(index, problem)
    body = _ENCODER.encode(operations)
    if b"\\u0000" in body:
        # The escape may also be the text "\\u0000", which is legal: look at what was decoded.
        for index, operation in enumerate(operations):
            problem = _content_problem(msgspec.to_builtins(operation), DEPTH_MAX + 8)
            if problem is not None:
                raise _bad_operation(index, problem)
    _check_stored_size(operations, body)
    only_upserts = all(isinstance(operation, UpsertEntity | UpsertRelationship) for operation in operations)
    return Operations(body=body, count=count, only_upserts=only_upserts)


def _check_stored_size(operations: list[Operation], body: bytes) -> None:
    """Refuse what grows beyond a row's size when PostgreSQL writes its numbers out."""
    if len(body) * _GROWS_AT_MOST <= STORED_BYTES_MAX or not _EXPONENT.search(body):
        return
    described = (
        getattr(operation, "entity", None) or getattr(operation, "relationship", None) for operation in operations
    )
    size = len(body) + sum(_zeros(given.properties) for given in described if given is not None)
    if size > STORED_BYTES_MAX:
        raise refuse(
            "write_too_large",
            f"the write is refused: as it is stored it has some {size} bytes, since its numbers are written out; the "
            f"limit is {STORED_BYTES_MAX}",
            bytes=size,
            limit=STORED_BYTES_MAX,
        )


def _zeros(value: object) -> int:
    """Return about how many digits are written out where an exponent is given."""
    found = 0
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, float):
            digits = abs(math.frexp(part)[1]) * math.log10(2)
            found += int(digits) if digits >= _PLAIN_DIGITS else 0
        elif isinstance(part, dict):
            stack.extend(part.values())
        elif isinstance(part, list):
            stack.extend(part)
    return found


def _decode(read: Callable[[], Changes]) -> Changes:
    try:
        return read()
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None
    except msgspec.DecodeError as error:
        raise refuse("bad_json", f"the request is refused: its body is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise refuse("bad_json", "the request is refused: its body is not UTF-8") from None
    except RecursionError:
        raise refuse("bad_json", "the request is refused: its body is nested too deeply") from None
    except ValueError:
        raise refuse("bad_json", "the request is refused: its body holds a number that is too long") from None


def _refused(message: str) -> PermanentError:
    found = _AT_OPERATION.fullmatch(message)
    if found is None:
        return refuse("bad_request", f"the request is refused: {message[:_SHOWN_MAX]}")
    what, path, index = found.groups()
    return _bad_operation(int(index), f"{what[:_SHOWN_MAX]} at {path[:_SHOWN_MAX]}")


def _bad_operation(index: int, what: str) -> PermanentError:
    return refuse("bad_operation", f"operation {index} is refused: {what}", index=index)


def _problem(operation: Operation) -> str | None:
    if isinstance(operation, UpsertEntity):
        return _settle(operation.entity)
    if isinstance(operation, UpsertRelationship):
        return _settle(operation.relationship)
    return None


def _settle(given: Entity | Relationship) -> str | None:
    """Turn times to UTC in place and look through the properties; return what is wrong."""
    for name in ("valid_from", "valid_until", "created", "updated"):
        at = getattr(given, name)
        if isinstance(at, datetime) and at.tzinfo is not UTC:
            try:
                setattr(given, name, at.astimezone(UTC))
            except OverflowError:
                return f"{name} lies beyond the calendar in UTC"
    return _content_problem(given.properties, DEPTH_MAX) if given.properties else None


def _content_problem(value: object, depth_left: int) -> str | None:
    if isinstance(value, str):
        return "a text contains the character NUL" if "\x00" in value else None
    if isinstance(value, float | int):
        if value and not _SMALL < abs(value) < _LARGE:
            return f"a number has more than {NUMBER_DIGITS_MAX} digits before or after the point"
        return None
    if value is None:
        return None
    if depth_left == 0:
        return f"its properties are nested deeper than {DEPTH_MAX} levels"
    parts: Iterable[object] = (
        chain.from_iterable(value.items()) if isinstance(value, dict) else cast(list[object], value)
    )
    for part in parts:
        problem = _content_problem(part, depth_left - 1)
        if problem is not None:
            return problem
    return None
