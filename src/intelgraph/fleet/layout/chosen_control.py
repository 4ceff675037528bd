"""Which control store a fleet has: what was asked for, else what its file says, else what it has had, else SQLite.

A fleet that has data keeps what it has: its placements are in that store, and another one would begin empty, with
epochs that the databases have passed. Pure; `places` reads and keeps.
"""

from __future__ import annotations

from intelgraph.fleet.layout.topology import Control, ControlKind, Topology, with_control
from intelgraph.model.errors import refuse


def as_kept(topology: Topology, kept: Control | None) -> Topology:
    """The topology with the control store the fleet has; the file's, or SQLite, for a fleet that never was."""
    if kept is None:
        return with_control(topology, topology.control_given or ControlKind.SQLITE)
    return with_control(topology, kept.kind, kept.members)


def choose(topology: Topology, *, kept: Control | None, has_data: bool, asked: ControlKind | None) -> Topology:
    """The topology with the control store to run; refuses with ``control_is_kept`` to leave one that has data."""
    wanted = asked or topology.control_given
    if kept is None or not has_data:
        return with_control(topology, wanted or (kept.kind if kept else ControlKind.SQLITE))
    if wanted is not None and wanted is not kept.kind:
        raise refuse(
            "control_is_kept",
            f"the control store {wanted.value} is refused: this fleet's placements are in {kept.kind.value}, and "
            f"moving them is not supported. Say --control {kept.kind.value}, take another state directory, or delete "
            "the fleet's data with `intelgraph down --wipe`",
            kept=kept.kind.value,
            asked=wanted.value,
        )
    if topology.members_given and kept.kind is ControlKind.ETCD and topology.members_given != kept.members:
        raise refuse(
            "control_is_kept",
            f"control.members = {', '.join(topology.members_given)} is refused: this fleet's etcd was founded with "
            f"{', '.join(kept.members)}, and moving members is not supported",
            kept=list(kept.members),
            asked=list(topology.members_given),
        )
    return as_kept(topology, kept)
