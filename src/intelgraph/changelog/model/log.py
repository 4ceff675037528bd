"""The reference: what may be concluded from rows of one placement. What a region holds of them is `holding`.

For: being obviously right. Every answer here is a function of a *set* of rows, computed from nothing each time; there
is no incremental path, no index, no lock and no order of arrival. The database's half is compared with it after every
step of the state machine. Never used by the product, and never made faster.

What does not belong here: how operations become objects (`append`), SQL, clocks, chance.

Decisions taken where docs/log.md leaves room:

- *Only writes can be adopted.* An `adopt` that names an `open`, `adopt` or `reject` row changes nothing.
- *An open in force* is one that every open in force above it holds inside its cut; `adopt` cannot put one in force.
- *Two opens of one epoch* are a fault of the control store; if it happens, the highest identity stands for it.
- *A later reject takes an adoption back*: both being accepted, the higher (epoch, position) decides, so a row adopted
  first and rejected later is inert again. A reject of a row that needs no adoption changes nothing.
- *Erasure reads every whole row of a known version*: inert rows, and rows kept while the placement is held. A held
  placement may not delay an erasure. Stubs have no body and rows of unknown version are not read.
- *The classes are asked in the order* illegal, duplicate, conflict, adoptable: an erased id blocks adoption, whatever
  else is true of the row. A relationship's endpoint exists if it has a live state or if the row itself brings it. A row
  whose adoption would leave a relationship without an end, because it deletes one, is a conflict too.
- *A writer is (origin, life)*: a region in a new life is not the home that its former life was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

BUCKET_POSITIONS = 4096

Object = Mapping[str, Any]


class Writer(NamedTuple):
    """A region in one life of its database."""

    origin: str
    life: int


class Identity(NamedTuple):
    """What makes a row itself."""

    origin: str
    life: int
    position: int

    @property
    def writer(self) -> Writer:
        return Writer(self.origin, self.life)


class ObjectKey(NamedTuple):
    """Ids are unique within a tenant and a kind."""

    tenant: str
    kind: str
    id: str


class Kind(Enum):
    WRITE = "write"
    OPEN = "open"
    ADOPT = "adopt"
    REJECT = "reject"


class Status(Enum):
    APPLIED = "applied"
    INERT = "inert"
    HELD = "held"
    DROPPED = "dropped"


class Class(Enum):
    ILLEGAL = "illegal"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    ADOPTABLE = "adoptable"


Ranges = tuple[tuple[int, int], ...]
"""Positions as inclusive ranges."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The facts of an `open`: who may hold the placement from here on, and what its home held of earlier origins."""

    regions: frozenset[str]
    cut: Mapping[Writer, Ranges]

    def holds(self, identity: Identity) -> bool:
        return any(low <= identity.position <= high for low, high in self.cut.get(identity.writer, ()))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the log. ``stub`` rows have lost everything but identity, epoch, kind and digest.

    ``touched`` are the ids the row touched when it was written: ``objects`` may lack those erased before it came.
    """

    identity: Identity
    epoch: int
    kind: Kind
    digest: int
    version: int = 1
    tenant: str | None = None
    key: str | None = None
    request: str | None = None
    replicate_to: frozenset[str] = frozenset()
    objects: tuple[Object, ...] = ()
    touched: frozenset[str] = frozenset()
    opening: Opening | None = None
    named: frozenset[Identity] = frozenset()
    stub: bool = False

    @property
    def rank(self) -> tuple[int, int]:
        """What orders the forms of an object, and the decisions about a row."""
        return (self.epoch, self.identity.position)

    def as_stub(self) -> Row:
        return replace(self, tenant=None, key=None, request=None, objects=(), touched=frozenset(), stub=True)


Rows = Mapping[Identity, Row]


class Form(NamedTuple):
    """The state of one object: its whole form, and the row that gave it."""

    object: Object
    epoch: int
    row: Identity

    @property
    def alive(self) -> bool:
        return not self.object.get("deleted", False)


# ---------------------------------------------------------------------------------------------- acceptance


def opens(rows: Rows) -> list[Row]:
    """The `open` rows held, the highest epoch first."""
    found = (row for row in rows.values() if row.kind is Kind.OPEN)
    return sorted(found, key=lambda row: (row.epoch, row.identity), reverse=True)


def in_force(rows: Rows) -> list[Row]:
    """The opens that stand: the highest, and below it those inside the cut of every one that stands above."""
    standing: list[Row] = []
    for row in opens(rows):
        if all(above.epoch > row.epoch and opening_of(above).holds(row.identity) for above in standing):
            standing.append(row)
    return standing


def uncut(rows: Rows) -> set[Identity]:
    """The rows inside the cut of every open in force of a later epoch."""
    standing = in_force(rows)
    return {
        row.identity
        for row in rows.values()
        if all(opening_of(above).holds(row.identity) for above in standing if above.epoch > row.epoch)
    }


def decisions(rows: Rows) -> dict[Identity, Row]:
    """For each row named by accepted `adopt` and `reject` rows, the one that decides: the highest."""
    inside = uncut(rows)
    deciding: dict[Identity, Row] = {}
    for row in sorted(rows.values(), key=lambda row: row.rank):
        if row.kind in (Kind.ADOPT, Kind.REJECT) and row.identity in inside:
            deciding.update(dict.fromkeys(row.named, row))
    return deciding


def accepted(rows: Rows) -> set[Identity]:
    """The rows that count: inside every cut, or adopted."""
    decided = decisions(rows)
    adopted = {
        row.identity
        for row in rows.values()
        if row.kind is Kind.WRITE and row.identity in decided and decided[row.identity].kind is Kind.ADOPT
    }
    return uncut(rows) | adopted


def opening_of(row: Row) -> Opening:
    """What an `open` says; a row that is none has no such facts."""
    if row.opening is None:
        raise ValueError(f"the open {row.identity} has no facts")
    return row.opening


# --------------------------------------------------------------------------------------------------- state


def erased(rows: Iterable[Row]) -> set[tuple[str, str]]:
    """The (tenant, id) pairs that any of these rows erases, accepted or not."""
    return {(str(row.tenant), item["id"]) for row in rows for item in row.objects if item["kind"] == "erased"}


def state(rows: Rows) -> dict[ObjectKey, Form]:
    """Every object's form in the highest accepted row that touches it; erased ids have none."""
    return forms_of(rows, accepted(rows))


