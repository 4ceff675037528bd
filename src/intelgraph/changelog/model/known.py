"""What a region concludes, kept up to date as rows arrive: the reference (`log`) made quick enough to simulate with.

A write that needs no other rule than the cuts is taken into account by itself; anything else (an `open`, a decision,
an erasure, a stub, a hold) has everything computed again by the reference. That both always agree is a property test
(`tests/changelog/test_known.py`). What a row is worth, and why, does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from intelgraph.changelog.model.append import ever
from intelgraph.changelog.model.holding import Holding, arrive
from intelgraph.changelog.model.log import Form, Identity, Kind, ObjectKey, Row, accepted, forms_of, in_force


class Known:
    """One region's rows of one placement, and what they come to."""

    __slots__ = ("_first", "_forms", "_gone", "_named", "accepted", "holding", "rows", "standing")

    def __init__(self, region: str) -> None:
        self.rows: dict[Identity, Row] = {}
        self.holding = Holding(region=region, rows=self.rows)
        self.standing: Sequence[Row] = ()
        self.accepted: set[Identity] = set()
        self._forms: dict[ObjectKey, Form] = {}
        self._first: dict[tuple[str | None, str | None], Row] = {}
        self._gone: Set[tuple[str, str]] = frozenset()
        self._named: frozenset[Identity] = frozenset()

    @property
    def held(self) -> bool:
        """Whether the placement is held."""
        return self.holding.held

    @property
    def forms(self) -> Mapping[ObjectKey, Form]:
        """Every object's state."""
        return self._forms

    @property
    def gone(self) -> Set[tuple[str, str]]:
        """The erased ids, by tenant."""
        return self._gone

    @property
    def named(self) -> frozenset[Identity]:
        """The rows that decisions held here name."""
        return self._named

    def outcome(self, tenant: str, key: str) -> Row | None:
        """The row that a repeat of the key is answered with."""
        return self._first.get((tenant, key))

    def ever(self, tenant: str, id_: str) -> bool:
        """Whether any whole row held here touched an id, whether it counts or not."""
        return ever(self.rows, tenant, id_)

    def arrive(self, row: Row) -> bool:
        """Take a row; says whether it was new here."""
        if row.identity in self.rows and not self.rows[row.identity].stub:
            return False
        if self._is_plain(row):
            self.rows[row.identity] = row
            if self._is_uncut(row):
                self.count(row)
            return True
        after = arrive(self.holding, row)
        if after is self.holding:
            return False
        self.rows = dict(after.rows)
        self.holding = Holding(
            region=after.region, rows=self.rows, reads=after.reads, held=after.held, unread=after.unread
        )
        self.compute()
        return True

    def compute(self) -> None:
        """Conclude everything again, by the reference."""
        read = self.holding.read
        self.standing = in_force(self.rows)
        self.accepted = accepted(read)
        self._forms = forms_of(read, self.accepted)
        self._gone = self.holding.erased
        self._named = frozenset().union(*(row.named for row in self.rows.values()))
        self._first = {}
        for identity in self.accepted:
            self._note_outcome(read[identity])

    def count(self, row: Row) -> None:
        """Take an accepted write into account."""
        self.accepted.add(row.identity)
        self._note_outcome(row)
        for item in row.objects:
            key = ObjectKey(str(row.tenant), item["kind"], item["id"])
            form = self._forms.get(key)
            if (key.tenant, key.id) not in self._gone and (form is None or (form.epoch, form.row.position) < row.rank):
                self._forms[key] = Form(item, row.epoch, row.identity)

    def _note_outcome(self, row: Row) -> None:
        if row.kind is Kind.WRITE:
            first = self._first.get((row.tenant, row.key))
            if first is None or row.rank < first.rank:
                self._first[row.tenant, row.key] = row

    def _is_plain(self, row: Row) -> bool:
        return (
            row.kind is Kind.WRITE
            and not self.holding.held
            and row.version <= self.holding.reads
            and row.identity not in self.rows
            and self._serves()
            and not any(item["kind"] == "erased" for item in row.objects)
            and row.identity not in self._named
        )

    def _serves(self) -> bool:
        """The highest open, in force or not, says whether the region may hold the placement; it is always in force."""
        return not self.standing or self.holding.region in self._regions(self.standing[0])

    @staticmethod
    def _regions(row: Row) -> frozenset[str]:
        return frozenset() if row.opening is None else row.opening.regions

    def _is_uncut(self, row: Row) -> bool:
        return all(
            one.opening is not None and one.opening.holds(row.identity)
            for one in self.standing
            if one.epoch > row.epoch
        )
