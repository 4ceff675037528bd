"""The operators' record of a fleet: who asked for which change, by which way, and why; one JSON line each.

A line is written, and on the disk, before anything is done: what cannot be recorded is not done. So it tells what was
asked for, not what came of it; the plan, the placement and the log tell that. It holds names and reasons: never what a
tenant has written, and no secret. What people decide about salvaged rows is in the record of the region that holds
them (``regions/R/audit/operators.jsonl``), since it names rows.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Protocol

import msgspec

from intelgraph.model.actor import Actor
from intelgraph.model.errors import Fact, refuse, what_failed
from intelgraph.runtime.record_line import append_line


class Requester(Protocol):
    """Who asks, of which fleet: ``state`` is the directory that holds its record."""

    @property
    def state(self) -> Path:
        """The fleet's state directory."""
        ...

    @property
    def actor(self) -> Actor:
        """Who asks."""
        ...


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One line. ``at``: seconds of the wall clock since 1970."""

    at: float
    operation: str
    actor: Actor
    facts: dict[str, Fact]


def record_file(state: Path) -> Path:
    """Where a fleet's record is; readable by its owner alone."""
    return state / "fleet" / "operators.jsonl"


def record(operator: Requester, operation: str, **facts: Fact) -> None:
    """Append one line, durably; ``not_recorded`` if that fails, and then nothing may be done."""
    actor = operator.actor
    told = {"subject": actor.subject, "channel": actor.channel.value, "reason": actor.reason}
    readable = {name: _readable(fact) for name, fact in facts.items()}
    line = json.dumps({"at": time.time(), "operation": operation, "actor": told, "facts": readable})
    path = record_file(operator.state)
    try:
        append_line(path, line)
    except OSError as error:
        raise refuse(
            "not_recorded",
            f"{operation} is refused: who asks for it cannot be recorded in {path}: {what_failed(error)}",
            file=str(path),
        ) from error


def read_record(state: Path) -> list[Recorded]:
    """Read every line, the oldest first; nothing where nothing was recorded.

    What was written in part (a full disk, a loss of power) is passed over: nothing was done of it.
    """
    try:
        lines = record_file(state).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    read: list[Recorded] = []
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):
            read.append(msgspec.json.decode(line, type=Recorded))
    return read


def _readable(fact: Fact) -> Fact:
    """The fact, such that JSON's readers take it: in a file's name that is no UTF-8, what is none becomes escapes."""
    return fact.encode(errors="backslashreplace").decode() if isinstance(fact, str) else fact
