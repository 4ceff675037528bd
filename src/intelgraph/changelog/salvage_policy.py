"""What becomes by itself of rows beyond a cut: adopted, rejected as duplicates, or left for people. Pure.

Rows are whole or not at all. Adopting changes the classes of others (a key has an outcome now, an endpoint exists now
or is gone), so a round decides only what no other decision of the same round can change, and rounds are repeated on
what the database then says until one decides nothing. A deletion waits for the rows before it that need what it
deletes, as long as anything else can be decided. What is left at last is for people: `intelgraph salvage`.
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
class Salvage:
    """What one round decides."""

    adopt: tuple[tuple[str, int, int], ...] = ()
    reject: tuple[tuple[str, int, int], ...] = ()
    people: tuple[tuple[str, int, int], ...] = ()

    @property
    def decides(self) -> bool:
        """Whether anything is decided, so that another round may find more."""
        return bool(self.adopt or self.reject)


ADOPTED = "adopted by policy: nothing it touches was written since"
DUPLICATE = "rejected by policy: a write with the same key counts already"


def salvage(rows: Iterable[Inert], *, automatic: bool = True) -> Salvage:
    """Decide one round. Not ``automatic``: everything is for people."""
    ordered = sorted(rows, key=lambda one: (one.epoch, one.row[2], one.row))
    if not automatic:
        return Salvage(people=tuple(one.row for one in ordered))
    patient = _round(ordered, waits=True)
    return patient if patient.decides else _round(ordered, waits=False)


def _round(ordered: Sequence[Inert], *, waits: bool) -> Salvage:
    """Go through the rows once. ``waits``: what is for people now may be adopted later, before what comes after it."""
    adopt: list[tuple[str, int, int]] = []
    reject: list[tuple[str, int, int]] = []
    people: list[tuple[str, int, int]] = []
    taken: set[tuple[str, str]] = set()
    removed: set[tuple[str, str]] = set()
    needed: set[tuple[str, str]] = set()
    for one in ordered:
        if one.kind is SalvageClass.DUPLICATE:
            reject.append(one.row)
        elif one.kind is not SalvageClass.ADOPTABLE:
            people.append(one.row)
            if waits and one.kind is SalvageClass.CONFLICT:
                needed |= {(one.tenant, id_) for id_ in one.needs}
        else:
            removes, needs = ({(one.tenant, id_) for id_ in ids} for ids in (one.removes, one.needs))
            # The next one with this key is a duplicate by then; who needs what another removes is classed again first.
            if (one.tenant, one.key) not in taken and not needs & removed and not removes & needed:
                adopt.append(one.row)
            # One that waits stands before what comes after it as one that goes in does: it is to find what it needs.
            if one.key is not None:
                taken.add((one.tenant, one.key))
            removed |= removes
            needed |= needs
    return Salvage(adopt=tuple(adopt), reject=tuple(reject), people=tuple(people))
