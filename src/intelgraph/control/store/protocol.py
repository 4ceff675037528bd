"""The control store's protocol: a few small keys that every region must agree on.

It holds the directory (placements, tenants) and, later, leases and recorded plans: never tenant data. Two
implementations stand behind it: SQLite for one machine, etcd for real regions. One contract test suite
(``tests/control/test_store_contract.py``) holds for both, and this page says what it may rely on:

- The store has one **revision**, which rises with every successful write. A key's **version** is the store's revision
  at the key's last write (etcd's ``mod_revision``). A key that is absent, never written or deleted, has version 0.
- ``read`` answers from one instant: all entries belong to the revision that the answer names.
- ``compare_and_set`` is atomic over all its keys and durable when it answers ``True``.
- ``watch`` misses nothing: whoever reads at revision *r* and watches from *r* sees every later write, in order, though
  several writes of one key may arrive as the last of them. It also says, at least every ``WATCH_HEARTBEAT_S``, that
  nothing has changed; silence means that the store cannot be reached.

A store that cannot be reached raises ``TransientError`` with the code ``control_store_unavailable``; a watch that
cannot be told any more what was written since its revision, or whose store is another one by now that has not come so
far, raises ``control_store_compacted``: read anew. What the values mean does not belong here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from intelgraph.model.errors import TransientError, retry

ABSENT = 0
WATCH_HEARTBEAT_S = 1.0
COMPACTED = "control_store_compacted"


def made_anew() -> TransientError:
    """Build the error of a watch whose store has not come as far as what was read of it."""
    why = "the control store is another one than what was read, or an earlier state of it was put back; read anew"
    return retry(COMPACTED, why, retry_after_s=0.0)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One key's ``value`` and ``version``; a key that is absent has no value and version 0."""

    key: str
    value: bytes | None
    version: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Entries by key, as they were at ``revision`` of the store."""

    revision: int
    entries: Mapping[str, Entry]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a watch reports: the entries written up to ``revision``; none when nothing has changed.

    A deleted key is an entry without value; its ``version`` is 0.
    """

    revision: int
    entries: tuple[Entry, ...]


class ControlStore(Protocol):
    """Versioned keys with an atomic compare-and-set over several of them, and a watch."""

    async def read(self, keys: Sequence[str] = (), *, prefix: str | None = None) -> Snapshot:
        """Read ``keys`` (absent ones as entries of version 0) and every present key that starts with ``prefix``."""
        ...

    async def compare_and_set(self, *, expected: Mapping[str, int], writes: Mapping[str, bytes | None]) -> bool:
        """Write all of ``writes`` (``None`` deletes) if every key of ``expected`` has that version; say whether it did.

        Every key that is written must be among the expected ones: nobody overwrites what they have not read.
        """
        ...

    def watch(self, prefix: str, *, since: int) -> AsyncIterator[Change]:
        """Yield what is written under ``prefix`` after revision ``since``, and a heartbeat when nothing is.

        Of several writes to one key, a change may have the last one only.
        """
        ...

    async def close(self) -> None:
        """Release what the store holds; watches end."""
        ...
