"""What one API worker chooses beyond its region's settings: every number with its unit and its reason.

``settings.ApiPolicy`` holds what an operator may set for a region; this is what follows from how a worker works, and is
the same in every region. Numbers of one algorithm alone stay where the algorithm is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from intelgraph.api.http.policy import HttpPolicy

_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """How much there is in one worker, and how much of it one tenant may have: the others always find some."""

    most: int
    each: int


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadPolicy:
    """What was made for clients and not yet taken by them."""

    bytes_max: int = 64 * _MIB
    """In all: what a worker's clients may keep in its memory by not reading."""
    bytes_of_tenant_max: int = 16 * _MIB
    """The largest answer has as much. Four tenants have to leave so much unread before others wait."""
    counted_from_bytes: int = 65_536
    """Smaller answers are not counted: the kernel takes them at once."""
    wait_s: float = 5.0
    """How long a read waits for room, half of what a request may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamPolicy:
    """Streams of changes."""

    open: Share = field(default_factory=lambda: Share(most=500, each=100))
    """Nobody else's streams are refused because one tenant opens all there can be."""
    reads_at_once: int = 2
    """Streams that ask the database at a time: connections are left for requests."""
    batch_bytes: int = 262_144
    """Where a batch ends, with one change at least: what one stream holds in memory."""
    heartbeat_s: float = 10.0
    """A comment after so much silence: a third of what this end grants a client that takes nothing."""
    retry_after_s: float = 5.0
    """When to come back after a refusal: a place is free when another stream ends."""
    pause_s: float = 0.5
    """Between two tries of a stream while the database is away."""
    parting_s: float = 0.2
    """For a client to take a stream's last event before the connection ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannerThreadPolicy:
    """The thread on which documents are parsed and large bodies decoded, for each tenant in turn."""

    switch_s: float = 0.0002
    """How long it may hold the interpreter while the event loop waits for it: ``sys.setswitchinterval``."""
    rest_ratio: float = 1.0
    """A tenant rests as long as its last work took: it has the thread for half of the time at most."""
    rest_ratio_refused: float = 9.0
    """After a refusal: for a tenth of the time."""
    rest_s_min: float = 0.01
    """After a refusal, however quick."""
    rest_s_max: float = 0.06
    """After a refusal: a request that comes behind another is answered within 100 ms all the same."""
    cheap_s: float = 0.0005
    """Work that took less asks for no rest."""
    waiting_of_tenant_max: int = 32
    """Documents of one tenant that wait: by their rests alone, the last has its turn within 2 s."""
    tenants_max: int = 1_000
    """Tenants whose rests are remembered before those that are over are forgotten."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerPolicy:
    """What one worker chooses."""

    http: HttpPolicy = field(default_factory=HttpPolicy)
    bodies: Share = field(default_factory=lambda: Share(most=512, each=128))
    """Bodies that did not come with their heads and are still arriving."""
    body_bytes: Share = field(default_factory=lambda: Share(most=96 * _MIB, each=32 * _MIB))
    """Of such bodies, until their requests end: twelve of the largest, and four of one tenant's."""
    unread: UnreadPolicy = field(default_factory=UnreadPolicy)
    streams: StreamPolicy = field(default_factory=StreamPolicy)
    planner_thread: PlannerThreadPolicy = field(default_factory=PlannerThreadPolicy)
