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
    HELD = "held"  # it was ended on purpose and is not started until it is released
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
    """What a supervisor is asked; ``part``, for ``restart``, ``hold`` and ``release``: a part's or a region's name.

    ``hold`` kills what runs at once, all its processes, and starts nothing of it until ``release``, or until ``for_s``
    seconds are over. A supervisor that takes over releases everything.
    """

    do: Literal["status", "stop", "restart", "hold", "release"]
    part: str | None = None
    for_s: float | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to what is not done."""

    code: str
    reason: str
