"""What a client may ask to be written: the operations of ``POST /v1/changes``, validated and re-encoded.

What is sent to the database is the *re-encoding* of what was validated here, never the client's bytes: two JSON readers
then cannot disagree about a repeated key, an escape or a number. Of a repeated key the last one counts.

Refused here, before the database sees it: unknown operations and fields, times without an offset or beyond the
calendar, ids and types of too many bytes, what ``model.content`` says may not be
stored, and what has more than ``STORED_BYTES_MAX`` bytes when its numbers are written out. A refusal names the place
as its client wrote it: ``Naming`` turns an operation's number and a path inside it into that. Whether an operation fits
the graph is the database's part.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta, Struct

from intelgraph.model.content import DEPTH_MAX, Problem, problem_of, read_float, shown
from intelgraph.model.errors import PermanentError, refuse
from intelgraph.model.form import misshapen, not_json

ID_BYTES_MAX, TYPE_BYTES_MAX = 512, 256
"""Of UTF-8: an object's type and three ids fit into one entry of an index."""
STORED_BYTES_MAX = 12 * 1024 * 1024
"""A row of the log has no more, as it is stored and sent: the same as `ig.row_bytes_max`, which has the last word."""
_GROWS_AT_MOST = 16
"""A number has five characters at least where its exponent is written, and 66 at most where it is written out."""
_PLAIN_DIGITS = 16
"""A number of fewer digits is written without an exponent."""
_EXPONENT = re.compile(rb"[0-9]e[-+]?[0-9]")

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
_KNOWN = tuple(str(each.__struct_config__.tag) for each in get_args(Operation))


class Changes(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/changes``."""

    operations: Annotated[list[Operation], Meta(min_length=1)]


_DECODER = msgspec.json.Decoder(Changes, float_hook=read_float)
_ENCODER = msgspec.json.Encoder(order="deterministic")
_UPPER_UUID = re.compile(r"(?:.*--)?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII | re.DOTALL)
_IN_OPERATION = re.compile(r"\.operations\[(\d+)\](.*)", re.DOTALL)
_PREFIX = re.compile(r"operation \d+ is refused: ")

Naming = Callable[[int, str], str]
"""Takes an operation's number and a path inside it (``.entity.name``; empty: the operation itself); returns the name by
which its client knows that place."""


def in_changes(index: int, path: str) -> str:
    """Name a place in the body of ``POST /v1/changes``."""
    return f"operations[{index}]{path}"


class Operations(Struct, frozen=True, kw_only=True):
    """What a request appends: the JSON array that ``ig.append`` takes, and what it holds."""

    body: bytes
    """Canonical: one text for whatever means the same, in the order of the request."""
    count: int
    only_upserts: bool
    erases: bool = False

    def fingerprint(self) -> bytes:
        """Return what a repeat of an ``Idempotency-Key`` is known by: what is meant, however it was sent.

        GraphQL or not, by hash or by text, with variables or without, in whichever order of members.
        """
        return hashlib.sha256(self.body).digest()


def read_operations(body: bytes, *, operations_max: int) -> Operations:
    """Validate the body of a request."""
    return _checked(_decode(lambda: _DECODER.decode(body), body, in_changes), in_changes, operations_max=operations_max)


def check_operations(made: list[dict[str, Any]], naming: Naming, *, operations_max: int) -> Operations:
    """Validate operations that are no text yet, in the same way."""
    return _checked(
        _decode(lambda: msgspec.convert({"operations": made}, Changes), b"", naming),
        naming,
        operations_max=operations_max,
    )


def bad_operation(index: int, problem: Problem, naming: Naming) -> PermanentError:
    """Build the refusal of one operation."""
    argument = shown(naming(index, problem.path))
    return refuse("bad_operation", f"{argument} is refused: {problem.what}", index=index, argument=argument)


def renamed(error: PermanentError, naming: Naming) -> PermanentError:
    """Return the database's refusal of one operation with the place named as its client wrote it."""
    denied = error.denied
    index = denied.facts.get("index")
    if not isinstance(index, int) or "argument" in denied.facts:
        return error
    part = denied.facts.get("part")
    argument = shown(naming(index, "" if part is None else f".ids[{part}]"))
    reason = _PREFIX.sub(lambda _: f"{argument} is refused: ", denied.reason, count=1)
    return refuse(denied.code, reason, **{**denied.facts, "argument": argument})


def _checked(changes: Changes, naming: Naming, *, operations_max: int) -> Operations:
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
            raise bad_operation(index, problem, naming)
    body = _ENCODER.encode(operations)
    if b"\\u0000" in body:
        # The escape may also be the text "\\u0000", which is legal: look at what was decoded.
        for index, operation in enumerate(operations):
            problem = problem_of(msgspec.to_builtins(operation), DEPTH_MAX + 8)
            if problem is not None:
                raise bad_operation(index, problem, naming)
    _check_stored_size(operations, body)
    return Operations(
        body=body,
        count=count,
        only_upserts=all(isinstance(operation, UpsertEntity | UpsertRelationship) for operation in operations),
        erases=any(isinstance(operation, Erase) for operation in operations),
    )


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


def _decode(read: Callable[[], Changes], body: bytes, naming: Naming) -> Changes:
    try:
        return read()
    except msgspec.ValidationError as error:
        problem = misshapen(error)
        found = _IN_OPERATION.fullmatch(problem.path)
        if found is not None:
            raise bad_operation(int(found[1]), _with_known(Problem(found[2], problem.what)), naming) from None
        raise refuse("bad_request", f"{_member(problem.path)} is refused: {problem.what}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refuse("bad_json", f"the request's body is not JSON: {not_json(error, body)}") from None


def _with_known(problem: Problem) -> Problem:
    """Name the operations that there are where one is missing or not among them."""
    if problem.path == ".op" or (problem.path, problem.what) == ("", "it lacks the member op"):
        return Problem(problem.path, f"{problem.what}; known are {', '.join(_KNOWN)}")
    return problem


def _member(path: str) -> str:
    return shown(path.removeprefix(".")) or "the request's body"


def _problem(operation: Operation) -> Problem | None:
    """Turn times to UTC in place; return what is wrong."""
    if isinstance(operation, UpsertEntity):
        given: Entity | Relationship = operation.entity
        problem = _settle(given)
        return problem and problem.inside("entity")
    if isinstance(operation, UpsertRelationship):
        problem = _settle(operation.relationship)
        return problem and problem.inside("relationship")
    return None


def _settle(given: Entity | Relationship) -> Problem | None:
    for name in ("valid_from", "valid_until", "created", "updated"):
        at = getattr(given, name)
        if isinstance(at, datetime) and at.tzinfo is not UTC:
            try:
                setattr(given, name, at.astimezone(UTC))
            except OverflowError:
                return Problem(f".{name}", "in UTC the time lies beyond the calendar")
    for name, limit in (("id", ID_BYTES_MAX), ("type", TYPE_BYTES_MAX)):
        text: str = getattr(given, name)
        if len(text) * 4 > limit and (size := len(text.encode())) > limit:
            return Problem(f".{name}", f"it has {size} bytes of UTF-8; the limit is {limit}")
    if given.id != given.id.lower() and _UPPER_UUID.fullmatch(given.id):
        return Problem(
            ".id",
            "its UUID must be in lower case: ids are compared character by character, and another spelling would be "
            "another object",
        )
    problem = problem_of(given.properties) if given.properties else None
    return problem and problem.inside("properties")
