"""What the supervisor writes down so that the next one can take over: each part's process, and of which plan it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from intelgraph.fleet.composition.parts import Part
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.supervisor.process import Identity
from intelgraph.runtime.whole_file import write_whole


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One part's process."""

    pid: int
    birth: str
    command: list[str]
    started_unix_s: float
    restarts: int

    @property
    def identity(self) -> Identity:
        """Which process it is."""
        return Identity(pid=self.pid, birth=self.birth, command=tuple(self.command))


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """All parts by name. ``plan`` is the digest of what they were started for."""

    plan: str
    parts: dict[str, Note]


def plan_digest(fleet: Fleet) -> str:
    """Changes whenever a running part would not be what the topology asks for."""
    text = repr((fleet.topology, sorted(fleet.ports.items()), str(fleet.state)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def notes_path(fleet: Fleet) -> Path:
    """Where the notes are."""
    return fleet.common / "parts.json"


def read_notes(fleet: Fleet) -> Notes:
    """The last notes; empty ones where there are none or they cannot be read."""
    try:
        return msgspec.json.decode(notes_path(fleet).read_bytes(), type=Notes)
    except (OSError, msgspec.DecodeError):
        return Notes(plan="", parts={})


def write_notes(fleet: Fleet, notes: Notes) -> None:
    """Replace the notes."""
    write_whole(notes_path(fleet), msgspec.json.format(msgspec.json.encode(notes), indent=1))


def may_adopt(notes: Notes, *, plan: str, part: Part) -> Note | None:
    """The note of a part that, if its process still runs, is what the plan asks for."""
    note = notes.parts.get(part.name)
    if note is None or notes.plan != plan or tuple(note.command) != part.command:
        return None
    return note
