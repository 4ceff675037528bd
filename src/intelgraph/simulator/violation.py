"""The names of the promises, and what is noted of one that was broken."""

from __future__ import annotations

from typing import NamedTuple

ONE_WRITER = "ONE-WRITER"
NO_LOSS = "NO-LOSS"
READ_YOUR_WRITES = "READ-YOUR-WRITES"
RESIDENCY = "RESIDENCY"
FAIL_CLOSED = "FAIL-CLOSED"
CONVERGENCE = "CONVERGENCE"
LIVENESS = "LIVENESS"
CERTAINTY = "CERTAINTY"
DURABILITY = "DURABILITY"
SALVAGE = "SALVAGE"
DRAINED = "DRAINED"
PATIENCE = "PATIENCE"


class Violation(NamedTuple):
    """A promise that was broken, and what was seen."""

    promise: str
    what: str
