"""The reference: what one region holds of a placement, and what becomes of a row that comes there.

For: being obviously right, as `log`, whose conclusions are drawn from what is held. What does not belong here: which
rows count.

Decisions taken where docs/log.md leaves room:

- *Removal is read at once, too*: the `open` with the highest epoch says which regions serve the placement, even while
  the placement is held. A region it leaves out keeps every write as a stub. `open`, `adopt` and `reject` rows keep
  their bodies, being facts about regions and rows; otherwise a removed region could not know that it was removed.
- *A stub is no repeat*: a whole row with the identity of a stub replaces it while the region serves the placement.
  Otherwise a region that was removed and is allowed again could never be filled.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from intelgraph.changelog.model.log import (
    Identity,
    Kind,
    Object,
    Row,
    Rows,
    Status,
    Writer,
    accepted,
    erased,
    opening_of,
    opens,
)


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What one region holds of a placement.

    ``reads`` is the highest operation version it can read. ``unread`` rows came after one that it could not read and
    are kept as they are.
    """

    region: str
    rows: Rows = field(default_factory=dict)
    reads: int = 1
    held: bool = False
    unread: frozenset[Identity] = frozenset()

    @property
    def read(self) -> Rows:
        """The rows that conclusions are drawn from."""
        return {key: row for key, row in self.rows.items() if key not in self.unread and not row.stub}

    @property
    def erased(self) -> set[tuple[str, str]]:
        """The (tenant, id) pairs this region must show no content of."""
        return erased(row for row in self.rows.values() if row.version <= self.reads)

    @property
    def serves(self) -> bool:
        """Whether the highest open held lets this region hold the placement; without one, what was addressed may."""
        highest = next(iter(opens(self.rows)), None)
        return highest is None or self.region in opening_of(highest).regions


def arrive(holding: Holding, row: Row) -> Holding:
    """What a region holds once a row has come, however it came: total, and idempotent."""
    kept = holding.rows.get(row.identity)
    if kept is not None and not (kept.stub and not row.stub and holding.serves):
        return holding
    after = replace(holding, rows={**holding.rows, row.identity: row})
    if not after.serves:
        stubs = {key: one.as_stub() if one.kind is Kind.WRITE else one for key, one in after.rows.items()}
        unread = holding.unread - _stubs(stubs)
        return replace(after, rows=stubs, held=bool(unread), unread=unread)
    if holding.held or row.version > holding.reads:
        return replace(after, held=True, unread=holding.unread | {row.identity})
    return after


def _stubs(rows: Rows) -> set[Identity]:
    return {identity for identity, row in rows.items() if row.stub}


def upgrade(holding: Holding, reads: int) -> Holding:
    """The region learns to read a version, and reads what it kept."""
    unread = {key for key in holding.unread if holding.rows[key].version > reads}
    return replace(holding, reads=reads, held=bool(unread), unread=holding.unread if unread else frozenset())


def statuses(holding: Holding) -> dict[Identity, Status]:
    """What became of every row that a region holds."""
    counted = accepted(holding.read)

    def one(identity: Identity, row: Row) -> Status:
        if row.stub:
            return Status.DROPPED
        if identity in holding.unread:
            return Status.HELD
        return Status.APPLIED if identity in counted else Status.INERT

    return {identity: one(identity, row) for identity, row in holding.rows.items()}


def redacted(holding: Holding) -> dict[Identity, list[Object]]:
    """The objects that each row's body may still show: none whose id was erased, but for the erasure itself."""
    gone = holding.erased
    return {
        identity: [
            item for item in row.objects if item["kind"] == "erased" or (str(row.tenant), item["id"]) not in gone
        ]
        for identity, row in holding.rows.items()
    }


def cut_of(rows: Rows) -> dict[Writer, set[int]]:
    """The positions of this placement that a region holds whole, per writer: what its `open` must carry."""
    held: dict[Writer, set[int]] = {}
    for identity in (identity for identity, row in rows.items() if not row.stub):
        held.setdefault(identity.writer, set()).add(identity.position)
    return held