def forms_of(rows: Rows, counted: Iterable[Identity]) -> dict[ObjectKey, Form]:
    """The same, when it is known which rows count."""
    gone = erased(rows.values())
    forms: dict[ObjectKey, Form] = {}
    for row in sorted((rows[identity] for identity in counted), key=lambda row: row.rank):
        for item in row.objects:
            if item["kind"] != "erased" and (str(row.tenant), item["id"]) not in gone:
                forms[ObjectKey(str(row.tenant), item["kind"], item["id"])] = Form(item, row.epoch, row.identity)
    return forms


def outcomes(rows: Rows) -> dict[tuple[str, str], Identity]:
    """For each (tenant, key), the accepted row that a repeat is answered with: the lowest."""
    counted = accepted(rows)
    writes = [rows[identity] for identity in counted if rows[identity].kind is Kind.WRITE]
    first: dict[tuple[str, str], Identity] = {}
    for row in sorted(writes, key=lambda row: row.rank):
        first.setdefault((str(row.tenant), str(row.key)), row.identity)
    return first


def dangling(rows: Rows) -> set[ObjectKey]:
    """The live relationships of which an endpoint has no live state (an adoption by hand may leave some)."""
    return {key for key, _ in _missing_ends(state(rows))}


def _missing_ends(forms: Mapping[ObjectKey, Form]) -> set[tuple[ObjectKey, str]]:
    """Each live relationship with each of its endpoints that has no live state."""
    return {
        (key, end) for key, form in forms.items() if form.alive for end in _loose_ends(forms, key.tenant, form.object)
    }


def _loose_ends(forms: Mapping[ObjectKey, Form], tenant: str, item: Object) -> set[str]:
    if item["kind"] != "relationship" or item.get("deleted"):
        return set()
    ends = {item["source"], item["target"]}
    return {end for end in ends if not _alive(forms, ObjectKey(tenant, "entity", end))}


def _alive(forms: Mapping[ObjectKey, Form], key: ObjectKey) -> bool:
    return key in forms and forms[key].alive


# ------------------------------------------------------------------------------------------------- salvage


def undecided(rows: Rows) -> set[Identity]:
    """The inert writes that nobody has decided about."""
    inert = {identity for identity, row in rows.items() if row.kind is Kind.WRITE} - accepted(rows)
    return {identity for identity in inert - decisions(rows).keys() if not rows[identity].stub}


def classify(rows: Rows) -> dict[Identity, Class]:
    """Each inert row without a decision, as a whole."""
    return {identity: _class_of(rows, rows[identity]) for identity in undecided(rows)}


def _class_of(rows: Rows, row: Row) -> Class:
    tenant = str(row.tenant)
    gone = erased(rows.values())
    forms = state(rows)
    brought = {item["id"] for item in row.objects if item["kind"] == "entity" and not item.get("deleted")}
    if any((tenant, id_) in gone for id_ in row.touched):
        return Class.ILLEGAL
    if (tenant, str(row.key)) in outcomes(rows):
        return Class.DUPLICATE
    for item in row.objects:
        form = forms.get(ObjectKey(tenant, item["kind"], item["id"]))
        if form is not None and form.epoch > row.epoch:
            return Class.CONFLICT
        if _loose_ends(forms, tenant, item) - brought:
            return Class.CONFLICT
    if _missing_ends(forms_of(rows, accepted(rows) | {row.identity})) - _missing_ends(forms):
        return Class.CONFLICT
    return Class.ADOPTABLE


# ------------------------------------------------------------------------------------------------- digests


class Bucket(NamedTuple):
    """4,096 positions of one writer."""

    origin: str
    life: int
    number: int


class Digest(NamedTuple):
    rows: int
    sum: int


def digests(rows: Rows) -> dict[Bucket, Digest]:
    """Count and sum modulo 2^64 of the rows held in each bucket, whatever became of them."""
    totals: dict[Bucket, Digest] = {}
    for identity, row in rows.items():
        bucket = Bucket(identity.origin, identity.life, identity.position // BUCKET_POSITIONS)
        before = totals.get(bucket, Digest(0, 0))
        totals[bucket] = Digest(before.rows + 1, (before.sum + row.digest) % 2**64)
    return totals
