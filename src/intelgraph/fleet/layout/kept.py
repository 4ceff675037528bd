"""What a fleet keeps about itself in ``fleet/fleet.json``: its id, its control store, its ports, and whose it is.

A file that is there and cannot be understood is refused, never taken for none: whoever took it for none would believe
that nothing runs, and begin another fleet over its data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from intelgraph.fleet.layout.topology import Control, ControlKind
from intelgraph.model.errors import refuse, what_failed

_PORT_MAX = 65_535


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What was chosen once. ``ports`` holds those that were free then, none where the topology numbers them.

    ``topology`` is the file the fleet was brought up from, or the directory where there was none; ``None`` in a fleet
    of an earlier release, as is ``control``.
    """

    id: str
    control: Control | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    topology: Path | None = None


def kept_path(state: Path) -> Path:
    """Where it is kept."""
    return state / "fleet" / "fleet.json"


def read_kept(state: Path) -> Kept | None:
    """What the fleet in ``state`` kept, ``None`` if there is none; refuses with ``fleet_unreadable``."""
    try:
        return parse(kept_path(state).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise refuse(
            "fleet_unreadable",
            f"nothing is done with the fleet in {state}: {kept_path(state)} cannot be understood "
            f"({what_failed(error)}), so what of it runs cannot be told; correct that file, or put it back from a copy",
            state=str(state),
        ) from error


def parse(text: bytes) -> Kept:
    """Read the file's text; ``ValueError`` says what is wrong with it."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    found = cast(dict[str, object], value)
    identity, topology = found.get("id"), found.get("topology")
    if not isinstance(identity, str) or not identity:
        raise ValueError("it has no id")
    if topology is not None and (not isinstance(topology, str) or not topology or "\0" in topology):
        raise ValueError("its topology is no path")
    return Kept(
        id=identity,
        control=_control(found["control"]) if "control" in found else None,
        ports=_ports(found.get("ports", {})),
        topology=Path(topology) if topology else None,
    )


def render(kept: Kept) -> str:
    """The file's text."""
    value: dict[str, object] = {"id": kept.id}
    if kept.control is not None:
        value["control"] = {"kind": kept.control.kind.value, "members": list(kept.control.members)}
    value["ports"] = dict(kept.ports)
    if kept.topology is not None:
        value["topology"] = str(kept.topology)
    return json.dumps(value, indent=2)


def belongs_to(kept: Kept, mine: Path) -> bool:
    """Whether the fleet is that of the topology ``mine`` (a file, or the directory where there is none).

    So is one whose topology is no longer there, since it was moved or is of an earlier release; and one that was
    brought up without a file in the directory where ``mine`` was written since.
    """
    whose = kept.topology
    return whose is None or whose in (mine, mine.parent) or not whose.exists()


def _control(value: object) -> Control:
    control = cast(dict[str, object], value) if isinstance(value, dict) else {}
    members, kinds = control.get("members", []), [kind.value for kind in ControlKind]
    if control.get("kind") not in kinds:
        raise ValueError(f"its control store is of the kind {control.get('kind')!r}; known are {', '.join(kinds)}")
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise ValueError("the members of its control store are no list of names")
    return Control(kind=ControlKind(control["kind"]), members=tuple(members))


def _ports(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise ValueError("its ports are no table")
    for name, port in value.items():
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port <= _PORT_MAX:
            raise ValueError(f"the port of {name} is {port!r}; it must be a whole number from 1 to {_PORT_MAX}")
    return cast(dict[str, int], value)
