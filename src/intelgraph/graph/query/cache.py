"""A table of what is dear to make, bounded in bytes: in all, and for each owner.

What was used least lately goes first: of an owner that has more than its share, that owner's; when all is full, that of
whoever has most. So nobody loses what it uses because somebody else asks for much that is new.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

V = TypeVar("V")


class Cache:
    """``bytes_max`` in all, ``bytes_each`` for one owner. Two threads may use it.

    ``on_full`` hears of each time that something had to go.
    """

    def __init__(self, *, bytes_max: int, bytes_each: int) -> None:
        self.on_full: Callable[[], None] = lambda: None
        self.bytes = 0
        self._bytes_max = bytes_max
        self._bytes_each = bytes_each
        self._values: dict[Hashable, tuple[Any, str, int]] = {}
        """The value, its owner, its size."""
        self._of: dict[str, tuple[OrderedDict[Hashable, None], list[int]]] = {}
        """Each owner's keys, those used least lately first, and their size together."""
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def find(self, key: Hashable) -> Any:
        """Return the value of a key, or ``None``."""
        found = self._values.get(key)
        if found is None:
            return None
        try:  # noqa: SIM105 - every request comes here, and a context manager costs more than the look
            self._of[found[1]][0].move_to_end(key)
        except KeyError:  # another thread has dropped it
            pass
        return found[0]

    def get(self, key: Hashable, make: Callable[[], V], *, owner: str = "", size: Callable[[V], int]) -> V:
        """Return the value of a key, made if it is not there. ``size`` is asked for its bytes, from above."""
        found: V | None = self.find(key)
        if found is None:
            found = make()
            self._keep(key, found, owner, size(found))
        return found

    def bytes_of(self, owner: str) -> int:
        """Return what an owner has."""
        keys = self._of.get(owner)
        return keys[1][0] if keys is not None else 0

    def _keep(self, key: Hashable, value: Any, owner: str, size: int) -> None:
        if size > min(self._bytes_each, self._bytes_max):
            return
        with self._lock:
            self._drop(key)
            self._values[key] = (value, owner, size)
            keys, total = self._of.setdefault(owner, (OrderedDict(), [0]))
            keys[key] = None
            total[0] += size
            self.bytes += size
            is_full = False
            while total[0] > self._bytes_each:
                self._drop(next(iter(keys)))
                is_full = True
            while self.bytes > self._bytes_max:
                most, _ = max(self._of.values(), key=lambda each: each[1][0])
                self._drop(next(iter(most)))
                is_full = True
        if is_full:
            self.on_full()

    def _drop(self, key: Hashable) -> None:
        gone = self._values.pop(key, None)
        if gone is None:
            return
        _, owner, size = gone
        keys, total = self._of[owner]
        del keys[key]
        total[0] -= size
        self.bytes -= size
        if not keys:
            del self._of[owner]
