"""What all tenants of a worker share, counted: so much for all, and less for each.

Whoever counts says what it is about; where there is no more, the answer says whose limit it was and what was found.
Nobody waits here: who may wait for a turn is for ``slots``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from intelgraph.model.errors import TransientError, retry

OF_TENANT, OF_ALL = "of this tenant", "of all tenants"


@dataclass(frozen=True, kw_only=True)
class Full:
    """There is no more: ``found`` of at most ``limit`` are taken, ``whose`` says by whom."""

    found: int
    limit: int
    whose: str


class Shares:
    """``most`` in all, ``each`` for one owner; an owner without a name has no limit of its own.

    ``on_full`` hears of each time that there was no more.
    """

    def __init__(self, *, most: int, each: int, on_full: Callable[[Full], None] = lambda _: None) -> None:
        self.taken = 0
        self._of: dict[str, int] = {}
        self._most = most
        self._each = each
        self._on_full = on_full

    def of(self, owner: str) -> int:
        """Return how much an owner has."""
        return self._of.get(owner, 0)

    def take(self, owner: str, amount: int = 1) -> Full | None:
        """Take some, or say why not."""
        full, has = None, self._of.get(owner, 0)
        if owner and has + amount > self._each:
            full = Full(found=has, limit=self._each, whose=OF_TENANT)
        elif self.taken + amount > self._most:
            full = Full(found=self.taken, limit=self._most, whose=OF_ALL)
        if full is not None:
            self._on_full(full)
            return full
        if amount:
            self.taken += amount
            self._of[owner] = has + amount
        return None

    def give(self, owner: str, amount: int = 1) -> None:
        """Give back what was taken."""
        if not amount:
            return
        self.taken -= amount
        left = self._of[owner] - amount
        if left:
            self._of[owner] = left
        else:
            del self._of[owner]

    @contextmanager
    def waiting(self, owner: str) -> Iterator[None]:
        """Have a place among those that wait for the database; refuses with ``overloaded``."""
        full = self.take(owner)
        if full is not None:
            raise overloaded(full)
        try:
            yield
        finally:
            self.give(owner)


def overloaded(full: Full) -> TransientError:
    """Build the refusal of one more that would wait for the database."""
    return retry(
        "overloaded",
        f"the request is refused: {full.found} others {full.whose} wait for the database here; the limit is "
        f"{full.limit}",
        retry_after_s=1.0,
        waiting=full.found,
        limit=full.limit,
    )
