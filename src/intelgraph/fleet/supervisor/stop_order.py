"""In which order parts end and how long each may take, told by their names alone.

Pure. A fleet may run parts that its topology file no longer names, or names otherwise: they have to end as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from intelgraph.fleet.composition.parts import ETCD_PEERS, Kind
from intelgraph.fleet.layout.topology import GLOBAL_EDGE

_LEVELS: tuple[tuple[Kind, ...], ...] = (
    (Kind.EDGE, Kind.GLOBAL_EDGE),
    (Kind.API, Kind.FEED),
    (Kind.AGENT, Kind.WAN),  # the doors acknowledge nothing without their agent
    (Kind.POSTGRES, Kind.ETCD),
    (Kind.ETCD_PEERS,),
)
_PATIENCE_S = {Kind.POSTGRES: 10.0, Kind.API: 8.0}
_OTHERS_PATIENCE_S = 5.0


def kind_of(name: str) -> Kind | None:
    """What the part of that name is; ``None`` for one that this release does not know."""
    if name == GLOBAL_EDGE:
        return Kind.GLOBAL_EDGE
    if name.startswith("wan:"):
        return Kind.ETCD_PEERS if name == ETCD_PEERS else Kind.WAN
    return next((kind for kind in Kind if kind.value == name.partition("/")[2]), None)


def stop_levels(names: Iterable[str]) -> list[list[str]]:
    """Groups of parts in the order in which they stop; a group stops at once, what is not known with the last."""
    left = list(names)
    groups = [[name for name in left if kind_of(name) in level] for level in _LEVELS]
    groups[-1] += [name for name in left if kind_of(name) is None]
    return [group for group in groups if group]


def patience_s(name: str) -> float:
    """How long a part may take after it was asked to end."""
    kind = kind_of(name)
    return _OTHERS_PATIENCE_S if kind is None else _PATIENCE_S.get(kind, _OTHERS_PATIENCE_S)
