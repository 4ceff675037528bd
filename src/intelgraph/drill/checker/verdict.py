"""What a check says: its ``Anomaly``s, each with the operations it is made of, and what it counted.

A ``Verdict`` with no unexplained anomaly holds. An explained anomaly is one that vanishes when the ``home`` writes
that the fleet itself lists as left behind are struck out (``striking``); it is shown all the same.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from intelgraph.drill.history import Operation
from intelgraph.model.errors import Fact


class Fate(Enum):
    """What became of an idempotency key, as the fleet tells it."""

    REMOTE = "remote"
    HOME_ONLY = "home-only"
    ADOPTED = "adopted"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


EXPLAINS = frozenset({Fate.HOME_ONLY, Fate.ADOPTED, Fate.CONFLICT, Fate.REJECTED})
"""Fates of a write that its new home did not have when it opened."""


class Anomaly(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way in which a history breaks a promise: which check, which kind, why, and by which operations.

    ``objects`` are those it is about; ``explained_by`` the listed keys without which it would not be there.
    """

    check: str
    kind: str
    reason: str
    operations: tuple[int, ...]
    objects: tuple[str, ...] = ()
    facts: dict[str, Fact] = {}
    explained_by: tuple[str, ...] = ()

    @property
    def explained(self) -> bool:
        """Whether the fleet has listed the keys that it comes from."""
        return bool(self.explained_by)


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check's findings and what it looked at. ``seconds`` is the processor time that it took."""

    check: str
    anomalies: tuple[Anomaly, ...] = ()
    counted: dict[str, int] = {}
    seconds: float = 0.0

    @property
    def unexplained(self) -> tuple[Anomaly, ...]:
        """The anomalies that nothing explains."""
        return tuple(anomaly for anomaly in self.anomalies if not anomaly.explained)

    @property
    def holds(self) -> bool:
        """Whether every anomaly is explained."""
        return not self.unexplained


def name_of(operation: Operation) -> str:
    """How sentences name an operation: its number, client, and what it was."""
    return f"{operation.kind.value} #{operation.id} of {operation.client}"
