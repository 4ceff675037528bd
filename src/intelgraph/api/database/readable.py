"""What the region's database says of a placement with every read: may it be answered here, and how old is it."""

from __future__ import annotations

import msgspec


class Readable(msgspec.Struct, kw_only=True):
    """What ``ig.readable`` answers: whether this region may answer a read, and how stale it could be."""

    status: str
    home: str | None = None
    token_ns: int | None = None
    reason: str | None = None
    code: str | None = None
    largest: int = 0
    """How large the largest object of the placement is, from above."""
    field: str | None = None
    """The field of a GraphQL operation that is refused, by its name in the answer."""

    @property
    def may_still_come(self) -> bool:
        """Whether waiting can help: the row, or the placement's first row, has not arrived yet."""
        return self.status == "waiting" or (self.status == "not_here" and self.reason is not None)
