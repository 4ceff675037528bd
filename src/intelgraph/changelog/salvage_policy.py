"""What becomes by itself of rows beyond a cut: adopted, rejected as duplicates, or left for people. Pure.

Rows are whole or not at all. Adopting changes the classes of others (a key has an outcome now, an endpoint exists now
or is gone), so a round decides only what no other decision of the same round can change, and rounds are repeated on
what the database then says until one decides nothing. A deletion waits for the rows before it that need what it
deletes, as long as anything else can be decided. What is left at last is for people: `intelgraph salvage`.

A long tail is decided about part by part, oldest first. What the rows that wait need, remove and are called is carried
from part to part (``Reserved``), and whether deletions wait is said for all parts of a round alike (``salvage_part``):
where a tail is divided makes no difference to which rows go in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class SalvageClass(Enum):
    """How ``ig.salvage`` classes an inert row (docs/log.md, Salvage)."""

    ADOPTABLE = "adoptable"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    ILLEGAL = "illegal"


@dataclass(frozen=True, kw_only=True)
class Inert:
    """One inert row without a decision."""

    row: tuple[str, int, int]
    epoch: int
    tenant: str
    key: str | None
    """None: a step of a removal, which is no repeat of another one."""
    kind: SalvageClass
    removes: frozenset[str] = frozenset()
    """The entities it deletes."""
    needs: frozenset[str] = frozenset()
    """The entities that its relationships end at."""


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """What rows that wait still need, so that no later row may take it: each as (tenant, key) or (tenant, id)."""

    keys: frozenset[tuple[str, str]] = frozenset()
    removes: frozenset[tuple[str, str]] = frozenset()
    """Nobody may need these yet."""
    needs: frozenset[tuple[str, str]] = frozenset()
    """Nobody may remove these yet."""


NOTHING_RESERVED = Reserved()
RESERVED_NAMES_MAX = 20_000
"""So many names are carried from part to part, 12 MB at most: an id has 512 bytes. Of a tail in which more rows wait
than that, a row that waits may be left to people."""


@dataclass(frozen=True, kw_only=True)
class Salvage:
    """What one round decides."""

    adopt: tuple[tuple[str, int, int], ...] = ()
    reject: tuple[tuple[str, int, int], ...] = ()
    people: tuple[tuple[str, int, int], ...] = ()
    passed_over: int = 0
    """How many could be adopted and wait all the same."""
    reserved: Reserved = NOTHING_RESERVED
    """For the rows that come after these."""

    @property
    def decides(self) -> bool:
        """Whether anything is decided, so that another round may find more."""
        return bool(self.adopt or self.reject)


ADOPTED = "adopted by policy: nothing it touches was written since"
DUPLICATE = "rejected by policy: a write with the same key counts already"


def salvage(rows: Iterable[Inert], *, automatic: bool = True) -> Salvage:
    """Decide one round about all rows. Not ``automatic``: everything is for people."""
    ordered = _ordered(rows)
    if not automatic:
        return Salvage(people=tuple(one.row for one in ordered))
    patient = salvage_part(ordered, waits=True)
    return patient if patient.decides else salvage_part(ordered, waits=False)


def salvage_part(rows: Iterable[Inert], *, waits: bool, reserved: Reserved = NOTHING_RESERVED) -> Salvage:
    """Go once through some rows, behind others of the same round; ``reserved`` says what those that wait still need.

    ``waits``: what is for people now may be adopted later, before what comes after it. A round without is due when one
    with it has decided nothing of any row and has passed over some.
    """
    adopt: list[tuple[str, int, int]] = []
    reject: list[tuple[str, int, int]] = []
    people: list[tuple[str, int, int]] = []
    passed_over: list[Inert] = []
    needing: list[Inert] = []
    taken, removed, needed = set(reserved.keys), set(reserved.removes), set(reserved.needs)
    for one in _ordered(rows):
        if one.kind is SalvageClass.DUPLICATE:
            reject.append(one.row)
        elif one.kind is not SalvageClass.ADOPTABLE:
            people.append(one.row)
            if waits and one.kind is SalvageClass.CONFLICT:
                needing.append(one)
                needed |= _needs(one)
        else:
            # The next one with this key is a duplicate by then; who needs what another removes is classed again first.
            if _keys(one) & taken or _needs(one) & removed or _removes(one) & needed:
                passed_over.append(one)
            else:
                adopt.append(one.row)
            # One that waits stands before what comes after it as one that goes in does: it is to find what it needs.
            taken |= _keys(one)
            removed |= _removes(one)
            needed |= _needs(one)
    return Salvage(
        adopt=tuple(adopt),
        reject=tuple(reject),
        people=tuple(people),
        passed_over=len(passed_over),
        # Not what is adopted: what comes next is classed when that counts.
        reserved=_with(reserved, passed_over, needing),
    )


def _with(reserved: Reserved, passed_over: Sequence[Inert], needing: Sequence[Inert]) -> Reserved:
    """Add what rows that wait need, as long as there is room for all of it."""
    more = Reserved(
        keys=reserved.keys.union(*map(_keys, passed_over)),
        removes=reserved.removes.union(*map(_removes, passed_over)),
        needs=reserved.needs.union(*map(_needs, [*passed_over, *needing])),
    )
    return more if len(more.keys) + len(more.removes) + len(more.needs) <= RESERVED_NAMES_MAX else reserved


def _ordered(rows: Iterable[Inert]) -> Sequence[Inert]:
    return sorted(rows, key=lambda one: (one.epoch, one.row[2], one.row))


def _keys(one: Inert) -> frozenset[tuple[str, str]]:
    return frozenset() if one.key is None else frozenset({(one.tenant, one.key)})


def _removes(one: Inert) -> frozenset[tuple[str, str]]:
    return frozenset((one.tenant, id_) for id_ in one.removes)


def _needs(one: Inert) -> frozenset[tuple[str, str]]:
    return frozenset((one.tenant, id_) for id_ in one.needs)
