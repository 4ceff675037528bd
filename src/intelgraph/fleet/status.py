"""What a supervisor tells about its fleet, and what it can be asked: the values on its private socket."""

from __future__ import annotations

from enum import Enum
from typing import Literal

import msgspec


class Phase(Enum):
    """Where a part stands."""

    WAITING = "waiting"  # for what it needs
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"  # it runs and does not answer
    BACKING_OFF = "backing off"  # it ended, and is started again after a pause
    STOPPING = "stopping"
    STOPPED = "stopped"
    DONE = "done"  # of a step
    REFUSED = "refused"  # a step that would fail again unchanged: someone has to act


class PartStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One part, or one step (without a process)."""

    name: str
    kind: str
    region: str | None
    phase: Phase
    pid: int | None = None
    started_unix_s: float | None = None
    restarts: int = 0
    reason: str | None = None
    ports: list[int] = []
    log: str | None = None


class FleetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The whole fleet. ``plan`` is the digest of the topology it runs."""

    supervisor_pid: int
    plan: str
    ready: bool
    stopping: bool
    adopted: int
    parts: list[PartStatus]
    steps: list[PartStatus]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a supervisor is asked; ``part`` is for ``restart``: a part's or a region's name."""

    do: Literal["status", "stop", "restart"]
    part: str | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to what is not done."""

    code: str
    reason: str
